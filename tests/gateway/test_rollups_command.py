"""`podium rollups`, as a process of its own: what it says, and with which status it ends."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

import asyncpg
import pytest

from resolvers.recording import CheckedResult, store_results
from resolvers.results import Result
from resolvers.rollups import HOUR
from tests.harness import Database, NewDatabase, Running
from tests.processes import Podium
from tests.resolvers.plain import NOW

EVERYTHING = ("--since", "0001-01-01T00:00:00Z", "--until", "9999-12-31T23:59:59.999999Z")
TAMPERED = "UPDATE podium.daily_rollups SET samples = samples + 1 WHERE bucket = $1"


class Ended(NamedTuple):
    """How a command ended."""

    status: int
    out: list[str]
    err: list[str]


Run = Callable[..., Awaitable[Ended]]


@pytest.fixture
async def rollups(database: Database, tmp_path: Path) -> AsyncIterator[Run]:
    """Runs `podium rollups` on the test's database."""
    async with AsyncExitStack() as stack:

        async def run(*words: str, **settings: str) -> Ended:
            process = Podium(tmp_path, "rollups", *words, **{"POSTGRES": database.logins.writer, **settings})
            stack.push_async_callback(process.close)
            status = await (await process.start()).end(within_s=20)
            return Ended(status, process.printed.splitlines(), [line.rstrip() for line in process.lines])

        yield run


@pytest.fixture
async def recorded(running: Running) -> Running:
    """A gateway with two results on each of three days."""
    results = [CheckedResult(Result("FRA", "0xa", 1, n), recorded_at=NOW + n * 12 * HOUR) for n in range(6)]
    await store_results(running.gateway.db, running.gateway.catalog, results)
    return running


async def test_what_is_right_is_said_day_by_day_from_the_last(recorded: Running, rollups: Run) -> None:
    days = [f"2026-03-0{day}  right" for day in (6, 5, 4)]
    assert await rollups("check") == (0, [*days, "3 days checked"], [])
    assert await rollups("check", *EVERYTHING) == (0, [*days, "3 days checked"], [])
    bounded = await rollups("check", "--since", "2026-03-05T23:59:59Z", "--until", "2026-03-05T23:59:59.999999Z")
    assert bounded == (0, [days[1], "1 days checked"], [])


async def test_what_is_wrong_is_found_and_built_anew(
    recorded: Running, rollups: Run, connection: asyncpg.Connection
) -> None:
    await connection.execute(TAMPERED, NOW)
    found = await rollups("check")
    assert found.status == 1
    assert found.out == ["2026-03-06  right", "2026-03-05  right", "2026-03-04  1 wrong", "3 days checked"]
    assert found.err == ["1 wrong cells: `podium rollups rebuild` repairs them"]
    assert await rollups("rebuild", "--since", "2026-03-05") == (
        0,
        ["2026-03-06", "2026-03-05", "2 days built anew"],
        [],
    )
    assert (await rollups("check")).status == 1
    assert await rollups("rebuild", "--until", "2026-03-04") == (0, ["2026-03-04", "1 days built anew"], [])
    assert (await rollups("check")).status == 0


async def test_building_all_anew_ends_with_roll_ups_that_are_complete(
    recorded: Running, rollups: Run, connection: asyncpg.Connection
) -> None:
    await connection.execute("TRUNCATE podium.hourly_rollups, podium.daily_rollups")
    await connection.execute("UPDATE podium.rollup_state SET complete_since = NULL")
    built = await rollups("rebuild")
    assert built == (0, ["2026-03-06", "2026-03-05", "2026-03-04", "3 days built anew"], [])
    assert await connection.fetchval("SELECT complete_since::text FROM podium.rollup_state") == "0001-01-01 00:00:00+00"
    assert (await rollups("check")).status == 0


async def test_there_may_be_nothing(rollups: Run) -> None:
    assert await rollups("check") == (0, ["0 days checked"], [])
    assert await rollups("rebuild") == (0, ["0 days built anew"], [])


@pytest.mark.parametrize("command", ["check", "rebuild"])
async def test_what_cannot_be_used_is_said(rollups: Run, command: str) -> None:
    for option in ("--since", "--until"):
        message = f"podium: {option}: a DateTime is in RFC 3339, like 2026-11-22T12:00:00Z, not 'yesterday'"
        assert await rollups(command, option, "yesterday") == (1, [], [message])
    away = await rollups(command, POSTGRES="postgresql://nobody@127.0.0.1:1/podium")
    assert away == (1, [], ["podium: the database is not available: try again in 1 s"])


async def test_a_database_without_tables_is_said(rollups: Run, new_database: NewDatabase) -> None:
    empty = await new_database(template="template0")
    message = "podium: the database lacks podium's tables: run `podium migrate up`"
    assert await rollups("check", POSTGRES=empty.logins.superuser) == (1, [], [message])
