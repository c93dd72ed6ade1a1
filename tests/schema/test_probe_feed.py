"""probeRunRecorded: runs of the prober, told as they are stored, at whichever gateway, each once."""

import asyncio
import os
from contextlib import suppress
from signal import SIGKILL
from typing import Any

import asyncpg
import pytest

from gateway.probe_forms import stored_form
from prober.run import Reason
from resolvers import probe_feed
from resolvers.errors import PodiumError
from resolvers.filters import Window
from resolvers.probe_runs import store_run
from resolvers.probes import ProbeFilter
from tests.harness import Pair, Running, eventually
from tests.probes import START, a_failed_run, a_run
from tests.subscribers import Socket, hears, open_socket
from tests.test_subscription_faults import error_of, own_postgres

FEED = "subscription ($filter: ProbeFilter) { probeRunRecorded(filter: $filter) { runId } }"
END_LISTENERS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'podium probes'"
LISTENERS = """
SELECT count(*) FROM pg_stat_activity WHERE application_name = 'podium probes' AND datname = current_database()
"""


async def store(running: Running, *runs: Any) -> None:
    for run in runs:
        await store_run(running.gateway.db.write, stored_form(run))


async def store_patiently(running: Running, run: Any) -> None:
    """Store a run when the database is back."""
    async with asyncio.timeout(30):
        while True:
            with suppress(PodiumError):
                return await store(running, run)
            await asyncio.sleep(0.02)


async def told(socket: Socket, id_: str = "1") -> str:
    run_id: str = (await socket.next(id_))["probeRunRecorded"]["runId"]
    return run_id


async def test_a_run_is_told_as_it_is_asked_for(running: Running) -> None:
    run = "{ id runId stream status reason startupTime recordedAt renditions { name latency { p95 } } }"
    async with open_socket(running.url) as socket:
        await socket.subscribe(f"subscription {{ probeRunRecorded {run} }}")
        await hears(running)
        await store(running, a_run())
        heard = (await socket.next())["probeRunRecorded"]
    assert heard == (await running.ask(f'{{ probeRun(runId: "run-1") {run} }}'))["probeRun"]


async def test_a_run_is_told_once_at_every_gateway(pair: Pair) -> None:
    await store(pair.here, a_run("before"))
    async with open_socket(pair.here.url) as here, open_socket(pair.there.url) as there:
        for socket, running in ((here, pair.here), (there, pair.there)):
            await socket.subscribe(FEED)
            await hears(running)
        await store(pair.here, a_run("a"), a_run("a"), a_failed_run("b"))
        await store(pair.there, a_run("c", started_at=START))
        for socket in (here, there):
            assert [await told(socket) for _ in range(3)] == ["a", "b", "c"]


async def test_runs_are_told_to_those_who_want_them(running: Running) -> None:
    filters: dict[str, dict[str, Any]] = {
        "stream": {"stream": {"in": ["two"]}},
        "status": {"status": ["FAILURE"]},
        "reason": {"reason": {"in": ["stalled"]}, "region": {"in": ["FRA"]}},
        "during": {"during": {"until": START.isoformat()}},
    }
    async with open_socket(running.url) as socket:
        for id_, wanted in filters.items():
            await socket.subscribe(FEED, id_, filter=wanted)
        await hears(running, len(filters))
        await store(running, a_run("a", stream="two", started_at=START.replace(hour=10)), a_run("b"))
        await store(running, a_failed_run("c", Reason.STALLED, started_at=START.replace(hour=10)))
        heard = [await socket.receive() for _ in range(4)]
    assert sorted((it["id"], it["payload"]["data"]["probeRunRecorded"]["runId"]) for it in heard) == [
        ("during", "b"),
        ("reason", "c"),
        ("status", "c"),
        ("stream", "a"),
    ]


@pytest.mark.parametrize(
    ("wanted", "number"),
    [
        (ProbeFilter(), 3),
        (ProbeFilter(Window(START.replace(hour=10), None)), 1),
        (ProbeFilter(Window(None, START)), 2),
        (ProbeFilter(statuses=("success", "aborted")), 2),
        (ProbeFilter(reasons=()), 0),
        (ProbeFilter(ingest_regions=("fra",), playback_regions=("lax",)), 3),
    ],
)
async def test_what_is_told_is_what_is_listed(running: Running, wanted: ProbeFilter, number: int) -> None:
    stream = await running.gateway.probe_feed.runs(wanted)
    await store(running, a_run("a"), a_failed_run("b"), a_run("c", started_at=START.replace(hour=10)))
    everything = await running.gateway.probe_feed.runs(ProbeFilter())
    await store(running, a_run("last", region="last", started_at=START.replace(hour=8)))
    while "last" not in [row.id for row in await anext(everything)]:
        pass
    ids = [row.id for row in stream._waiting if row.id != "last"]
    assert len(ids) == number
    await stream.aclose()
    await everything.aclose()


async def test_nothing_is_heard_while_nobody_listens(running: Running, connection: asyncpg.Connection) -> None:
    assert not running.gateway.probe_feed.is_listening
    async with open_socket(running.url) as socket:
        await socket.subscribe(FEED)
        await hears(running)
        assert await connection.fetchval(LISTENERS) == 1
    await eventually(lambda: not running.gateway.probe_feed.is_listening)
    async with asyncio.timeout(5):
        while await connection.fetchval(LISTENERS):
            pass


async def test_a_lost_line_loses_and_repeats_nothing(running: Running, connection: asyncpg.Connection) -> None:
    async with open_socket(running.url) as socket:
        await socket.subscribe(FEED)
        await hears(running)
        for number in range(5):
            await store(running, a_run(f"{number}a"))
            await connection.execute(END_LISTENERS)
            await store(running, a_run(f"{number}b"))
        heard = [await told(socket) for _ in range(10)]
        await store(running, a_run("last"))
        assert await told(socket) == "last"
    assert heard == [f"{number}{letter}" for number in range(5) for letter in "ab"]


async def test_subscriptions_go_on_across_a_restart_of_postgres(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_feed, "PATIENCE_S", 30)  # however long a busy machine takes to start it
    async with own_postgres(tmp_path) as (server, running), open_socket(running.url) as socket:
        await socket.subscribe(FEED)
        await hears(running)
        await store(running, a_run("before"))
        assert server.pid
        os.kill(server.pid, SIGKILL)
        await store_patiently(running, a_run("after"))
        assert [await told(socket), await told(socket)] == ["before", "after"]


async def test_a_database_that_stays_away_ends_subscriptions_and_refuses_new_ones(tmp_path: Any) -> None:
    async with own_postgres(tmp_path) as (server, running), open_socket(running.url) as socket:
        await socket.subscribe(FEED)
        await hears(running)
        await server.stop()
        ended = await error_of(socket)
        assert ended["code"] == "UNAVAILABLE"
        assert ended["since"]
        await socket.subscribe(FEED)
        assert (await error_of(socket))["code"] == "UNAVAILABLE"
        assert not running.gateway.probe_feed.is_listening
