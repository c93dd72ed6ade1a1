"""Who may ask while the database is away, and for how long anybody waits."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from resolvers.errors import InvalidArgument, TimedOut, Unavailable
from resolvers.streams import attempts
from resolvers.streams.attempts import PAUSE_S, Attempts


class Clock:
    """A time that goes on when it is told to."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def failing(error: Exception) -> Callable[[], Coroutine[Any, Any, None]]:
    async def work() -> None:
        raise error

    return work


async def works() -> str:
    return "it is there"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def away(clock: Clock) -> Attempts:
    """After a failure."""
    found = Attempts(clock)
    found.admit()
    with pytest.raises(Unavailable):
        await found.run(failing(Unavailable()))
    return found


async def test_all_may_ask_while_it_is_there(clock: Clock) -> None:
    found = Attempts(clock)
    for _ in range(3):
        found.admit()
        assert await found.run(works) == "it is there"
    assert not found.is_away


async def test_one_may_try_every_now_and_then_while_it_is_away(away: Attempts, clock: Clock) -> None:
    for _ in range(3):
        with pytest.raises(Unavailable):
            away.admit()
        clock.now_s += PAUSE_S
        away.admit()
        with pytest.raises(Unavailable):
            away.admit()
        with pytest.raises(Unavailable):
            await away.run(failing(Unavailable()))
    clock.now_s += PAUSE_S
    away.admit()
    assert await away.run(works) == "it is there"
    away.admit()
    away.admit()


async def test_those_who_were_admitted_before_it_failed_are_refused_too(away: Attempts) -> None:
    with pytest.raises(Unavailable):
        await away.run(works)


async def test_a_trial_that_never_ends_is_followed_by_another(away: Attempts, clock: Clock) -> None:
    clock.now_s += PAUSE_S
    away.admit()
    clock.now_s += attempts.PATIENCE_S + PAUSE_S
    away.admit()
    assert await away.run(works) == "it is there"


async def test_an_error_of_another_kind_shows_that_it_is_there(away: Attempts, clock: Clock) -> None:
    clock.now_s += PAUSE_S
    away.admit()
    with pytest.raises(InvalidArgument):
        await away.run(failing(InvalidArgument("no")))
    assert not away.is_away


async def test_nobody_waits_for_what_cannot_be_stopped(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "PATIENCE_S", 0.01)
    released = asyncio.Event()

    async def hang() -> None:
        try:
            await released.wait()
        except asyncio.CancelledError:
            await released.wait()
            raise OSError("the connection is broken") from None

    found = Attempts(clock)
    with pytest.raises(TimedOut):
        await found.run(hang)
    assert found.is_away
    released.set()


async def test_who_leaves_ends_what_it_asked_for() -> None:
    found, ended = Attempts(), asyncio.Event()

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    leaving = asyncio.create_task(found.run(wait))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    leaving.cancel()
    await ended.wait()
    assert not found.is_away
