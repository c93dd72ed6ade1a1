"""Questions to a streaming replica: while it is well, and on the primary while it lags, hangs or is away."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from signal import SIGSTOP
from typing import Any

import psutil
import pytest

from db.embedded import EmbeddedPostgres
from db.routing import RoutedReads, Source
from gateway.app import Gateway
from gateway.parts import Urls
from gateway.settings import Settings
from tests.harness import SECRET, NewDatabase, Running, StartGateway, eventually, serving
from tests.replica import StreamingReplica, replicated

RESULT = {"region": "FRA", "orchestrator": "0x1", "success_rate": 1, "round_trip_time": 0.5}
COUNT = "{ stats { totalCount } }"
MAX_LAG_S = 3


class Replicated:
    """A primary, its replica, and a gateway that asks the replica."""

    def __init__(self, primary: EmbeddedPostgres, replica: StreamingReplica, running: Running) -> None:
        self.primary = primary
        self.replica = replica
        self.running = running
        self.superuser = primary.logins.superuser

    @property
    def reads(self) -> RoutedReads:
        """Where the gateway's questions lead."""
        reads = self.running.gateway.db.read
        assert isinstance(reads, RoutedReads)
        return reads

    async def leads_to(self, source: Source) -> None:
        """Return when questions lead there."""
        await eventually(lambda: self.reads.source is source, within_s=10)

    async def count(self) -> int:
        """The number of results, as a client sees it."""
        return int((await self.running.ask(COUNT))["stats"]["totalCount"])

    async def shows(self, number: int) -> None:
        """Return when clients see so many results."""
        async with asyncio.timeout(10):
            while await self.count() != number:
                await asyncio.sleep(0.01)

    async def post(self) -> None:
        """Store a result."""
        assert (await self.running.post_stat(**RESULT)).status_code == 200


@asynccontextmanager
async def gateway_of(primary: EmbeddedPostgres, replica: StreamingReplica) -> AsyncIterator[Replicated]:
    urls = Urls(primary.logins.writer, replica.url(primary.logins.reader))
    settings = Settings(
        _env_file=None, secret=SECRET, postgres=urls.write, postgres_read=urls.read, replica_max_lag=MAX_LAG_S
    )
    async with serving(Gateway(settings, urls)) as running:
        yield Replicated(primary, replica, running)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Replicated]:
    """Everything well."""
    async with replicated(tmp_path) as (primary, replica), gateway_of(primary, replica) as world:
        await world.leads_to(Source.REPLICA)
        yield world


@asynccontextmanager
async def asking(world: Replicated, number: int = 8) -> AsyncIterator[list[int]]:
    """Questions inside the block, several at a time, none of which may fail; the statuses so far."""
    statuses: list[int] = []
    is_over = asyncio.Event()

    async def ask() -> None:
        while not is_over.is_set():
            answer = await world.running.client.get("/api/raw_stats?orchestrator=0x1")
            statuses.append(answer.status_code)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(number):
            tasks.create_task(ask())
        yield statuses
        is_over.set()
    assert set(statuses) == {200}


async def test_a_replica_that_is_well_is_asked_and_its_answers_are_not_kept(world: Replicated) -> None:
    await world.post()
    await world.shows(1)
    before = dict(world.reads.counts)
    for _ in range(3):
        assert await world.count() == 1
    assert world.reads.counts["replica"] > before["replica"]
    assert world.reads.counts["primary"] == before["primary"]
    assert world.running.gateway.answers.counts["kept"] == 0
    metrics = (await world.running.client.get("/metrics")).text
    assert "podium_replica_used 1.0" in metrics
    assert "podium_replica_lag_seconds 0." in metrics
    assert 'podium_reads_total{source="replica"}' in metrics


