"""How messages become batches, who has to wait when there are too many, and what becomes of them at the end."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any

import pytest

from resolvers.telemetry.nodes import LogRow, Node
from resolvers.telemetry.storing import Batch
from tests.harness import eventually
from workers import log_writer
from workers.log_writer import LogWriter, SenderQueue

NODE = Node(id=1, ip_addr="", is_audit=False)
LONG_S = 60.0


class Store:
    """Takes batches while its gate is open; `instead` is answered first, `failures` come before that."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.failures = 0
        self.attempts = 0
        self.instead: list[list[Batch]] = []

    async def __call__(self, batch: Batch) -> list[Batch]:
        self.attempts += 1
        await self.gate.wait()
        if self.failures:
            self.failures -= 1
            raise ConnectionError
        if self.instead:
            return self.instead.pop()
        self.batches.append(batch)
        return []

    @property
    def bodies(self) -> list[bytes]:
        return [row[4] for batch in self.batches for row in batch.rows]

    @property
    def sizes(self) -> list[int]:
        return [len(batch.rows) for batch in self.batches]


class Socket:
    """A sender that notes when it has to wait."""

    def __init__(self) -> None:
        self.is_paused = False
        self.pauses = 0

    def pause(self) -> None:
        assert not self.is_paused
        self.is_paused = True
        self.pauses += 1

    def resume(self) -> None:
        assert self.is_paused
        self.is_paused = False


class Reported(list[str]):
    def __call__(self, event: str, **_: Any) -> None:
        self.append(event)


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def reported() -> Reported:
    return Reported()


@pytest.fixture
def make(store: Store, reported: Reported) -> Callable[..., LogWriter]:
    """A writer of batches of ten, of whom forty rows may wait, unless that is said."""

    def make(**given: Any) -> LogWriter:
        sizes = {"batch_size": 10, "latency_s": LONG_S, "max_rows": 40, "max_bytes": 1 << 20}
        return LogWriter([store], reported, **{**sizes, **given})

    return make


@asynccontextmanager
async def running(writer: LogWriter, store: Store) -> AsyncIterator[asyncio.Task[None]]:
    """It runs inside the block, and has stored everything at its end."""
    task = asyncio.create_task(writer.run())
    yield task
    store.gate.set()
    await writer.stop(task)
    assert (writer.waiting, writer.in_flight, writer.held_bytes, writer.lost) == (0, 0, 0, 0)


def rows(count: int, name: str = "a", body: bytes = b"") -> list[LogRow]:
    return [(NODE, 0, b"", b"", body or b"%s%d" % (name.encode(), number)) for number in range(count)]


def opened(writer: LogWriter) -> tuple[Socket, SenderQueue]:
    socket = Socket()
    return socket, writer.open(socket)


async def test_a_full_batch_is_stored_at_once(make: Callable[..., LogWriter], store: Store) -> None:
    writer = make()
    _, queue = opened(writer)
    async with running(writer, store):
        writer.submit(queue, rows(9))
        await asyncio.sleep(0)
        assert store.batches == []
        writer.submit(queue, rows(1, "b"))
        await eventually(lambda: store.sizes == [10])
    assert store.bodies == [*(b"a%d" % number for number in range(9)), b"b0"]


async def test_a_few_are_stored_when_the_oldest_has_waited_long_enough(
    make: Callable[..., LogWriter], store: Store
) -> None:
    writer = make(latency_s=0.1)
    _, queue = opened(writer)
    async with running(writer, store):
        for _ in range(2):
            began = monotonic()
            writer.submit(queue, rows(2))
            await eventually(lambda: writer.waiting == 0 and store.batches)
            assert 0.09 <= monotonic() - began < 2
    assert sum(store.sizes) == 4


async def test_the_row_of_a_node_is_written_without_any_message(make: Callable[..., LogWriter], store: Store) -> None:
    writer = make(latency_s=0.01)
    async with running(writer, store):
        writer.changed(NODE)
        writer.changed(NODE)
        await eventually(lambda: store.batches)
    assert [(list(batch.rows), list(batch.nodes)) for batch in store.batches] == [([], [NODE])]


async def test_no_message_is_nothing_to_store(make: Callable[..., LogWriter], store: Store) -> None:
    writer = make(latency_s=0)
    _, queue = opened(writer)
    async with running(writer, store):
        writer.submit(queue, [])
        assert (writer.waiting, writer.age_s) == (0, 0.0)
    assert store.attempts == 0


async def test_what_has_come_meanwhile_is_one_batch_and_not_too_large(
    make: Callable[..., LogWriter], store: Store
) -> None:
    writer = make(max_rows=1000)
    _, queue = opened(writer)
    store.gate.clear()
    async with running(writer, store):
        writer.submit(queue, rows(10))
        await eventually(lambda: writer.in_flight)
        writer.submit(queue, rows(60))
        store.gate.set()
        await eventually(lambda: writer.stored == 70)
        assert store.sizes == [10, 40, 20]


