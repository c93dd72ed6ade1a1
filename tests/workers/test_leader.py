"""Who leads among several, on a real Postgres."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import asyncpg
import pytest

from db.embedded import EmbeddedPostgres
from db.leading import LeadershipLine
from tests.harness import Database, StartGateway, eventually
from workers.leader import Leader

NAME = "podium leadership"
HANG_UP = """SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_database d ON d.oid = database
WHERE locktype = 'advisory' AND datname = current_database()"""
HANG_UP_ALL = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE application_name = $1 AND datname = current_database()"""
REFUSE, ALLOW = "ALTER DATABASE {} WITH ALLOW_CONNECTIONS false", "ALTER DATABASE {} WITH ALLOW_CONNECTIONS true"


class Candidate:
    """One who would lead, with a loop that notes when it runs."""

    def __init__(self, url: str) -> None:
        self.events: list[str] = []
        self.begun = self.ended = 0
        connect = partial(LeadershipLine.open, url, NAME)
        self.leader = Leader(connect, {"loop": self._loop}, lambda event, **_: self.events.append(event))

    @property
    def works(self) -> bool:
        return self.begun > self.ended

    async def _loop(self) -> None:
        self.begun += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.ended += 1


@asynccontextmanager
async def trying(candidate: Candidate) -> AsyncIterator[None]:
    task = asyncio.create_task(candidate.leader.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


@pytest.fixture
async def candidates(database: Database) -> AsyncIterator[list[Candidate]]:
    """Three who would lead."""
    async with AsyncExitStack() as stack:
        several = [Candidate(database.logins.writer) for _ in range(3)]
        for candidate in several:
            await stack.enter_async_context(trying(candidate))
        yield several


def at_work(candidates: list[Candidate]) -> list[Candidate]:
    return [candidate for candidate in candidates if candidate.works]


async def test_one_of_several_leads_and_runs_the_loops(candidates: list[Candidate]) -> None:
    (leading,) = await eventually(lambda: at_work(candidates))
    assert leading.leader.leads
    assert leading.events == ["leadership_taken"]
    assert [candidate.leader.leads for candidate in candidates].count(True) == 1


async def test_another_one_leads_soon_when_the_leader_ends(database: Database) -> None:
    first, second = Candidate(database.logins.writer), Candidate(database.logins.writer)
    async with AsyncExitStack() as stack:
        async with trying(first):
            await eventually(lambda: first.works)
            await stack.enter_async_context(trying(second))
        assert not first.works
        await eventually(lambda: second.works, within_s=2)
        assert first.events == ["leadership_taken"], "to stop is no loss"


async def test_who_loses_the_line_stops_the_loops_at_once_and_tries_again(
    candidates: list[Candidate], connection: asyncpg.Connection
) -> None:
    (leading,) = await eventually(lambda: at_work(candidates))
    assert await connection.fetchval(HANG_UP)
    await eventually(lambda: "leadership_lost" in leading.events, within_s=0.5)
    assert leading.ended == 1
    await eventually(lambda: at_work(candidates), within_s=2)
    assert len(at_work(candidates)) == 1


async def test_nobody_leads_while_the_database_is_away_and_one_when_it_is_back(
    candidates: list[Candidate], connection: asyncpg.Connection, database: Database, postgres: EmbeddedPostgres
) -> None:
    await eventually(lambda: at_work(candidates))
    elsewhere = await asyncpg.connect(postgres.logins.superuser)
    try:
        await elsewhere.execute(REFUSE.format(database.name))
        await connection.execute(HANG_UP_ALL, NAME)
        await eventually(lambda: all("leadership_failed" in candidate.events for candidate in candidates))
        assert not at_work(candidates)
        await elsewhere.execute(ALLOW.format(database.name))
    finally:
        await elsewhere.close()
    await eventually(lambda: at_work(candidates), within_s=2)


async def test_one_of_two_gateways_leads_and_says_so(start_gateway: StartGateway) -> None:
    both = [await start_gateway() for _ in range(2)]
    (leading,) = await eventually(lambda: [one for one in both if one.gateway.leader.leads])
    (other,) = [one for one in both if one is not leading]
    assert "podium_is_leader 1.0" in (await leading.client.get("/metrics")).text
    assert "podium_is_leader 0.0" in (await other.client.get("/metrics")).text
