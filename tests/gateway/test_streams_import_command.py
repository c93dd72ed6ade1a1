"""`podium import streams`, as a process of its own, from a real Redis: what it takes over, and what it prints."""

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from tests.canwatch import REDIS, CanWatch, original_redis
from tests.debian import Program, program_for_tests
from tests.gateway.test_import_command import Commands, ended
from tests.harness import Database, StartGateway
from tests.viewers import ask, new_stream

LOCK = "SELECT pg_advisory_xact_lock(hashtext('podium.streams_import'))"
WAITS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database = $1"
WATCHED = "SELECT id, array(SELECT jsonb_object_keys(active) ORDER BY 1) AS active FROM podium.viewers"


@pytest.fixture(scope="session")
def redis(pytestconfig: pytest.Config) -> Program:
    """Redis, wherever it comes from."""
    return program_for_tests(REDIS, pytestconfig)


@pytest.fixture
async def original(redis: Program) -> AsyncIterator[CanWatch]:
    """An empty Redis."""
    async with original_redis(redis) as made:
        yield made


@pytest.fixture
def commands(database: Database, tmp_path: Path) -> Commands:
    return Commands(database, tmp_path)


async def watched(connection: asyncpg.Connection) -> dict[str, list[str]]:
    """What each viewer watches."""
    return {row["id"]: row["active"] for row in await connection.fetch(WATCHED)}


async def test_an_import_prints_what_came_in(original: CanWatch, commands: Commands) -> None:
    user, streams = await original.add_user(), [await original.add_stream() for _ in range(3)]
    await original.add_user()
    await original.activate(user, *streams[:2])
    first = await commands.run("streams", original.url)
    assert (first.status, first.out.splitlines()) == (
        0,
        [
            "                     read       imported  already there        refused",
            "streams                 3              3              0              0",
            "viewers                 2              2              0              0",
            "active                  2              2              0              0",
            "all                     7              7              0              0",
        ],
    )
    lines = ["streams: 3 rows to read", "streams: 3 of 3", "viewers: 2 rows to read", "viewers: 2 of 2"]
    assert first.err.splitlines()[-4:] == lines
    again = await commands.run("streams", original.url)
    assert again.out.splitlines()[-1] == "all                     7              0              7              0"


async def test_what_is_active_goes_on_also_above_the_limit(
    original: CanWatch, commands: Commands, start_gateway: StartGateway
) -> None:
    user, streams = await original.add_user(), [await original.add_stream() for _ in range(5)]
    await original.activate(user, *streams)
    assert (await commands.run("streams", original.url)).status == 0
    running = await start_gateway()
    assert {(await ask(running, user, stream)).status_code for stream in streams} == {200}
    further = await new_stream(running)
    assert (await ask(running, user, further)).status_code == 403
    for stream in streams[:3]:
        assert (await ask(running, user, stream, "deactivate")).status_code == 200
    assert (await ask(running, user, further)).status_code == 200
    assert (await ask(running, user, streams[0])).status_code == 403


async def test_the_next_import_brings_what_has_changed_there_and_leaves_what_has_changed_here(
    original: CanWatch, commands: Commands, start_gateway: StartGateway, connection: asyncpg.Connection
) -> None:
    user, streams = await original.add_user(), sorted([await original.add_stream() for _ in range(5)])
    await original.activate(user, *streams[:3])
    await commands.run("streams", original.url)
    running = await start_gateway()
    await ask(running, user, streams[0], "deactivate")
    await ask(running, user, streams[4])
    await original.deactivate(user, streams[1])
    await original.activate(user, streams[3])
    again = await commands.run("streams", original.url)
    assert "active                  3              1              2              0" in again.out
    assert again.out.splitlines()[-1] == "ended there since the last import, and here now: 1"
    assert await watched(connection) == {user: streams[2:]}
    await original.deactivate(user, *streams)
    assert (await commands.run("streams", original.url)).out.endswith(": 2\n")
    assert await watched(connection) == {user: [streams[4]]}


async def test_ids_that_come_in_do_not_expire(
    original: CanWatch, commands: Commands, connection: asyncpg.Connection
) -> None:
    await original.add_user()
    await original.add_stream()
    await commands.run("streams", original.url)
    assert await connection.fetchval("SELECT bool_and(is_used) FROM podium.viewers")
    assert await connection.fetchval("SELECT bool_and(is_used) FROM podium.streams")


@pytest.mark.parametrize(("lease", "has_end"), [("0", False), ("30", True)])
async def test_what_comes_in_has_a_lease_where_there_are_leases(
    original: CanWatch, commands: Commands, connection: asyncpg.Connection, lease: str, has_end: bool
) -> None:
    user, stream = await original.add_user(), await original.add_stream()
    await original.activate(user, stream)
    await commands.run("streams", original.url, STREAM_LEASE_S=lease)
    row = await connection.fetchrow(
        "SELECT active -> $1 -> 1 <> 'null' AS ends, expires_at FROM podium.viewers", stream
    )
    assert row["ends"] is has_end
    assert (row["expires_at"] is not None) is has_end