async def test_each_socket_has_its_turn_however_much_one_has_sent(make: Callable[..., LogWriter], store: Store) -> None:
    writer = make(max_rows=100_000)
    (_, loud), *quiet = [opened(writer) for _ in range(5)]
    store.gate.clear()
    async with running(writer, store):
        writer.submit(loud, rows(10, "first"))
        await eventually(lambda: writer.in_flight)
        writer.submit(loud, rows(1000, "loud"))
        for _, queue in quiet:
            writer.submit(queue, rows(3, "quiet"))
        store.gate.set()
        await eventually(lambda: writer.waiting == 0)
    second = Counter(row[4].strip(b"0123456789") for row in store.batches[1].rows)
    assert second == {b"quiet": 12, b"loud": 28}


async def test_more_sockets_than_a_batch_has_rows_all_have_a_turn(make: Callable[..., LogWriter], store: Store) -> None:
    writer = make(max_rows=100_000)
    sockets = [opened(writer) for _ in range(100)]
    store.gate.clear()
    async with running(writer, store):
        for number, (_, queue) in enumerate(sockets):
            writer.submit(queue, rows(2, f"s{number}-"))
        store.gate.set()
    first_turns = store.bodies[:100]
    assert {body.partition(b"-")[0] for body in first_turns} == {b"s%d" % number for number in range(100)}


async def test_the_messages_of_a_socket_stay_in_their_order(make: Callable[..., LogWriter], store: Store) -> None:
    writer = make(max_rows=100_000)
    queues = [opened(writer)[1] for _ in range(7)]
    async with running(writer, store):
        for part in range(20):
            for number, queue in enumerate(queues):
                writer.submit(queue, [(NODE, 0, b"", b"", b"%d:%04d" % (number, part * 9 + n)) for n in range(9)])
            await asyncio.sleep(0)
    for number in range(7):
        own = [body for body in store.bodies if body.startswith(b"%d:" % number)]
        assert (len(own), own) == (180, sorted(own))


async def test_all_wait_when_there_is_too_much_and_go_on_at_half(make: Callable[..., LogWriter], store: Store) -> None:
    writer = make(max_rows=400)
    (loud, queue), (quiet, _) = opened(writer), opened(writer)
    store.gate.clear()
    async with running(writer, store):
        writer.submit(queue, rows(400))
        assert loud.is_paused  # it has more than its share
        assert not quiet.is_paused
        await eventually(lambda: writer.in_flight)
        writer.submit(queue, rows(400))
        assert quiet.is_paused
        late, _ = opened(writer)
        assert late.is_paused
        store.gate.set()
        await eventually(lambda: not (loud.is_paused or quiet.is_paused or late.is_paused))
    assert (writer.pauses, loud.pauses, quiet.pauses, late.pauses) == (3, 1, 1, 1)
    assert writer.stored == 800


async def test_bytes_that_are_being_stored_count_as_held(make: Callable[..., LogWriter], store: Store) -> None:
    writer = make(batch_size=1, max_bytes=10_000)
    socket, queue = opened(writer)
    store.gate.clear()
    async with running(writer, store):
        writer.submit(queue, rows(1, body=b"x" * 9000))
        await eventually(lambda: writer.in_flight)
        assert not socket.is_paused
        writer.submit(queue, rows(1, body=b"x" * 9000))
        assert socket.is_paused
        assert writer.held_bytes > 18_000
        store.gate.set()
        await eventually(lambda: not socket.is_paused)


async def test_a_message_larger_than_all_room_is_stored_too(make: Callable[..., LogWriter], store: Store) -> None:
    writer = make(batch_size=1, max_bytes=10)
    socket, queue = opened(writer)
    async with running(writer, store):
        writer.submit(queue, rows(1, body=b"x" * 9000))
        assert socket.is_paused
        await eventually(lambda: not socket.is_paused)


async def test_one_that_sends_too_much_waits_alone(make: Callable[..., LogWriter], store: Store) -> None:
    writer = make(max_rows=1000, batch_size=1000)
    (loud, loud_queue), (quiet, quiet_queue) = opened(writer), opened(writer)
    store.gate.clear()
    async with running(writer, store):
        writer.submit(quiet_queue, rows(1))
        writer.submit(loud_queue, rows(400))
        assert (loud.is_paused, quiet.is_paused) == (True, False)
        store.gate.set()
    assert not loud.is_paused


async def test_no_other_sockets_share_is_less_than_some_rows(make: Callable[..., LogWriter], store: Store) -> None:
    writer = make(max_rows=10_000, batch_size=100_000, max_bytes=1 << 24)
    sockets = [opened(writer) for _ in range(100)]
    async with running(writer, store):
        for _, queue in sockets:
            writer.submit(queue, rows(log_writer.LEAST_SHARE))
        assert not any(socket.is_paused for socket, _ in sockets)


