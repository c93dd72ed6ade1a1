"""Viewers, their limits and ids, and who is told of them: by what both doors ask."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from db.pool import Database
from resolvers.errors import InvalidArgument, NotFound, StreamLimitReached
from resolvers.streams import feed
from resolvers.streams.deciding import Ask, Rules, decide
from resolvers.streams.seats import Seats
from resolvers.streams.tidying import active_streams, expire, forget_unused
from resolvers.streams.viewers import streams_by_id
from tests.harness import Running, StartGateway, eventually
from tests.viewers import add

HOUR = timedelta(hours=1)
ACTIVATE = "UPDATE podium.viewers SET active = jsonb_build_object($2::text, '[1, null]'::jsonb) WHERE id = $1"
LOCKED_OUT = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
FOLLOWED = "SELECT followed_until FROM podium.viewers"
END_LINES = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'podium viewers'"


@pytest.fixture
def seats(db: Database) -> Seats:
    return Seats(db.write, Rules(3), Counter())


async def _release(seats: Seats, viewer: str, stream: str) -> object:
    return await seats.release(viewer, [stream], actor="root")


def ids(viewer: object) -> list[str]:
    return [stream.id for stream in getattr(viewer, "active_streams", ())]


async def test_a_viewer_shows_what_it_watches(seats: Seats) -> None:
    viewer, stream = await seats.add_viewer(), await seats.add_stream()
    shown = await seats.activate(viewer, stream)
    assert (shown.id, shown.limit, shown.has_own_limit, ids(shown)) == (viewer, 3, False, [stream])
    assert abs(shown.active_streams[0].since - datetime.now(UTC)) < timedelta(minutes=1)
    assert shown.active_streams[0].expires_at is None
    assert await seats.viewer(viewer) == shown
    assert ids(await seats.deactivate(viewer, stream)) == []
    assert await seats.viewer("nobody") is None


async def test_a_viewer_may_have_a_limit_of_its_own(seats: Seats) -> None:
    viewer, streams = await seats.add_viewer(), [await seats.add_stream() for _ in range(3)]
    assert (await seats.set_limit(viewer, 1, actor="root")).limit == 1
    await seats.activate(viewer, streams[0])
    with pytest.raises(StreamLimitReached):
        await seats.activate(viewer, streams[1])
    await seats.set_limit(viewer, 2, actor="root")
    await seats.activate(viewer, streams[1])
    lowered = await seats.set_limit(viewer, 0, actor="root")
    assert (lowered.limit, ids(lowered)) == (0, streams[:2])
    await seats.activate(viewer, streams[0])
    with pytest.raises(StreamLimitReached):
        await seats.activate(viewer, streams[2])
    shown = await seats.set_limit(viewer, None, actor="root")
    assert (shown.limit, shown.has_own_limit) == (3, False)
    await seats.activate(viewer, streams[2])


@pytest.mark.parametrize("limit", [-1, 1001])
async def test_a_limit_has_bounds(seats: Seats, limit: int) -> None:
    with pytest.raises(InvalidArgument, match="from 0 to 1000"):
        await seats.set_limit(await seats.add_viewer(), limit, actor="root")


async def test_what_is_not_there_is_said(seats: Seats) -> None:
    viewer, stream = await seats.add_viewer(), await seats.add_stream()
    for given in ((viewer, "x"), ("x", stream), (viewer, "\0"), ("\0", stream), ("x" * 999, stream)):
        with pytest.raises(NotFound):
            await seats.activate(*given)
        with pytest.raises(NotFound):
            await seats.deactivate(*given)
    for nobody in ("x", "", "\0"):
        with pytest.raises(NotFound):
            await seats.set_limit(nobody, 1, actor="root")
        with pytest.raises(NotFound):
            await seats.release(nobody, actor="root")


async def test_streams_can_be_taken_from_a_viewer(seats: Seats) -> None:
    viewer, streams = await seats.add_viewer(), [await seats.add_stream() for _ in range(3)]
    for stream in streams:
        await seats.activate(viewer, stream)
    assert ids(await seats.release(viewer, [streams[1], "x"], actor="root")) == [streams[0], streams[2]]
    assert ids(await seats.release(viewer, actor="root")) == []
    assert ids(await seats.activate(viewer, streams[1])) == [streams[1]]


async def test_a_lease_ends_without_anybody_at_work(db: Database, connection: asyncpg.Connection) -> None:
    (viewer,), streams = await add(connection, viewers=1, streams=4)
    now, rules = datetime.now(UTC), Rules(3, lease_s=30)
    asks = [Ask(viewer, stream, activates=True) for stream in streams]
    assert [*map(str, (await decide(db.write, asks[:3], rules, now)).verdicts)] == ["activated"] * 3
    again = await decide(db.write, asks[1:], rules, now + timedelta(seconds=29))
    assert [*map(str, again.verdicts)] == ["renewed", "renewed", "limit_reached"]
    later = await decide(db.write, asks[3:], rules, now + timedelta(seconds=30))
    assert ([*map(str, later.verdicts)], later.expired) == (["activated"], 1)
    assert await expire(db.write, now + timedelta(seconds=58)) == 0
    assert await expire(db.write, now + timedelta(seconds=59)) == 2
    assert await active_streams(db.write) == (1, 1)


async def test_many_leases_end_in_batches(db: Database, connection: asyncpg.Connection) -> None:
    viewers, (stream,) = await add(connection, viewers=7, streams=1)
    now = datetime.now(UTC)
    await decide(db.write, [Ask(viewer, stream, activates=True) for viewer in viewers], Rules(3, lease_s=1), now)
    assert await active_streams(db.write) == (7, 7)
    assert await expire(db.write, now + HOUR, batch=3) == 7
    assert await active_streams(db.write) == (0, 0)


async def test_ids_that_are_never_used_expire(db: Database, seats: Seats) -> None:
    told: list[tuple[str, int]] = []

    def report(event: str, what: str, count: int) -> None:
        told.append((what, count))

    used, unused, limited = [await seats.add_viewer() for _ in range(3)]
    watched, unwatched = [await seats.add_stream() for _ in range(2)]
    await seats.activate(used, watched)
    await seats.deactivate(used, watched)
    await seats.set_limit(limited, 9, actor="root")
    await forget_unused(db.write, HOUR.total_seconds(), report)
    assert told == []
    await forget_unused(db.write, HOUR.total_seconds(), report, at=datetime.now(UTC) + 2 * HOUR)
    assert told == [("viewers", 1), ("streams", 1)]
    assert await seats.viewer(unused) is None
    assert await seats.viewer(used)
    assert await seats.viewer(limited)
    assert [row and row.id for row in await streams_by_id(db.read, [watched, unwatched])] == [watched, None]


async def test_who_watches_a_stream_can_leave_it_when_its_id_is_gone(
    seats: Seats, connection: asyncpg.Connection
) -> None:
    viewer, stream = await seats.add_viewer(), await seats.add_stream()
    await seats.activate(viewer, stream)
    await connection.execute("DELETE FROM podium.streams")
    assert ids(await seats.activate(viewer, stream)) == [stream]
    assert ids(await seats.deactivate(viewer, stream)) == []
    with pytest.raises(NotFound):
        await seats.activate(viewer, stream)


@pytest.fixture
async def two(start_gateway: StartGateway) -> tuple[Running, Running]:
    return await start_gateway(stream_lease_s="3"), await start_gateway(stream_lease_s="0")


async def test_subscribers_are_told_whatever_changes_at_any_gateway(two: tuple[Running, Running]) -> None:
    here, there = (running.gateway.viewers for running in two)
    viewer, stream = await here.seats.add_viewer(), await here.seats.add_stream()
    states = await there.feed.states(viewer)
    assert [ids(state) for state in await anext(states)] == [[]]
    await here.seats.activate(viewer, stream)
    assert [ids(state) for state in await anext(states)] == [[stream]]
    assert [ids(state) for state in await anext(states)] == [[]]  # the lease has ended
    await here.seats.set_limit(viewer, 7, actor="root")
    assert [state.limit for state in await anext(states)] == [7]
    await states.aclose()


async def test_subscribers_are_told_what_they_missed_while_the_line_was_lost(
    running: Running, connection: asyncpg.Connection
) -> None:
    viewers = running.gateway.viewers
    viewer, stream = await viewers.seats.add_viewer(), await viewers.seats.add_stream()
    states = await viewers.feed.states(viewer)
    await anext(states)
    await connection.execute(END_LINES)
    await viewers.seats.activate(viewer, stream)
    while not (state := (await anext(states))[-1]).active_streams:
        pass
    assert ids(state) == [stream]
    await states.aclose()


async def test_nobody_listens_when_nobody_subscribes(running: Running) -> None:
    viewers = running.gateway.viewers
    states = [await viewers.feed.states(await viewers.seats.add_viewer()) for _ in range(2)]
    for state in states:
        assert viewers.feed.is_listening
        await state.aclose()
    assert not viewers.feed.is_listening


async def test_a_viewer_that_is_not_there_cannot_be_subscribed_to(running: Running) -> None:
    states = await running.gateway.viewers.feed.states("nobody")
    with pytest.raises(NotFound):
        await anext(states)
    await states.aclose()


@pytest.mark.parametrize("deed", [Seats.deactivate, _release])
async def test_what_waited_for_an_activation_ends_it(
    seats: Seats, connection: asyncpg.Connection, deed: Callable[..., Awaitable[object]]
) -> None:
    (viewer,), (stream,) = await add(connection, viewers=1, streams=1)
    async with connection.transaction():
        await connection.execute(ACTIVATE, viewer, stream)
        waiting = asyncio.create_task(deed(seats, viewer, stream))
        async with asyncio.timeout(5):
            while not await connection.fetchval(LOCKED_OUT):
                await asyncio.sleep(0.01)
    assert ids(await waiting) == []


async def test_changes_are_called_out_where_somebody_may_hear_it(seats: Seats, connection: asyncpg.Connection) -> None:
    (viewer,), streams = await add(connection, viewers=1, streams=3)
    heard: list[str] = []
    await connection.add_listener("podium_viewers", lambda *told: heard.append(told[3]))
    await seats.activate(viewer, streams[0])
    await seats.follow([viewer], 60)
    await seats.activate(viewer, streams[1])
    await eventually(lambda: heard == [viewer])
    await seats.follow([viewer], -1)
    await seats.activate(viewer, streams[2])
    await connection.execute("SELECT pg_notify('podium_viewers', 'last')")
    await eventually(lambda: heard == [viewer, "last"])


async def test_viewers_are_followed_for_as_long_as_somebody_subscribes(
    start_gateway: StartGateway, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "RENEWED_S", 0.0)
    viewers = (await start_gateway()).gateway.viewers
    viewer = await viewers.seats.add_viewer()
    states = await viewers.feed.states(viewer)
    first = await connection.fetchval(FOLLOWED)
    assert first
    async with asyncio.timeout(10):
        while await connection.fetchval(FOLLOWED) == first:
            await asyncio.sleep(0.05)
    await states.aclose()
