"""Stores what nodes send, some of every socket in each batch; where too much waits, sockets pause."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice
from time import monotonic
from typing import Protocol

from resolvers.telemetry.nodes import LogRow, Node
from resolvers.telemetry.storing import Batch

ROW_OVERHEAD_BYTES = 250  # of a row in memory, beside its message
MAX_NODES_WAITING = 65_536  # while the database is away, nodes that come and go must not fill the memory
LEAST_SHARE = 64  # rows that a socket may always have waiting, however many sockets there are
PAUSES_S = (0.02, 0.1, 0.3)  # before trying again, and then 1
STOP_TIMEOUT_S = 20.0


Lane = Callable[[Batch], Awaitable[list[Batch]]]


class Sender(Protocol):
    """A socket that can be kept from reading, so that its client has to wait."""

    def pause(self) -> None:
        """Read nothing more."""

    def resume(self) -> None:
        """Go on reading."""


class SenderQueue:
    """What one socket has sent, and is not stored yet."""

    def __init__(self, sender: Sender) -> None:
        self.sender = sender
        self.rows: deque[LogRow] = deque()
        self.leaving: list[Node] = []  # nodes that are gone, once all rows are stored

    def take(self, count: int) -> list[LogRow]:
        """The oldest rows, at most so many."""
        if count >= len(self.rows):
            rows = list(self.rows)
            self.rows.clear()
            return rows
        return [self.rows.popleft() for _ in range(count)]


class LogWriter:
    """Collects rows of all sockets, and stores them when `batch_size` wait, or the oldest has waited `latency_s`.

    Each of `lanes` stores one batch at a time, beside the others; one that tells of nodes is stored alone, since what
    their messages are stored with depends on it. A lane answers what is to be stored instead of a batch, and fails when
    the database is away: then it is tried again, for ever. A socket pauses when it has more than its share of half of
    `max_rows` waiting, all do when `max_rows` wait or `max_bytes` are held; they resume at half of that.
    """

    def __init__(
        self,
        lanes: Sequence[Lane],
        report: Callable[..., None],
        *,
        batch_size: int,
        latency_s: float,
        max_rows: int,
        max_bytes: int,
    ) -> None:
        self._lanes = lanes
        self._free = set(range(len(lanes)))
        self._report = report
        self._batch_size = batch_size
        self._largest_batch = min(max(4 * batch_size, batch_size), max(max_rows // 4, 1))
        self._latency_s = latency_s
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._queues: set[SenderQueue] = set()
        self._active: dict[SenderQueue, None] = {}  # those with rows, in the order of their turns
        self._changed: dict[Node, None] = {}
        self._leaving: dict[SenderQueue, None] = {}
        self._wake = asyncio.Event()
        self._enough = asyncio.Event()
        self._waiting_since = 0.0
        self._storing: dict[Batch, float] = {}  # since when its oldest row has waited
        self._ended = asyncio.Event()
        self._paused: set[SenderQueue] = set()
        self._is_full = False
        self._stopping = False
        self.waiting = self.held_bytes = 0
        self.stored = self.batches = self.pauses = 0
        self.lost = 0  # when it had to stop without a database

    @property
    def age_s(self) -> float:
        """How long the oldest row has waited to be in the database."""
        since = [*self._storing.values(), *([self._waiting_since] if self.waiting else [])]
        return monotonic() - min(since) if since else 0.0

    @property
    def in_flight(self) -> int:
        """Rows that are being stored."""
        return sum(len(batch.rows) for batch in self._storing)

    @property
    def is_crowded(self) -> bool:
        """Whether so many rows of nodes wait to be written that no more should come."""
        return len(self._changed) + len(self._leaving) >= MAX_NODES_WAITING

    def open(self, sender: Sender) -> SenderQueue:
        """A queue for a new socket."""
        queue = SenderQueue(sender)
        self._queues.add(queue)
        if self._is_full:
            self._pause(queue)
        return queue

    def close(self, queue: SenderQueue, nodes: list[Node]) -> None:
        """The socket is gone, and its nodes with it, when all that they have sent is stored."""
        self._queues.discard(queue)
        self._paused.discard(queue)
        self._begin_to_wait()
        queue.leaving = nodes
        self._leaving[queue] = None

    def changed(self, node: Node) -> None:
        """The row of a node's connection has to be written, with the next batch."""
        self._begin_to_wait()
        self._changed[node] = None

    def submit(self, queue: SenderQueue, rows: list[LogRow]) -> None:
        """Take rows to be stored."""
        if not rows:
            return
        self._begin_to_wait()
        queue.rows += rows
        self._active[queue] = None
        self.waiting += len(rows)
        self.held_bytes += _bytes_of(rows)
        if self.waiting >= self._batch_size:
            self._enough.set()
        if self.waiting > self._max_rows or self.held_bytes > self._max_bytes:
            self._pause_all()
        elif len(queue.rows) > self._share and queue in self._queues:
            self._pause(queue)

    async def run(self) -> None:
        """Store what is submitted, until `stop` and everything submitted before it is stored."""
        async with asyncio.TaskGroup() as storing:
            while not (self._stopping and self._is_idle):
                if self._is_idle:
                    self._wake.clear()
                    await self._wake.wait()
                    continue
                await self._collect()
                await self._until(lambda: bool(self._free))
                batch = self._next_batch()
                if batch.nodes:
                    await self._until(lambda: len(self._storing) == 1)
                    await self._store(batch, self._lane())
                else:
                    storing.create_task(self._store(batch, self._lane()))

    async def stop(self, running: asyncio.Task[None]) -> None:
        """End `run`; when the database is away, it is waited for no longer than 20 s, and what is lost is counted."""
        self._stopping = True
        self._wake.set()
        self._enough.set()
        try:
            await asyncio.wait_for(running, STOP_TIMEOUT_S)
        except TimeoutError:
            self.lost = self.waiting + self.in_flight
            self._report("logs_lost", count=self.lost)

    @property
    def _is_idle(self) -> bool:
        return not (self.waiting or self._changed or self._leaving)

    @property
    def _share(self) -> int:
        return max(self._max_rows // (2 * len(self._active)), LEAST_SHARE)

    def _begin_to_wait(self) -> None:
        if self._is_idle:
            self._waiting_since = monotonic()
            self._wake.set()

    async def _collect(self) -> None:
        """Wait until there are enough rows, a socket has to wait, or the oldest row has waited long enough."""
        self._enough.clear()
        left_s = self._waiting_since + self._latency_s - monotonic()
        if self.waiting >= self._batch_size or self._paused or self._stopping or left_s <= 0:
            return
        try:
            async with asyncio.timeout(left_s):
                await self._enough.wait()
        except TimeoutError:
            return

    async def _until(self, condition: Callable[[], bool]) -> None:
        """Wait until it is true, which only the end of a batch makes it."""
        while not condition():
            self._ended.clear()
            await self._ended.wait()

    def _lane(self) -> int:
        lane = min(self._free)
        self._free.discard(lane)
        return lane

    async def _store(self, batch: Batch, lane: int) -> None:
        parts = [batch]
        while parts:
            parts[:1] = await self._stored(parts[0], self._lanes[lane])
        del self._storing[batch]
        self._free.add(lane)
        self.held_bytes -= _bytes_of(batch.rows)
        self.stored += len(batch.rows)
        self.batches += 1
        self._ended.set()
        self._resume()

    async def _stored(self, batch: Batch, store: Lane) -> list[Batch]:
        for attempt in range(1 << 62):
            try:
                return await store(batch)
            except Exception as error:  # nothing may be lost: it is tried again until it works
                if attempt == 0:
                    self._report("log_writer_failed", error=error)
            await asyncio.sleep(PAUSES_S[attempt] if attempt < len(PAUSES_S) else 1.0)
        raise AssertionError("attempts have no end")

    def _next_batch(self) -> Batch:
        rows = self._rows_in_turns()
        nodes = self._changed
        self._changed = {}
        for queue in [queue for queue in self._leaving if not queue.rows]:
            del self._leaving[queue]
            for node in queue.leaving:
                node.is_closed = True
                nodes[node] = None
        batch = Batch(rows, list(nodes))
        self._storing[batch], self._waiting_since = self._waiting_since, monotonic()
        return batch

    def _rows_in_turns(self) -> list[LogRow]:
        """The oldest rows of each socket, as many of each, as far as it has them."""
        rows: list[LogRow] = []
        while self._active and len(rows) < self._largest_batch:
            turn = max((self._largest_batch - len(rows)) // len(self._active), 1)
            for queue in list(islice(self._active, self._largest_batch - len(rows))):
                rows += queue.take(turn)
                del self._active[queue]
                if queue.rows:
                    self._active[queue] = None  # behind the others
        self.waiting -= len(rows)
        return rows

    def _pause_all(self) -> None:
        if not self._is_full:
            self._is_full = True
            for queue in self._queues:
                self._pause(queue)

    def _pause(self, queue: SenderQueue) -> None:
        if queue not in self._paused:
            self._paused.add(queue)
            self.pauses += 1
            queue.sender.pause()
            self._enough.set()

    def _resume(self) -> None:
        if self.waiting > self._max_rows // 2 or self.held_bytes > self._max_bytes // 2:
            return
        self._is_full = False
        share = self._share if self._active else self._max_rows
        for queue in [queue for queue in self._paused if len(queue.rows) <= share // 2]:
            self._paused.discard(queue)
            queue.sender.resume()


def _bytes_of(rows: Sequence[LogRow]) -> int:
    return sum(len(row[4]) for row in rows) + ROW_OVERHEAD_BYTES * len(rows)
