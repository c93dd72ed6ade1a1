"""`podium serve --workers`: several processes that are one server."""

import asyncio
import re
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from signal import SIGKILL, SIGTERM
from typing import Any

import asyncpg
import httpx
import psutil
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from db.embedded import attach
from tests.harness import eventually
from tests.processes import Podium, Start, is_running, only_line_of

REGIONS = "/api/regions"
COUNT = '{ stats(filter: { orchestrator: { in: ["0xaa"] } }) { totalCount } }'
LOCK = "LOCK TABLE podium.results IN ACCESS EXCLUSIVE MODE"
WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'podium.results'::regclass"


@pytest.fixture
async def pair(start: Start, data_dir: Path) -> Podium:
    """Two workers, both of which serve."""
    podium = await (await start("serve", "--port", "0", "--workers", "2", directory=data_dir)).ready()
    await eventually(lambda: len(workers(podium)) == 2, within_s=10)
    return podium


def workers(podium: Podium) -> dict[int, int]:
    """The pids of those that serve, by their numbers."""
    pids = {facts["worker"]: facts["pid"] for facts in podium.events("worker_serves")}
    return {number: pid for number, pid in pids.items() if is_running(pid)}


def leaders(podium: Podium) -> list[int]:
    """The numbers of the workers that have led, the last one at the end."""
    return [facts["worker"] for facts in podium.events("leadership_taken")]


def server_of(podium: Podium, client: httpx.Response) -> int:
    """The pid of the worker that gave an answer, whose connection is still open."""
    port = client.extensions["network_stream"].get_extra_info("client_addr")[1]
    return next(pid for pid in workers(podium).values() if port in peers(pid))


def peers(pid: int) -> list[int]:
    """The ports of a worker's clients."""
    return [open_.raddr.port for open_ in psutil.Process(pid).net_connections("tcp4") if open_.raddr]


def children(podium: Podium) -> list[psutil.Process]:
    return psutil.Process(podium.process.pid).children(recursive=True)


