"""Group commit: what is submitted while a batch is being stored goes into the next one, in one transaction."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, NamedTuple, TypeVar

Item = TypeVar("Item")
Stored = TypeVar("Stored")


class _Group(NamedTuple, Generic[Item, Stored]):
    items: list[Item]
    done: asyncio.Future[list[Stored]]


class Batcher(Generic[Item, Stored]):
    """Stores submitted groups of items together; each group is stored whole or not at all. Up to `lanes` batches are
    being stored at the same time.

    `store` takes items and answers one value for each, in order. When it fails with anything but `is_away`, the groups
    of the batch are stored one by one, so that one that cannot be stored does not take others along. `is_full` makes
    the error for a submission that would let more than `max_waiting` items wait.
    """

    def __init__(
        self,
        store: Callable[[list[Item]], Awaitable[list[Stored]]],
        *,
        is_away: Callable[[Exception], bool],
        is_full: Callable[[], Exception],
        max_batch: int = 1000,
        max_waiting: int = 20_000,
        lanes: int = 1,
    ) -> None:
        self._store = store
        self._is_away = is_away
        self._is_full = is_full
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._groups: deque[_Group[Item, Stored]] = deque()
        self._lanes = lanes
        self._busy = 0
        self._under_way = 0
        self._wake = asyncio.Event()
        self._stopping = False
        self.waiting = 0

    async def submit(self, items: list[Item]) -> list[Stored]:
        """Store items; returns, or raises what `store` raised, when their transaction has ended."""
        if self.waiting + len(items) > self._max_waiting:
            raise self._is_full()
        done: asyncio.Future[list[Stored]] = asyncio.get_running_loop().create_future()
        self._groups.append(_Group(items, done))
        self.waiting += len(items)
        if self._is_worthwhile:
            self._wake.set()
        return await done

    async def run(self) -> None:
        """Store what is submitted, until `stop` and everything submitted before it is stored."""
        async with asyncio.TaskGroup() as storing:
            while self._groups or not self._stopping:
                if not self._is_worthwhile:
                    self._wake.clear()
                    await self._wake.wait()
                    continue
                await asyncio.sleep(0)  # those who arrive in the same turn of the loop come along
                storing.create_task(self._store_next(self._next_batch()))

    def stop(self) -> None:
        """Let `run` end when nothing waits any more."""
        self._stopping = True
        self._wake.set()

    @property
    def _is_worthwhile(self) -> bool:
        """Whether a batch is to begin: beside another only one as large, since a small one costs as much on its way."""
        return bool(self._groups) and self._busy < self._lanes and self.waiting >= self._under_way

    def _next_batch(self) -> list[_Group[Item, Stored]]:
        batch = [self._groups.popleft()]
        size = len(batch[0].items)
        largest = min(self._max_batch, self.waiting // (self._lanes - self._busy))  # a share for each free lane
        while self._groups and size + len(self._groups[0].items) <= largest:
            batch.append(self._groups.popleft())
            size += len(batch[-1].items)
        self.waiting -= size
        self._under_way += size
        self._busy += 1
        return batch

    async def _store_next(self, batch: list[_Group[Item, Stored]]) -> None:
        try:
            await self._store_batch(batch)
        finally:
            self._busy -= 1
            self._under_way -= sum(len(group.items) for group in batch)
            self._wake.set()

    async def _store_batch(self, batch: list[_Group[Item, Stored]]) -> None:
        try:
            stored = await self._store([item for group in batch for item in group.items])
        except Exception as error:  # it reaches everyone who waits for it
            await self._fail(batch, error)
            return
        start = 0
        for group in batch:
            _resolve(group.done, stored[start : start + len(group.items)])
            start += len(group.items)

    async def _fail(self, batch: list[_Group[Item, Stored]], error: Exception) -> None:
        if len(batch) == 1 or self._is_away(error):
            for group in batch:
                if not group.done.done():
                    group.done.set_exception(error)
            return
        for group in batch:
            await self._store_batch([group])


def _resolve(done: asyncio.Future[list[Stored]], stored: list[Stored]) -> None:
    if not done.done():  # the client has left
        done.set_result(stored)
