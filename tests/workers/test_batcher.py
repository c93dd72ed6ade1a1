"""Group commit."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from workers.batcher import Batcher


class Away(Exception):
    """The store cannot be reached."""


class Full(Exception):
    """Too much is waiting."""


class Store:
    """Stores numbers as their doubles; refuses what is negative, and waits while its gate is closed."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.called = asyncio.Event()
        self.away = False

    async def __call__(self, items: list[int]) -> list[int]:
        self.batches.append(items)
        self.called.set()
        await self.gate.wait()
        if self.away:
            raise Away
        if any(item < 0 for item in items):
            raise ValueError("negative")
        return [item * 2 for item in items]


@pytest.fixture
def store() -> Store:
    """A store whose gate is open."""
    return Store()


@pytest.fixture
async def batcher(store: Store) -> AsyncIterator[Batcher[int, int]]:
    """A running batcher of at most 10 items a batch and 50 waiting."""
    made: Batcher[int, int] = Batcher(
        store, is_away=lambda error: isinstance(error, Away), is_full=Full, max_batch=10, max_waiting=50
    )
    task = asyncio.create_task(made.run())
    yield made
    store.gate.set()
    made.stop()
    await task


async def test_what_arrives_meanwhile_is_stored_together(store: Store, batcher: Batcher[int, int]) -> None:
    store.gate.clear()
    submitted = [asyncio.create_task(batcher.submit([number])) for number in range(8)]
    await store.called.wait()
    store.gate.set()
    assert await asyncio.gather(*submitted) == [[number * 2] for number in range(8)]
    assert len(store.batches) <= 2


async def test_a_batch_is_bounded_and_groups_stay_whole(store: Store, batcher: Batcher[int, int]) -> None:
    store.gate.clear()
    submitted = [asyncio.create_task(batcher.submit([number] * 4)) for number in range(6)]
    await store.called.wait()
    store.gate.set()
    assert await asyncio.gather(*submitted) == [[number * 2] * 4 for number in range(6)]
    assert all(len(batch) <= 10 and len(batch) % 4 == 0 for batch in store.batches)


async def test_one_group_that_cannot_be_stored_takes_no_other_along(store: Store, batcher: Batcher[int, int]) -> None:
    store.gate.clear()
    submitted = [asyncio.create_task(batcher.submit([number])) for number in (1, 2, -3, 4)]
    await store.called.wait()
    store.gate.set()
    first, second, third, fourth = await asyncio.gather(*submitted, return_exceptions=True)
    assert (first, second, fourth) == ([2], [4], [8])
    assert isinstance(third, ValueError)


async def test_everyone_hears_that_the_store_is_away(store: Store, batcher: Batcher[int, int]) -> None:
    store.away = True
    results = await asyncio.gather(*(batcher.submit([number]) for number in range(5)), return_exceptions=True)
    assert all(isinstance(result, Away) for result in results)
    store.away = False
    assert await batcher.submit([7]) == [14]


async def test_a_full_queue_refuses_at_once(store: Store, batcher: Batcher[int, int]) -> None:
    store.gate.clear()
    being_stored = asyncio.create_task(batcher.submit([1]))
    await store.called.wait()
    waiting = [asyncio.create_task(batcher.submit([1] * 10)) for _ in range(5)]
    await asyncio.sleep(0)
    with pytest.raises(Full):
        await batcher.submit([1])
    store.gate.set()
    assert len(await asyncio.gather(being_stored, *waiting)) == 6
    assert batcher.waiting == 0


async def test_a_client_that_leaves_disturbs_nobody(store: Store, batcher: Batcher[int, int]) -> None:
    store.gate.clear()
    leaving = asyncio.create_task(batcher.submit([1]))
    staying = asyncio.create_task(batcher.submit([2]))
    await store.called.wait()
    leaving.cancel()
    store.gate.set()
    assert await staying == [4]


async def test_stopping_stores_what_was_submitted(store: Store) -> None:
    batcher: Batcher[int, int] = Batcher(store, is_away=lambda _: False, is_full=Full)
    submitted = [asyncio.create_task(batcher.submit([number])) for number in range(3)]
    await asyncio.sleep(0)
    batcher.stop()
    await batcher.run()
    assert await asyncio.gather(*submitted) == [[0], [2], [4]]


async def test_lanes_share_what_waits_and_store_it_side_by_side(store: Store) -> None:
    batcher: Batcher[int, int] = Batcher(store, is_away=lambda _: False, is_full=Full, lanes=2)
    store.gate.clear()
    running = asyncio.create_task(batcher.run())
    submitted = [asyncio.create_task(batcher.submit([number])) for number in range(5)]
    while len(store.batches) < 2:
        await asyncio.sleep(0)
    late = asyncio.create_task(batcher.submit([5]))
    await asyncio.sleep(0)
    assert store.batches == [[0, 1], [2, 3, 4]]
    assert batcher.waiting == 1, "both lanes are busy"
    store.gate.set()
    assert await late == [10]
    batcher.stop()
    await running
    assert await asyncio.gather(*submitted) == [[0], [2], [4], [6], [8]]


async def test_a_batch_begins_beside_another_once_it_is_as_large(store: Store) -> None:
    batcher: Batcher[int, int] = Batcher(store, is_away=lambda _: False, is_full=Full, lanes=2)
    store.gate.clear()
    running = asyncio.create_task(batcher.run())
    submitted = [asyncio.create_task(batcher.submit([0, 1]))]
    await store.called.wait()
    for number in (2, 3, 4):
        submitted.append(asyncio.create_task(batcher.submit([number])))
        for _ in range(5):  # turns of the loop in which it could begin
            await asyncio.sleep(0)
        assert len(store.batches) == (1 if number == 2 else 2)
    store.gate.set()
    assert await asyncio.gather(*submitted) == [[0, 2], [4], [6], [8]]
    assert store.batches == [[0, 1], [2, 3], [4]]
    batcher.stop()
    await running
