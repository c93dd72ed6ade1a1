"""The loop that builds and repairs roll-ups."""

import asyncio

import pytest

from tests.harness import eventually
from workers.rollup_keeper import keep_rollups


@pytest.mark.parametrize("failing", ["build", "repair"])
async def test_a_failure_is_reported_and_outlived(failing: str) -> None:
    called: list[str] = []
    reported: list[str] = []

    async def step(name: str) -> None:
        called.append(name)
        if name == failing:
            raise OSError("away")

    loop = asyncio.create_task(
        keep_rollups(lambda: step("build"), lambda: step("repair"), lambda event, **facts: reported.append(event))
    )
    await eventually(lambda: reported == ["rollups_failed"])
    assert called == ["build", "repair"][: 1 + (failing == "repair")]
    assert not loop.done()
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)
