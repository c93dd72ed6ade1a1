"""Those who listen to nodes: told of everything once, by one look for all, whatever happens to the database."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import orjson
import pytest

from db.pool import Pool, PoolOptions, Row
from db.statements import Statement
from resolvers.errors import Internal, PodiumError, TooManySubscriptions, from_driver
from resolvers.telemetry import live, looking, reader
from resolvers.telemetry.live import LogFeed
from resolvers.telemetry.live_rows import LogRows, Pair
from tests.feed_clients import ADA, IMPORT, Writer, make_known, open_writer
from tests.harness import Database, eventually

BLOCKS = Pair(ADA, IMPORT)
LONG_AGO = datetime(2019, 1, 1, tzinfo=UTC)


class Collector:
    """Takes what it is told."""

    is_behind = False

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.shared: list[LogRows] = []
        self.settled_at: list[datetime | None] = []
        self.errors: list[PodiumError] = []
        self.is_ended = False

    def deliver(self, rows: LogRows) -> None:
        self.shared.append(rows)
        self.numbers += [orjson.loads(row.message)["n"] for row in rows.rows]

    def settled(self, at: datetime | None) -> None:
        self.settled_at.append(at)

    def away(self, error: PodiumError) -> None:
        self.errors.append(error)

    def end(self) -> None:
        self.is_ended = True

    async def drained(self) -> None:
        """It always is."""

    async def heard(self, *numbers: int, within_s: float = 5) -> None:
        """Return when it was told these, and nothing else."""
        await eventually(lambda: len(self.numbers) >= len(numbers), within_s)
        assert self.numbers == list(numbers)


class Failing(Collector):
    """Fails at everything."""

    def deliver(self, rows: LogRows) -> None:
        raise RuntimeError

    settled = away = deliver  # type: ignore[assignment]


class Counted:
    """A pool, and how often each statement was asked of it."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.asked: Counter[str] = Counter()

    async def fetch(self, statement: Statement, **parameters: Any) -> list[Row]:
        self.asked[statement.name] += 1
        return await self.pool.fetch(statement, **parameters)

    fetchrow = fetchval = fetch  # a feed asks for lists alone


Reported = list[tuple[str, dict[str, Any]]]
MakeFeed = Callable[..., Awaitable[tuple[LogFeed, Counted, Reported]]]


@pytest.fixture
async def make_feed(database: Database) -> AsyncIterator[MakeFeed]:
    """Makes feeds that look often."""
    async with AsyncExitStack() as stack:

        async def make(interval_s: float = 0.02, timeout_s: float = 5) -> tuple[LogFeed, Counted, Reported]:
            pool = Pool(database.logins.writer, PoolOptions(size=4, timeout_s=5), from_driver)
            await pool.open()
            stack.push_async_callback(pool.close)
            counted, reported = Counted(pool), Reported()
            feed = LogFeed(
                counted,
                lambda event, **facts: reported.append((event, facts)),
                interval_s=interval_s,
                timeout_s=timeout_s,
            )
            stack.push_async_callback(feed.close)
            return feed, counted, reported

        yield make


@pytest.fixture
async def writer(database: Database, connection: asyncpg.Connection) -> AsyncIterator[Writer]:
    """One that stores logs of a node that is known."""
    await make_known(connection, ADA)
    async with open_writer(database) as writer:
        yield writer


async def looks(collector: Collector, times: int = 3) -> None:
    """Return after some more looks at the database."""
    before = len(collector.settled_at)
    await eventually(lambda: len(collector.settled_at) >= before + times)


async def listening(feed: LogFeed, pair: Pair = BLOCKS, **given: Any) -> Collector:
    """One that listens from now on."""
    collector = Collector()
    feed.listen(pair, collector, **given)
    await looks(collector, 1)
    return collector


