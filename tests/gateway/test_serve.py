"""`podium` as people run it, in processes of its own: how it starts, refuses to start, and stops."""

import asyncio
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from signal import SIGINT, SIGKILL

import asyncpg
import httpx
import pytest

from db.embedded import ROLES, attach
from db.migrate import MIGRATIONS
from gateway.settings import VERSION
from tests.harness import NewDatabase, eventually
from tests.processes import PASSWORD, USER, Podium, Start, is_running, only_line_of
from tests.subscribers import open_socket

UNREACHABLE = f"postgresql://{USER}:{PASSWORD}@127.0.0.1:1/podium"
LOCK = "LOCK TABLE podium.results IN ACCESS EXCLUSIVE MODE"
WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'podium.results'::regclass"


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


async def execute(url: str, sql: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


async def waiting_is(connection: asyncpg.Connection, number: int) -> None:
    """Return when so many statements wait for the lock."""
    async with asyncio.timeout(1):
        while await connection.fetchval(WAITING) < number:
            await asyncio.sleep(0.01)


async def test_the_first_start_makes_a_database_and_answers(start: Start, tmp_path: Path) -> None:
    podium = await (await start("serve", "--port", "0", directory=tmp_path / "new" / "data")).ready()
    assert (await podium.client.get("/readyz")).text == "ok"
    assert len((await podium.client.get("/api/regions")).json()["regions"]) == 26
    assert (await podium.post("0xABC")).text == "ok"
    assert await podium.knows("0xabc")
    answer = await podium.client.post("/graphql", json={"query": "{ orchestrators { nodes { address } } }"})
    assert answer.json() == {"data": {"orchestrators": {"nodes": [{"address": "0xabc"}]}}}


async def test_it_may_have_as_many_sockets_as_the_system_allows(serving: Podium) -> None:
    soft, most = resource.prlimit(serving.process.pid, resource.RLIMIT_NOFILE)
    assert soft == most


async def test_a_demo_shows_data_at_the_first_request(start: Start, data_dir: Path) -> None:
    podium = await (await start("serve", "--demo", "--port", "0", directory=data_dir)).ready()
    assert len((await podium.client.get("/api/aggregated_stats")).json()) == 7


async def test_sigterm_turns_readiness_off_and_finishes_what_is_in_flight(start: Start, data_dir: Path) -> None:
    serving = await (await start("serve", "--port", "0", directory=data_dir, DRAIN_DELAY="1s")).ready()
    async with attach(serving.data_dir) as logins:
        other = await asyncpg.connect(logins.superuser)
        transaction = other.transaction()
        await transaction.start()
        await other.execute(LOCK)
        posts = [asyncio.create_task(serving.post(f"0x{number}")) for number in range(40)]
        reads = [
            asyncio.create_task(serving.client.get(f"/api/aggregated_stats?since={number}")) for number in range(4)
        ]
        await waiting_is(other, len(reads) + 1)
        serving.process.terminate()
        signalled_at = time.monotonic()
        assert await readiness(serving) == 503
        await transaction.rollback()
        await other.close()
    answers = await asyncio.gather(*posts, *reads)
    assert [answer.status_code for answer in answers] == [200] * 44
    assert await serving.end() == 0
    assert time.monotonic() - signalled_at < 10
    assert not is_running(serving.postmaster)


async def test_sigterm_closes_subscriptions_even_those_that_nobody_reads(start: Start, data_dir: Path) -> None:
    serving = await (await start("serve", "--port", "0", directory=data_dir)).ready()
    subscription = "subscription { statRecorded { id } }"
    accept = {"Accept": "text/event-stream"}
    async with AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(open_socket(serving.url)) for _ in range(20)]
        for open_ in sockets:
            await open_.subscribe(subscription)
        sockets[0].connection.transport.pause_reading()
        events = await stack.enter_async_context(
            serving.client.stream("POST", "/graphql", headers=accept, json={"query": subscription})
        )
        serving.process.terminate()
        signalled_at = time.monotonic()
        assert [await open_.closed() for open_ in sockets[1:]] == [1012] * 19
        assert await events.aread() == b""
        assert await serving.end() == 0
        assert time.monotonic() - signalled_at < 9
        sockets[0].connection.transport.abort()


