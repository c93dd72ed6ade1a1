"""The runbooks of docs/operations.md, with their commands: what comes back answers the same as before."""

import asyncio
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from bench.generate import Dataset, fill
from db.embedded import EmbeddedPostgres
from db.embedded_host import bin_dir_of_wheel
from db.migrate import migrate
from db.pool import Pool, PoolOptions
from resolvers.aggregation import Aggregate, Dimension
from resolvers.errors import from_driver
from resolvers.filters import StatFilter
from resolvers.leaderboard import aggregates

POSTGRES = bin_dir_of_wheel()
OLD_POSTGRES = POSTGRES.parents[1] / "pginstall" / "bin"  # of version 16, which the wheel has too
DATASET = Dataset(results=2000, until=datetime.now(UTC))
MORE = Dataset(results=500, until=datetime.now(UTC), seed=8)
FIGURES = ("samples", "success_rate", "round_trip_time", "round_trip_score", "score")


@pytest.mark.parametrize("old_postgres", [POSTGRES, OLD_POSTGRES], ids=["the same major version", "an older one"])
async def test_a_dump_is_restored_with_equal_aggregates(tmp_path: Path, old_postgres: Path) -> None:
    dump = tmp_path / "podium.dump"
    async with EmbeddedPostgres(tmp_path / "podium-data", bin_dir=old_postgres) as server:
        await migrate(server.logins.owner)
        await fill(server.logins.superuser, DATASET)
        before = await scores(server)
        await run(old_postgres / "pg_dump", *login(server), "-Fc", "-n", "podium", "-f", dump, "podium")
    async with EmbeddedPostgres(tmp_path / "restored") as server:
        await migrate(server.logins.owner)
        await execute(server, "DROP SCHEMA podium CASCADE")
        await run(POSTGRES / "pg_restore", *login(server), "-d", "podium", "--exit-on-error", "-1", dump)
        await migrate(server.logins.owner)
        assert_equal(await scores(server), before)


async def test_a_database_goes_back_to_a_moment_before_a_mistake(tmp_path: Path) -> None:
    base, wal = tmp_path / "base", tmp_path / "wal"
    async with EmbeddedPostgres(tmp_path / "podium-data") as server:
        await migrate(server.logins.owner)
        await fill(server.logins.superuser, DATASET)
        wal.mkdir()
        of_postgres = (tmp_path / "podium-data" / "postgres").stat()
        os.chown(wal, of_postgres.st_uid, of_postgres.st_gid)
        await execute(server, "ALTER SYSTEM SET archive_mode = on")
        await execute(server, f"ALTER SYSTEM SET archive_command = 'test ! -f {wal}/%f && cp %p {wal}/%f'")
    async with EmbeddedPostgres(tmp_path / "podium-data") as server:
        await run(POSTGRES / "pg_basebackup", *login(server), "-D", base, "--checkpoint=fast")
        await fill(server.logins.superuser, MORE)
        before = await scores(server)
        moment = await execute(server, "SELECT clock_timestamp()::text")
        await execute(server, "TRUNCATE podium.results, podium.hourly_rollups, podium.daily_rollups")
        assert not await scores(server)
    await asyncio.to_thread(prepare_recovery, base, tmp_path / "recovered", wal, moment)
    async with EmbeddedPostgres(tmp_path / "recovered") as server:
        assert_equal(await scores(server), before)
        await fill(server.logins.superuser, MORE)


def prepare_recovery(base: Path, data_dir: Path, wal: Path, moment: str) -> None:
    """Make a data directory of a base backup that will be recovered at its start, up to a moment."""
    data_dir.mkdir(mode=0o711)
    cluster = shutil.move(base, data_dir / "postgres")
    with (cluster / "postgresql.auto.conf").open("a") as settings:
        settings.write(f"restore_command = 'cp {wal}/%f %p'\n")
        settings.write(f"recovery_target_time = '{moment}'\nrecovery_target_action = 'promote'\n")
    (cluster / "recovery.signal").touch()


async def scores(server: EmbeddedPostgres) -> list[Aggregate]:
    """The aggregates of all cells."""
    pool = Pool(server.logins.reader, PoolOptions(size=1, timeout_s=60), from_driver)
    await pool.open()
    try:
        return await aggregates(pool, StatFilter(), (Dimension.ORCHESTRATOR, Dimension.REGION, Dimension.MODEL))
    finally:
        await pool.close()


def assert_equal(found: list[Aggregate], expected: list[Aggregate]) -> None:
    """The same groups, with figures that differ in the tenth digit at most."""
    assert [group.key for group in found] == [group.key for group in expected]
    for name in FIGURES:
        assert [getattr(group, name) for group in found] == pytest.approx(
            [getattr(group, name) for group in expected], rel=1e-9
        )


def login(server: EmbeddedPostgres) -> tuple[str, ...]:
    """How Postgres' programs connect to an embedded server as its superuser."""
    return "-h", parse_qs(urlsplit(server.logins.superuser).query)["host"][0], "-U", "postgres"


async def run(program: Path, *arguments: Any) -> None:
    """Run one of Postgres' programs; it must succeed."""
    process = await asyncio.create_subprocess_exec(program, *map(str, arguments), stderr=asyncio.subprocess.PIPE)
    _, said = await process.communicate()
    assert process.returncode == 0, said.decode()


async def execute(server: EmbeddedPostgres, sql: str) -> Any:
    """A superuser's statement, and the single value that it answers."""
    connection = await asyncpg.connect(server.logins.superuser)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()