async def test_a_transaction_that_was_under_way_is_told_when_it_ends(
    make_feed: MakeFeed, writer: Writer, database: Database
) -> None:
    feed, _, _ = await make_feed()
    collector = await listening(feed)
    async with open_writer(database, 8) as other:
        async with other.connection.transaction():
            await other.say()
            await writer.say(n=100)
            # Others commit meanwhile, and a good many looks pass; time goes on far beyond what any look leaves out.
            passed = datetime.now(UTC) + 3 * looking.MARGIN
            while datetime.now(UTC) < passed:
                await looks(collector)
            assert collector.numbers == []
        await eventually(lambda: len(collector.numbers) == 2)
    assert sorted(collector.numbers) == [1, 1]


async def test_a_writer_that_this_login_must_not_look_at_is_given_some_time(
    make_feed: MakeFeed, writer: Writer, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "HIDDEN_FOR", timedelta(seconds=1.5))
    feed, _, _ = await make_feed()
    settings = {"application_name": "podium telemetry 7"}
    hidden = Writer(await asyncpg.connect(database.logins.superuser, server_settings=settings), 7 << 32)
    try:
        collector = await listening(feed)
        async with hidden.connection.transaction():
            await hidden.say()
            await looks(collector, 20)
        await collector.heard(1)
    finally:
        await hidden.connection.close()


async def test_one_look_is_for_all_and_nothing_is_looked_at_while_nobody_listens(
    make_feed: MakeFeed, writer: Writer, connection: asyncpg.Connection
) -> None:
    await make_known(connection, "bob")
    feed, counted, _ = await make_feed()
    pairs = [BLOCKS, Pair(ADA, "b"), Pair("bob", IMPORT), Pair("unknown", IMPORT), Pair(ADA, None)]
    places = []
    for pair in pairs * 20:
        places.append(feed.listen(pair, collector := Collector()))
    await looks(collector)
    assert counted.asked["feed.logs_between"] <= counted.asked["feed.clock"]
    assert counted.asked["feed.peers"] <= counted.asked["feed.clock"]
    for place in places:
        feed.leave(place)
    assert (feed.number, feed.is_looking) == (0, False)
    asked = counted.asked.copy()
    for _ in range(10):
        await writer.say()
    assert counted.asked == asked


async def test_what_many_are_told_is_read_and_made_once(make_feed: MakeFeed, writer: Writer) -> None:
    feed, _, _ = await make_feed()
    collectors = [Collector() for _ in range(250)]
    for collector in collectors:
        feed.listen(BLOCKS, collector)
    await looks(collectors[-1], 10)  # from when on all are told of whole pages
    await writer.say(times=3)
    await collectors[-1].heard(1, 2, 3)
    await writer.say()
    for collector in collectors:
        await collector.heard(1, 2, 3, 4)
    assert len({id(collector.shared[-1]) for collector in collectors}) == 1


async def test_whoever_wants_all_of_a_node_is_told_all(make_feed: MakeFeed, writer: Writer) -> None:
    feed, _, _ = await make_feed()
    everything, blocks = await listening(feed, Pair(ADA, None)), await listening(feed)
    await writer.say(msg="other", ts="2026-01-01T00:00:01+00:00")
    await writer.say(message={"ts": "2026-01-01T00:00:02+00:00"})
    await writer.say(ts="2026-01-01T00:00:03+00:00")
    await everything.heard(1, 2, 3)
    await blocks.heard(3)
    history = await listening(feed, Pair(ADA, None), start=LONG_AGO)
    await eventually(lambda: len(history.numbers) == 3)


@pytest.mark.parametrize("limits", [{"PAGE_ROWS": 3}, {"PAGE_BYTES": 200}, {"PAGE_ROWS": 1, "PAGE_BYTES": 1}])
async def test_pages_lose_nothing_and_repeat_nothing(
    make_feed: MakeFeed, writer: Writer, monkeypatch: pytest.MonkeyPatch, limits: dict[str, int]
) -> None:
    for name, limit in limits.items():
        monkeypatch.setattr(reader, name, limit)
    feed, _, _ = await make_feed()
    collector = await listening(feed)
    for times in (1, 7, 3, 20):
        await writer.say(times=times, ts="2026-01-01T00:00:00+00:00")
    await collector.heard(*range(1, 32))
    history = Collector()
    feed.listen(BLOCKS, history, LONG_AGO)
    await history.heard(*range(1, 32))