async def test_a_socket_that_left_while_it_had_to_wait_is_not_asked_to_go_on(
    make: Callable[..., LogWriter], store: Store
) -> None:
    writer = make()
    socket, queue = opened(writer)
    node = Node(id=2, ip_addr="", is_audit=False)
    store.gate.clear()
    async with running(writer, store):
        writer.submit(queue, rows(100))
        assert socket.is_paused
        writer.close(queue, [node])
        store.gate.set()
    assert socket.is_paused
    assert writer.stored == 100
    assert node.is_closed


async def test_a_node_is_closed_with_its_last_message_and_not_before(
    make: Callable[..., LogWriter], store: Store
) -> None:
    writer = make()
    _, queue = opened(writer)
    node = Node(id=2, ip_addr="", is_audit=False)
    closed_at: list[bool] = []

    async def note(batch: Batch) -> list[Batch]:
        closed_at.append(node in batch.nodes)
        assert node.is_closed == (node in batch.nodes)
        return await store(batch)

    writer._lanes = [note]
    async with running(writer, store):
        writer.submit(queue, rows(35))
        writer.close(queue, [node])
    assert sum(store.sizes) == 35
    assert closed_at == [False] * (len(closed_at) - 1) + [True]


async def test_a_socket_that_said_nothing_is_closed_too(make: Callable[..., LogWriter], store: Store) -> None:
    writer = make(latency_s=0.01)
    _, queue = opened(writer)
    node = Node(id=2, ip_addr="", is_audit=False)
    async with running(writer, store):
        writer.close(queue, [node])
        await eventually(lambda: store.batches)
    assert (store.batches[0].nodes, node.is_closed) == ([node], True)


async def test_rows_that_come_after_a_socket_has_left_are_stored(make: Callable[..., LogWriter], store: Store) -> None:
    writer = make()
    socket, queue = opened(writer)
    async with running(writer, store):
        writer.close(queue, [NODE])
        writer.submit(queue, rows(25))
    assert (writer.stored, socket.is_paused) == (25, False)


async def test_a_batch_is_tried_until_it_is_stored_and_that_is_said_once(
    make: Callable[..., LogWriter], store: Store, reported: Reported, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_writer, "PAUSES_S", (0.0,) * 100)
    writer = make()
    _, queue = opened(writer)
    store.failures = 50
    async with running(writer, store):
        writer.submit(queue, rows(10))
        await eventually(lambda: writer.stored == 10)
    assert reported == ["log_writer_failed"]
    assert (store.sizes, store.attempts) == ([10], 51)


async def test_parts_that_are_to_be_stored_instead_are_stored_in_their_order(
    make: Callable[..., LogWriter], store: Store
) -> None:
    writer = make()
    _, queue = opened(writer)
    all_rows = rows(10)
    halves = [Batch(all_rows[:5], [NODE]), Batch(all_rows[5:])]
    quarters = [Batch(all_rows[:2], [NODE]), Batch(all_rows[2:5])]
    store.instead = [quarters, halves]
    async with running(writer, store):
        writer.submit(queue, all_rows)
    assert store.batches == [*quarters, halves[1]]
    assert (writer.stored, writer.batches) == (10, 1)


async def test_stopping_stores_what_waits_even_when_all_had_to_wait(
    make: Callable[..., LogWriter], store: Store
) -> None:
    writer = make()
    socket, queue = opened(writer)
    task = asyncio.create_task(writer.run())
    writer.submit(queue, rows(95))
    assert socket.is_paused
    await writer.stop(task)
    assert (writer.stored, writer.lost, len(store.bodies)) == (95, 0, 95)


async def test_stopping_without_a_database_ends_in_time_and_counts_what_is_lost(
    make: Callable[..., LogWriter], store: Store, reported: Reported, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_writer, "STOP_TIMEOUT_S", 0.1)
    writer = make()
    _, queue = opened(writer)
    store.failures = 1 << 30
    task = asyncio.create_task(writer.run())
    writer.submit(queue, rows(35))
    await eventually(lambda: writer.in_flight)
    await writer.stop(task)
    assert writer.lost == 35
    assert reported == ["log_writer_failed", "logs_lost"]


async def test_the_age_is_that_of_the_oldest_that_is_not_stored(make: Callable[..., LogWriter], store: Store) -> None:
    writer = make()
    _, queue = opened(writer)
    store.gate.clear()
    async with running(writer, store):
        began = monotonic()
        writer.submit(queue, rows(10))
        await eventually(lambda: writer.in_flight)
        await eventually(lambda: monotonic() - began > 0.05)
        writer.submit(queue, rows(1))
        assert 0.05 <= writer.age_s <= monotonic() - began
        store.gate.set()
        await eventually(lambda: writer.stored == 10)
        assert writer.age_s < monotonic() - began
    assert writer.age_s == 0.0


async def test_a_batch_that_is_larger_than_the_room_for_it_is_not_waited_for(
    make: Callable[..., LogWriter], store: Store
) -> None:
    writer = make(batch_size=1000, max_rows=200)
    socket, queue = opened(writer)
    async with running(writer, store):
        writer.submit(queue, rows(101))
        assert socket.is_paused
        await eventually(lambda: not socket.is_paused)
        assert writer.stored >= 50