async def test_thousands_come_in(original: CanWatch, commands: Commands, connection: asyncpg.Connection) -> None:
    users, streams = [f"user-{place}" for place in range(5000)], [f"stream-{place}" for place in range(3000)]
    await original.client.sadd("validUsers", *users)
    await original.client.sadd("validStreams", *streams)
    for user in users[::10]:
        await original.activate(user, "stream-1", "stream-2")
    assert (await commands.run("streams", original.url)).status == 0
    found = await watched(connection)
    assert set(found) == set(users)
    assert sum(map(len, found.values())) == 1000
    assert await connection.fetchval("SELECT count(*) FROM podium.streams") == 3000


async def test_what_cannot_be_an_id_is_refused_and_holds_nothing_up(
    original: CanWatch, commands: Commands, connection: asyncpg.Connection
) -> None:
    user, stream = await original.add_user(), await original.add_stream()
    for wrong in (b"\xff", "x" * 129, "a\0"):
        await original.add_user(wrong)
    await original.activate(user, stream, "y" * 129)
    odd = await original.add_user("odd")
    await original.client.set("odd", "no set")
    done = await commands.run("streams", original.url)
    assert done.status == 0
    assert "viewers                 5              2              0              3" in done.out
    assert "active                  3              1              0              2" in done.out
    refused = done.out.partition("refused:\n")[2].splitlines()
    assert sorted(refused) == [
        "  active odd: what has this key is no set",
        f"  active {'y' * 128}: an id has 1 to 128 characters",
        "  viewers \\xff: an id is UTF-8, without NUL",
        "  viewers a\0: an id is UTF-8, without NUL",
        f"  viewers {'x' * 128}: an id has 1 to 128 characters",
    ]
    assert await watched(connection) == {user: [stream], odd: []}


async def test_keys_may_be_called_otherwise(
    original: CanWatch, commands: Commands, connection: asyncpg.Connection
) -> None:
    prefixed = CanWatch(original.client, original.url, "tv:")
    user, stream = await prefixed.add_user(), await prefixed.add_stream()
    await prefixed.activate(user, stream)
    assert (await commands.run("streams", original.url, "--prefix", "tv:")).status == 0
    assert await watched(connection) == {user: [stream]}
    await original.client.sadd("people", "ada")
    names = ("--users", "people", "--streams", "tv:validStreams")
    assert (await commands.run("streams", original.url, *names)).status == 0
    assert (await watched(connection))["ada"] == []


async def test_a_password_may_be_in_a_file(original: CanWatch, commands: Commands, tmp_path: Path) -> None:
    await original.add_user()
    await original.client.config_set("requirepass", "s3cret")
    (tmp_path / "password").write_text("s3cret\n")
    assert (await commands.run("streams", original.url, "--password-file", str(tmp_path / "password"))).status == 0
    refused = await commands.run("streams", original.url.replace("//", "//:wr0ng@"))
    assert refused.status == 1
    assert refused.err.startswith("podium: cannot read the Redis of canWatch (")
    assert "wr0ng" not in refused.err


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("{url}", "neither validUsers nor validStreams of canWatch is in this Redis: check the number of"),
        ("redis://:s3cret@127.0.0.1:1/0", "cannot read the Redis of canWatch (Error"),
        ("http://:s3cret@x/0", "this is no URL of a Redis: Redis URL must specify one of the following schemes"),
    ],
)
async def test_a_failure_is_one_line_without_secrets(
    original: CanWatch, commands: Commands, url: str, message: str
) -> None:
    failed = await commands.run("streams", url.format(url=original.url))
    assert (failed.status, failed.out) == (1, "")
    assert failed.err.startswith(f"podium: {message}")
    assert failed.err.count("\n") == 1
    assert "s3cret" not in failed.err


async def test_an_interrupted_import_is_run_again(
    original: CanWatch, commands: Commands, connection: asyncpg.Connection
) -> None:
    user = await original.add_user()
    database = await connection.fetchval("SELECT oid FROM pg_database WHERE datname = current_database()")
    async with connection.transaction():
        await connection.execute(LOCK)
        process = await commands.start("streams", original.url)
        while not await connection.fetchval(WAITS, database):
            assert process.returncode is None
        process.send_signal(signal.SIGINT)
        interrupted = await ended(process)
    assert interrupted.status == 130
    assert interrupted.err.endswith("podium: interrupted: run the same command again, what came in stays\n")
    assert (await commands.run("streams", original.url)).status == 0
    assert await watched(connection) == {user: []}