async def test_a_look_that_takes_too_long_is_given_up_and_repeated(
    make_feed: MakeFeed, writer: Writer, connection: asyncpg.Connection
) -> None:
    feed, _, reported = await make_feed(timeout_s=0.2)
    collector = await listening(feed)
    await writer.say()
    await collector.heard(1)
    async with connection.transaction():
        await writer.say()
        await connection.execute("LOCK TABLE podium.peer_logs IN ACCESS EXCLUSIVE MODE")
        await eventually(lambda: collector.errors)
        await eventually(lambda: sum(event == "feed_failed" for event, _ in reported) > 2)
        assert collector.numbers == [1]
    await collector.heard(1, 2)
    assert len(collector.errors) == 1  # it is told once


async def test_one_that_fails_takes_nobody_along(make_feed: MakeFeed, writer: Writer) -> None:
    feed, _, reported = await make_feed()
    feed.listen(BLOCKS, Failing())
    collector = await listening(feed)
    await writer.say()
    await collector.heard(1)
    assert {event for event, _ in reported} == {"internal_error"}


async def test_a_stream_that_cannot_be_made_ends_with_an_error(make_feed: MakeFeed, writer: Writer) -> None:
    feed, _, reported = await make_feed()

    def make(rows: LogRows) -> list[int]:
        raise RuntimeError

    stream = await feed.stream(BLOCKS, make)
    await writer.say()
    with pytest.raises(Internal):
        await anext(stream)
    assert ([event for event, _ in reported], feed.number) == (["internal_error"], 0)


async def test_a_node_that_was_forgotten_and_comes_back_is_told_of(
    make_feed: MakeFeed, writer: Writer, connection: asyncpg.Connection
) -> None:
    feed, _, _ = await make_feed()
    collector = await listening(feed)
    await writer.say()
    await collector.heard(1)
    await connection.execute("DELETE FROM podium.peer_connections; DELETE FROM podium.peers")
    await looks(collector)
    await make_known(connection, ADA)
    await writer.say()
    await collector.heard(1, 2)


async def test_when_somebody_sets_the_clock_back_the_feed_goes_on_from_there(
    make_feed: MakeFeed, writer: Writer
) -> None:
    feed, _, reported = await make_feed()
    collector = await listening(feed)
    assert feed._looking
    # As if the clock had been an hour ahead at the last look; one that reads at the moment would forget it.
    await feed._looking.is_idle.wait()
    assert feed._looking._told
    assert feed._looking._position
    present, told_s = feed._looking._told
    hour = timedelta(hours=1)
    feed._looking._told = present + hour, told_s
    feed._looking._position = feed._looking.position._replace(stored_at=feed._looking.position.stored_at + hour)
    await eventually(lambda: reported)
    await writer.say()
    await collector.heard(1)
    assert [event for event, _ in reported] == ["feed_clock_stepped"]


async def test_there_are_so_many_at_most(make_feed: MakeFeed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MAX_LISTENING", 2)
    feed, _, _ = await make_feed()
    place = feed.listen(BLOCKS, Collector())
    feed.listen(BLOCKS, Collector(), LONG_AGO)
    with pytest.raises(TooManySubscriptions):
        feed.listen(BLOCKS, Collector())
    feed.leave(place)
    feed.leave(place)
    feed.listen(BLOCKS, Collector())
    assert feed.number == 2


async def test_closing_ends_all_and_leaves_no_task(make_feed: MakeFeed, writer: Writer) -> None:
    feed, _, _ = await make_feed()
    collector, late = await listening(feed), Collector()
    feed.listen(BLOCKS, late, LONG_AGO)
    await feed.close()
    assert collector.is_ended
    assert feed.number == 0

    def tasks() -> set[str]:
        names = {getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks()}
        return names & {"Looking.run", "CatchingUp.run"}

    await eventually(lambda: not tasks())