async def test_a_mistake_of_ours_is_logged_without_secrets(start: Start, data_dir: Path) -> None:
    podium = await (await start("serve", "--port", "0", directory=data_dir, LOG_FORMAT="console")).ready()
    assert (await podium.post("0xabc")).status_code == 200
    async with attach(data_dir) as logins:
        await execute(logins.superuser, "UPDATE podium.results SET payload = '[]'::jsonb || '1'")
    answer = await podium.client.get("/api/raw_stats", params={"orchestrator": "0xabc"})
    assert (answer.status_code, answer.json()) == (500, {"error": "internal error"})
    await eventually(lambda: any("Traceback" in line for line in podium.lines))


async def readiness(podium: Podium) -> int | str:
    """What a balancer that asks every quarter of a second sees first: no longer ready, or nobody there."""
    async with httpx.AsyncClient(base_url=podium.url, headers={"Connection": "close"}) as balancer:
        for _ in range(8):
            await asyncio.sleep(0.25)
            try:
                answer = await balancer.get("/readyz")
            except httpx.TransportError as error:
                return repr(error)
            if answer.status_code != 200:
                return answer.status_code
    return "still ready"


async def test_ctrl_c_stops_it_and_its_postgres(serving: Podium) -> None:
    serving.process.send_signal(SIGINT)
    assert await serving.end() in (0, 130)
    assert not is_running(serving.postmaster)


async def test_what_was_acknowledged_survives_a_killed_gateway(start: Start, serving: Podium) -> None:
    assert (await serving.post("0xkept")).status_code == 200
    serving.process.kill()
    assert await serving.end() == -SIGKILL
    again = await (await start("serve", "--port", "0", directory=serving.data_dir)).ready()
    assert await again.knows("0xkept")
    assert (await again.post("0xnew")).status_code == 200


async def test_a_second_one_on_the_same_directory_is_told_the_firsts_pid(start: Start, serving: Podium) -> None:
    second = await start("serve", "--port", "0", directory=serving.data_dir)
    assert f"pid {serving.process.pid}" in await only_line_of(second)
    assert (await serving.client.get("/readyz")).status_code == 200


async def test_a_port_in_use_is_one_line(start: Start, taken_port: int) -> None:
    line = await only_line_of(await start("serve", "--port", str(taken_port)))
    assert f"127.0.0.1:{taken_port}" in line
    assert "--port" in line


@pytest.mark.parametrize("auto_migrate", ["true", "false"])
@pytest.mark.parametrize(
    "postgres",
    [
        UNREACHABLE,
        UNREACHABLE.replace("127.0.0.1", "nowhere.invalid"),
        UNREACHABLE.replace(":1/", ":port/"),
        UNREACHABLE.replace("127.0.0.1", "[::1"),
        UNREACHABLE.replace(PASSWORD, f"%zz{PASSWORD}"),
    ],
    ids=["nobody listens", "no such host", "no port", "no address", "no percent-escape"],
)
async def test_an_unreachable_postgres_is_one_line(start: Start, postgres: str, auto_migrate: str) -> None:
    await only_line_of(await start("serve", "--port", "0", POSTGRES=postgres, AUTO_MIGRATE=auto_migrate))