@asynccontextmanager
async def clients(podium: Podium, number: int) -> AsyncIterator[list[httpx.AsyncClient]]:
    """Clients of one connection each."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(httpx.AsyncClient(base_url=podium.url, timeout=10)) for _ in range(number)
        ]


@asynccontextmanager
async def locked(podium: Podium) -> AsyncIterator[asyncpg.Connection]:
    """No result can be read or stored inside the block."""
    async with attach(podium.data_dir) as logins:
        connection = await asyncpg.connect(logins.superuser)
        async with connection.transaction():
            await connection.execute(LOCK)
            yield connection
        await connection.close()


async def waiting_is(connection: asyncpg.Connection, least: int) -> None:
    async with asyncio.timeout(5):
        while await connection.fetchval(WAITING) < least:
            await asyncio.sleep(0.01)


async def metrics(podium: Podium) -> dict[str, float]:
    """All samples by their names and labels, asked on a connection of its own."""
    async with httpx.AsyncClient(base_url=podium.url, timeout=10) as client:
        text = (await client.get("/metrics")).text
    families = text_string_to_metric_families(text)
    return {f"{s.name} {' '.join(s.labels.values())}".strip(): s.value for family in families for s in family.samples}


async def regions_counted(podium: Podium, number: float) -> dict[str, float]:
    """The metrics once so many requests for regions are counted."""
    deadline = time.monotonic() + 5
    while (found := await metrics(podium)).get(f"podium_http_requests_total GET {REGIONS} 200") != number:
        assert time.monotonic() < deadline, found
    return found


async def test_connections_are_spread_evenly_and_the_address_is_printed_once(pair: Podium) -> None:
    async with clients(pair, 16) as several:
        answers = await asyncio.gather(*(client.get(REGIONS) for client in several))
        assert {answer.status_code for answer in answers} == {200}
        spread = Counter(server_of(pair, answer) for answer in answers)
    assert sorted(spread.values()) == [8, 8]
    assert len(pair.events("ready")) == 1
    pair.process.terminate()
    assert await pair.end() == 0
    assert pair.printed.count("/graphql") == 1


async def test_metrics_are_those_of_all_workers_and_never_go_back(pair: Podium) -> None:
    async with clients(pair, 10) as several:
        await asyncio.gather(*(client.get(REGIONS) for client in several))
    before = await regions_counted(pair, 10)
    assert (before["podium_workers"], before["podium_is_leader"]) == (2, 1)
    assert before[f"podium_http_request_duration_seconds_count {REGIONS}"] == 10
    assert {"process_resident_memory_bytes 1", "process_resident_memory_bytes 2"} <= before.keys()
    for number, pid in workers(pair).items():
        psutil.Process(pid).kill()
        await eventually(lambda number=number, pid=pid: workers(pair).get(number, pid) != pid, within_s=15)
        now = await metrics(pair)
        gone_back = {name for name, value in before.items() if "_total" in name and now[name] < value}
        assert not gone_back
        before = now
    assert before[f"podium_http_requests_total GET {REGIONS} 200"] == 10
    assert before["podium_worker_deaths_total"] == 2


async def test_what_one_worker_has_stored_is_in_the_next_answer_of_the_other(pair: Podium) -> None:
    async with clients(pair, 2) as (one, other):
        servers = {server_of(pair, await client.get(REGIONS)) for client in (one, other)}
        assert len(servers) == 2
        for number in range(200):
            await other.post("/graphql", json={"query": COUNT})  # which the other one keeps
            assert (await pair.post("0xaa", one)).status_code == 200
            answer = await other.post("/graphql", json={"query": COUNT})
            assert answer.json() == {"data": {"stats": {"totalCount": number + 1}}}


async def test_a_killed_worker_is_replaced_and_the_other_ones_requests_are_answered(pair: Podium) -> None:
    async with clients(pair, 6) as several:
        async with locked(pair) as connection:
            servers = [server_of(pair, await client.get(REGIONS)) for client in several]
            slow = [asyncio.create_task(client.get("/api/aggregated_stats")) for client in several]
            await waiting_is(connection, 2)
            psutil.Process(servers[0]).kill()
            await eventually(lambda: pair.event("worker_died"))
            async with httpx.AsyncClient(base_url=pair.url) as another:
                assert (await another.get(REGIONS)).status_code == 200
        answers = await asyncio.gather(*slow, return_exceptions=True)
    alive = [answer for answer, server in zip(answers, servers, strict=True) if server != servers[0]]
    assert [isinstance(answer, httpx.Response) and answer.status_code for answer in alive] == [200] * 3
    await eventually(lambda: len(workers(pair)) == 2, within_s=10)
    assert (pair.event("worker_died")["pid"], pair.event("worker_died")["exit_code"]) == (servers[0], -SIGKILL)


async def test_another_one_leads_soon_when_the_leader_is_killed(pair: Podium) -> None:
    (leader,) = await eventually(lambda: leaders(pair))
    psutil.Process(workers(pair)[leader]).kill()
    killed_at = time.monotonic()
    await eventually(lambda: len(leaders(pair)) == 2, within_s=5)
    assert time.monotonic() - killed_at < 2.5


async def test_sigterm_lets_all_workers_finish_what_is_in_flight(pair: Podium) -> None:
    async with clients(pair, 8) as several:
        async with locked(pair) as connection:
            servers = {server_of(pair, await client.get(REGIONS)) for client in several}
            slow = [asyncio.create_task(client.get("/api/aggregated_stats")) for client in several]
            await waiting_is(connection, len(servers))
            processes = children(pair)
            pair.process.terminate()
            await eventually(lambda: not accepts(pair))
            assert not any(task.done() for task in slow)
        answers = await asyncio.gather(*slow)
    assert len(servers) == 2
    assert [answer.status_code for answer in answers] == [200] * 8
    assert await pair.end() == 0
    assert not any(is_running(process.pid) for process in processes)
    assert not pair.events("worker_died")


def accepts(podium: Podium) -> bool:
    """Whether anybody listens."""
    port = int(podium.url.rpartition(":")[2])
    found = psutil.Process(podium.process.pid).net_connections("tcp4")
    return any(open_.laddr.port == port and open_.status == psutil.CONN_LISTEN for open_ in found)


async def test_a_second_signal_is_obeyed_at_once(start: Start, data_dir: Path) -> None:
    arguments = ("serve", "--port", "0", "--workers", "2")
    podium = await (await start(*arguments, directory=data_dir, DRAIN_DELAY="60s")).ready()
    assert (await podium.client.get("/readyz")).status_code == 200
    for _ in range(2):
        podium.process.send_signal(SIGTERM)
        await eventually(lambda: unready(podium))
    assert await podium.end() == 0


def unready(podium: Podium) -> bool:
    """Whether it has begun to stop."""
    try:
        return httpx.get(f"{podium.url}/readyz").status_code == 503
    except httpx.TransportError:
        return True


async def test_nothing_is_left_of_a_killed_parent(pair: Podium) -> None:
    processes = children(pair)
    assert len(processes) >= 3
    pair.process.kill()
    assert await pair.end() == -SIGKILL
    await eventually(lambda: not any(is_running(process.pid) for process in processes), within_s=10)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"WORKERS": "0"}, "WORKERS"),
        ({"WORKERS": "2", "DOCUMENTS": "/nowhere.json"}, "nowhere.json"),
        ({"WORKERS": "2", "POSTGRES": "postgresql://127.0.0.1:1/podium"}, "POSTGRES"),
    ],
)
async def test_a_wrong_setting_is_one_line(start: Start, settings: dict[str, Any], told: str) -> None:
    assert told in await only_line_of(await start("serve", "--port", "0", **settings))


async def test_workers_that_end_before_any_serves_end_all(start: Start, data_dir: Path) -> None:
    podium = await start("serve", "--port", "0", "--workers", "2", directory=data_dir)
    await eventually(lambda: podium.event("postgres_started"), within_s=10)
    first = await eventually(lambda: [child for child in children(podium) if "gateway.worker" in cmdline(child)], 10)
    first[0].kill()
    assert re.search(r"a worker ended with exit status -9", await only_line_of(podium))


def cmdline(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
