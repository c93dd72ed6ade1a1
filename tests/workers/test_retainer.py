"""The loop that lets go of what is kept no longer."""

import asyncio
from datetime import UTC, datetime

import pytest

from tests.harness import eventually
from workers.retainer import let_go


async def test_every_step_is_told_the_present_time_one_after_the_other() -> None:
    told: list[tuple[str, datetime]] = []

    async def results(now: datetime) -> None:
        told.append(("results", now))

    async def payloads(now: datetime) -> None:
        told.append(("payloads", now))

    began = datetime.now(UTC)
    loop = asyncio.create_task(let_go([results, payloads], lambda event, **facts: None))
    await eventually(lambda: len(told) == 2)
    assert [name for name, _ in told] == ["results", "payloads"]
    assert all(began <= now <= datetime.now(UTC) for _, now in told)
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)


async def test_a_failure_is_reported_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.retainer.RETRY_S", 0)
    reported: list[str] = []
    called = 0

    async def step(now: datetime) -> None:
        nonlocal called
        called += 1
        if called < 3:
            raise OSError("away")

    loop = asyncio.create_task(let_go([step], lambda event, **facts: reported.append(event)))
    await eventually(lambda: called == 3)
    assert reported == ["retention_failed"] * 2
    assert not loop.done()
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)
