"""Batches of what nodes send that are stored side by side."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from resolvers.telemetry.nodes import LogRow, Node
from resolvers.telemetry.storing import Batch
from tests.harness import eventually
from workers.log_writer import LogWriter

BATCH_SIZE = 4


class Lane:
    """Keeps what it was given, for as long as its gate is closed."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.gate = asyncio.Event()

    async def __call__(self, batch: Batch) -> list[Batch]:
        self.batches.append(batch)
        await self.gate.wait()
        return []


class Sender:
    """A socket."""

    def pause(self) -> None:
        """Read nothing more."""

    def resume(self) -> None:
        """Go on."""


@pytest.fixture
def lanes() -> list[Lane]:
    """Two, with closed gates."""
    return [Lane(), Lane()]


@pytest.fixture
async def writer(lanes: list[Lane]) -> AsyncIterator[LogWriter]:
    """A running writer over both."""
    made = LogWriter(lanes, print, batch_size=BATCH_SIZE, latency_s=0.01, max_rows=4 * BATCH_SIZE, max_bytes=1 << 20)
    task = asyncio.create_task(made.run())
    yield made
    for lane in lanes:
        lane.gate.set()
    await made.stop(task)


def rows(node: Node, count: int = BATCH_SIZE) -> list[LogRow]:
    """Messages of a node."""
    return [(node, number, b"", b"", b"{}") for number in range(count)]


@pytest.fixture
def node() -> Node:
    """One whose connection is stored."""
    return Node(id=1, ip_addr="192.0.2.1:1", is_audit=False)


async def test_while_a_lane_is_busy_the_next_batch_goes_over_the_other(
    writer: LogWriter, lanes: list[Lane], node: Node
) -> None:
    queue = writer.open(Sender())
    for number, lane in enumerate(lanes, 1):
        writer.submit(queue, rows(node))
        await eventually(lambda lane=lane: len(lane.batches) == 1)  # type: ignore[misc]
        assert writer.in_flight == number * BATCH_SIZE
    writer.submit(queue, rows(node, 1))  # has to wait
    lanes[1].gate.set()
    await eventually(lambda: len(lanes[1].batches) == 2)
    lanes[0].gate.set()
    await eventually(lambda: writer.stored == 2 * BATCH_SIZE + 1)
    assert len(lanes[0].batches) == 1
    writer.submit(queue, rows(node))
    await eventually(lambda: writer.stored == 3 * BATCH_SIZE + 1)
    assert len(lanes[0].batches) == 2, "the first is preferred when both are free"
    assert writer.in_flight == writer.held_bytes == writer.age_s == 0


async def test_what_tells_of_a_node_is_stored_beside_nothing_else(
    writer: LogWriter, lanes: list[Lane], node: Node
) -> None:
    queue = writer.open(Sender())
    writer.submit(queue, rows(node))
    await eventually(lambda: len(lanes[0].batches) == 1)
    writer.changed(node)
    await eventually(lambda: len(writer._storing) == 2)
    assert not lanes[1].batches, "it waits for what may hold messages of this node"
    lanes[0].gate.set()
    await eventually(lambda: len(lanes[0].batches) == 2)
    assert lanes[0].batches[1].nodes == [node]


async def test_nothing_is_stored_beside_what_tells_of_a_node(writer: LogWriter, lanes: list[Lane], node: Node) -> None:
    queue = writer.open(Sender())
    writer.changed(node)
    await eventually(lambda: len(lanes[0].batches) == 1)
    writer.submit(queue, rows(node))
    lanes[0].gate.set()
    await eventually(lambda: writer.stored == BATCH_SIZE)
    assert not lanes[1].batches, "it had to wait, and then the first was free again"
