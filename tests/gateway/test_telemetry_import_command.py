"""`podium import telemetry`, as a process of its own: what it prints, where, and with which status it ends."""

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from tests.gateway.test_import_command import Commands, ended
from tests.harness import Database, NewDatabase
from tests.legacy_telemetry import LegacyTelemetry, legacy_telemetry

WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'public.substrate_logs'::regclass"


@pytest.fixture
async def original(new_database: NewDatabase) -> AsyncIterator[LegacyTelemetry]:
    async with legacy_telemetry(new_database) as made:
        yield made


@pytest.fixture
def commands(database: Database, tmp_path: Path) -> Commands:
    return Commands(database, tmp_path)


async def test_an_import_prints_what_came_in(original: LegacyTelemetry, commands: Commands) -> None:
    node = await original.node("Qm1")
    for number in range(3):
        await original.log(node, {"n": number})
    first = await commands.run("telemetry", original.url)
    assert (first.status, first.out.splitlines()) == (
        0,
        [
            "                            read       imported  already there        refused",
            "host_systems                   0              0              0              0",
            "benchmarks                     0              0              0              0",
            "benchmark_events               0              0              0              0",
            "peer_connections               1              1              0              0",
            "substrate_logs                 3              3              0              0",
            "all                            4              4              0              0",
        ],
    )
    assert first.err.splitlines()[-2:] == ["substrate_logs: 3 rows to read", "substrate_logs: 3 of 3"]
    again = await commands.run("telemetry", original.url, "--no-benchmarks")
    assert again.out.splitlines()[1:] == [
        "peer_connections               1              0              1              0",
        "substrate_logs                 0              0              0              0",
        "all                            1              0              1              0",
    ]


async def test_an_empty_podium_is_migrated_first(
    original: LegacyTelemetry, commands: Commands, new_database: NewDatabase
) -> None:
    empty = (await new_database(template="template0")).logins.superuser
    own = {"POSTGRES": empty, "POSTGRES_OWNER": empty}
    unmigrated = await commands.run("telemetry", original.url, AUTO_MIGRATE="false", **own)
    assert unmigrated.err == "podium: the database lacks podium's tables: run `podium migrate up`\n"
    assert (await commands.run("telemetry", original.url, **own)).status == 0


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("{url}_nope", 'cannot read the legacy database (database "test_'),
        ("mysql://me:s3cret@x/y", "cannot read the legacy database (invalid DSN: scheme is expected"),
        ("postgresql://me:s3cret@127.0.0.1:1/y", "cannot read the legacy database ("),
        ("{podium}", "no table peer_connections of the original of telemetry is in this database: check its name"),
    ],
)
async def test_a_failure_is_one_line_without_secrets(
    original: LegacyTelemetry, commands: Commands, database: Database, url: str, message: str
) -> None:
    url = url.replace("{podium}", database.logins.superuser).replace("{url}_nope", original.url.replace("?", "_nope?"))
    failed = await commands.run("telemetry", url)
    assert (failed.status, failed.out) == (1, "")
    assert failed.err.startswith(f"podium: {message}")
    assert failed.err.count("\n") == 1
    assert "s3cret" not in failed.err


async def test_a_login_that_may_not_read_is_told_what_to_do(original: LegacyTelemetry, commands: Commands) -> None:
    failed = await commands.run("telemetry", original.url.replace("//postgres@", "//podium_reader@"))
    assert failed.err.endswith("let its user SELECT from all tables, and run the import again\n")


async def test_an_interrupted_import_says_how_to_go_on(original: LegacyTelemetry, commands: Commands) -> None:
    await original.log(await original.node("Qm1"), {})
    locking = await asyncpg.connect(original.url)
    async with locking.transaction():
        await locking.execute("LOCK TABLE public.substrate_logs IN ACCESS EXCLUSIVE MODE")
        process = await commands.start("telemetry", original.url)
        while not await locking.fetchval(WAITING):
            assert process.returncode is None
        process.send_signal(signal.SIGINT)
        interrupted = await ended(process)
    await locking.close()
    assert interrupted.status == 130
    assert interrupted.err == "podium: interrupted: run the same command again, and it goes on where it was\n"
    assert (await commands.run("telemetry", original.url)).status == 0