async def test_an_unreachable_replica_is_a_warning(start: Start, new_database: NewDatabase) -> None:
    logins = (await new_database()).logins
    settings = {"POSTGRES": logins.writer, "POSTGRES_OWNER": logins.owner, "POSTGRES_READ": UNREACHABLE}
    podium = await (await start("serve", "--port", "0", **settings)).ready()
    assert podium.event("replica_not_used")["reason"] == "replica_away"
    assert (await podium.client.get("/readyz")).status_code == 200


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "abc"),
        ("DB_TIMEOUT", "x"),
        ("START_TIME_WINDOW", "0"),
        ("DB_POOL_SIZE", "0"),
        ("LOG_LEVEL", "loud"),
        ("POSTGRES", f"mysql://{USER}:{PASSWORD}@127.0.0.1/podium"),
        ("POSTGRES_READ", f"{USER}:{PASSWORD}@127.0.0.1/podium"),
        ("MAX_BODY_BYTES", "1 MiB"),
        ("STATS_RETENTION_DAYS", "0"),
        ("PAYLOAD_RETENTION_DAYS", "90d"),
    ],
)
async def test_a_wrong_setting_is_one_line_that_names_it(start: Start, name: str, value: str) -> None:
    assert f"podium: {name}: " in await only_line_of(await start("serve", **{name: value}))


async def test_a_document_that_cannot_be_executed_is_one_line_before_anything_is_migrated(
    start: Start, new_database: NewDatabase, tmp_path: Path
) -> None:
    url = (await new_database(template="template0")).logins.superuser
    manifest = tmp_path / "manifest.json"
    manifest.write_text('{"1a": "query A {\\n  nothing\\n}"}')
    line = await only_line_of(await start("serve", "--port", "0", "--documents", str(manifest), POSTGRES=url))
    expected = "document (1a), line 2: Cannot query field 'nothing' on type 'Query'."
    assert line == f"podium: {manifest}: {expected}\n"
    status = await start("migrate", "status", POSTGRES=url)
    await status.end()
    assert "Applied: 0" in status.printed


async def test_an_empty_database_is_told_to_migrate(start: Start, new_database: NewDatabase) -> None:
    url = (await new_database(template="template0")).logins.superuser
    line = await only_line_of(await start("serve", "--port", "0", POSTGRES=url, AUTO_MIGRATE="false"))
    assert "podium migrate" in line


async def test_migrations_run_beside_a_running_server(start: Start, serving: Podium) -> None:
    async def migrate(*arguments: str) -> str:
        podium = await start("migrate", *arguments, directory=serving.data_dir)
        assert await podium.end() == 0, podium.lines
        return podium.printed

    assert "Pending: 0" in await migrate("status")
    assert (await serving.post("0xbefore")).status_code == 200
    migrations = len(list(MIGRATIONS.glob("*.sql")))
    for _ in range(migrations):
        assert "Rolled back" in await migrate("down", "--yes")
    assert f"Pending: {migrations}" in await migrate("status")
    assert (await serving.post("0xmeanwhile")).status_code == 503
    assert "Applied" in await migrate("up")
    assert (await serving.post("0xafter")).status_code == 200
    assert await serving.knows("0xafter")
    assert (await serving.client.get("/readyz")).status_code == 200
    await only_line_of(await start("migrate", "sideways", directory=serving.data_dir))


async def test_the_schema_and_the_version_are_printed_without_a_database(start: Start) -> None:
    schema, version = await start("schema"), await start("--version")
    assert (await schema.end(), await version.end()) == (0, 0)
    assert "type Query {" in schema.printed
    assert version.printed == f"podium {VERSION}\n"
    assert not schema.data_dir.exists()


@pytest.mark.parametrize("roles", ["one login", "three roles"])
async def test_two_gateways_start_at_once_on_one_postgres(start: Start, new_database: NewDatabase, roles: str) -> None:
    logins = (await new_database(template="template0")).logins
    settings = {"POSTGRES": logins.superuser}
    if roles == "three roles":
        await execute(logins.superuser, ROLES.read_text())
        settings = {"POSTGRES": logins.writer, "POSTGRES_OWNER": logins.owner, "POSTGRES_READ": logins.reader}
    both = [await start("serve", "--port", "0", **settings) for _ in range(2)]
    first, second = await asyncio.gather(*(podium.ready() for podium in both))
    assert (await first.post("0xshared")).status_code == 200
    assert await second.knows("0xshared")
    for podium in both:
        podium.process.terminate()
    assert [await podium.end() for podium in both] == [0, 0]