async def test_a_replica_that_lags_is_left_in_time_and_used_again_when_it_has_caught_up(world: Replicated) -> None:
    await world.post()
    await world.shows(1)
    await world.replica.execute(world.superuser, "SELECT pg_wal_replay_pause()::text")
    began = time.monotonic()
    await world.post()
    await world.shows(2)
    assert time.monotonic() - began < MAX_LAG_S
    assert world.reads.source is Source.PRIMARY
    assert "podium_replica_used 0.0" in (await world.running.client.get("/metrics")).text
    await world.replica.execute(world.superuser, "SELECT pg_wal_replay_resume()::text")
    await world.leads_to(Source.REPLICA)
    assert await world.count() == 2


async def test_no_question_fails_when_the_replica_is_killed_and_comes_back(world: Replicated) -> None:
    async with asking(world) as statuses:
        for _ in range(2):
            await world.replica.kill()
            await world.leads_to(Source.PRIMARY)
            answered = len(statuses)
            await eventually(lambda: len(statuses) > answered + 50)  # noqa: B023
            await world.replica.start(world.superuser)
            await world.leads_to(Source.REPLICA)
    assert world.reads.counts["repeated"] > 0


async def test_questions_to_a_replica_that_hangs_are_answered_by_the_primary(world: Replicated) -> None:
    async with asking(world) as statuses:
        await eventually(lambda: len(statuses) > 50)
        world.replica.suspend()
        await world.leads_to(Source.PRIMARY)
        answered = len(statuses)
        await eventually(lambda: len(statuses) > answered + 50, within_s=10)
        world.replica.resume()
        await world.leads_to(Source.REPLICA)


async def test_answers_that_are_kept_on_the_primary_are_old_after_the_replica_was_asked(world: Replicated) -> None:
    await world.replica.kill()
    await world.leads_to(Source.PRIMARY)
    kept = world.running.gateway.answers.counts
    await eventually(lambda: world.running.gateway.versions.are_heard)
    assert [await world.count(), await world.count(), kept["kept"]] == [0, 0, 1]
    await world.replica.start(world.superuser)
    await world.leads_to(Source.REPLICA)
    await world.post()
    await world.shows(1)
    await world.replica.kill()
    await world.leads_to(Source.PRIMARY)
    assert [await world.count(), kept["kept"]] == [1, 1]


async def test_a_gateway_starts_while_the_replica_is_away(tmp_path: Path) -> None:
    async with replicated(tmp_path) as (primary, replica):
        await replica.kill()
        async with gateway_of(primary, replica) as world:
            await world.post()
            assert [await world.count(), world.reads.source] == [1, Source.PRIMARY]
            await replica.start(world.superuser)
            await world.leads_to(Source.REPLICA)


async def test_a_replica_answers_while_the_primary_is_away(world: Replicated) -> None:
    await world.post()
    await world.shows(1)
    async with asking(world):
        assert world.primary.pid
        postmaster = psutil.Process(world.primary.pid)
        processes = [postmaster, *postmaster.children()]
        for process in processes:
            os.kill(process.pid, SIGSTOP)
        try:
            refused = await world.running.post_stat(**RESULT)
            readiness = await world.running.client.get("/readyz")
        finally:
            for process in processes:
                process.resume()
        assert [refused.status_code, readiness.status_code, world.reads.source] == [503, 200, Source.REPLICA]


async def test_a_login_for_reading_on_the_same_server_is_no_replica(start_gateway: StartGateway, database: Any) -> None:
    running = await start_gateway(postgres_read=database.logins.reader)
    reads = running.gateway.db.read
    assert isinstance(reads, RoutedReads)
    await eventually(lambda: running.gateway.versions.are_heard)
    for _ in range(2):
        await running.ask(COUNT)
    assert [reads.source, reads.counts["primary"], running.gateway.answers.counts["kept"]] == [Source.OWN, 0, 1]


async def test_another_database_that_is_no_replica_is_not_asked(
    start_gateway: StartGateway, new_database: NewDatabase
) -> None:
    elsewhere = await new_database()
    running = await start_gateway(postgres_read=elsewhere.logins.reader)
    assert (await running.post_stat(**RESULT)).status_code == 200
    assert (await running.ask(COUNT))["stats"]["totalCount"] == 1
