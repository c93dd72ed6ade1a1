"""`podium import leaderboard`, as a process of its own: what it prints, where, and with which status it ends."""

import asyncio
import io
import json
import os
import signal
import sysconfig
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import pytest
from rich.console import Console

from gateway.import_command import Refusals, show_progress
from resolvers.leaderboard_import import Counts, Refusal
from tests.harness import Database, NewDatabase
from tests.legacy import PAYLOAD, V1_TABLES, Legacy, legacy_database

PODIUM = Path(sysconfig.get_path("scripts")) / "podium"


class Ended(NamedTuple):
    """How a command ended."""

    status: int | None
    out: str
    err: str


class Commands:
    """Runs podium on the test's database, away from any .env."""

    def __init__(self, database: Database, directory: Path) -> None:
        self._environment = {
            **{name: value for name, value in os.environ.items() if name in ("PATH", "PYTHONPATH")},
            "POSTGRES": database.logins.writer,
            "POSTGRES_OWNER": database.logins.owner,
        }
        self._directory = directory

    async def start(self, *words: str, **settings: str) -> asyncio.subprocess.Process:
        environment = self._environment | settings
        return await asyncio.create_subprocess_exec(
            *(PODIUM, "import", *words), env=environment, cwd=self._directory, stdout=PIPE, stderr=PIPE
        )

    async def run(self, *words: str, **settings: str) -> Ended:
        return await ended(await self.start(*words, **settings))


async def ended(process: asyncio.subprocess.Process) -> Ended:
    """How the command ends, awaited."""
    out, err = await process.communicate()
    return Ended(process.returncode, out.decode(), err.decode())


@pytest.fixture
async def v1(new_database: NewDatabase) -> AsyncIterator[Legacy]:
    """A legacy database of v1, without events."""
    async with legacy_database(new_database) as made:
        await made.connection.execute(V1_TABLES)
        yield made


@pytest.fixture
def commands(database: Database, tmp_path: Path) -> Commands:
    return Commands(database, tmp_path)


async def test_an_import_prints_what_came_in_and_what_became_of_it(v1: Legacy, commands: Commands) -> None:
    await v1.event()
    await v1.event({"round_trip_time": -1})
    await v1.region_table("fra", PAYLOAD)
    first = await commands.run("leaderboard", v1.url)
    assert first.status == 0
    assert first.out.splitlines() == [
        "                     read       imported  already there        refused",
        "events                  2              1              0              1",
        "fra                     1              0              1              0",
        "all                     3              1              1              1",
        "regions: 6 read, 3 new",
        "refused:",
        "  events 2: round_trip_time: a number from 0 to 1e+100, not -1.0",
    ]
    assert first.err.splitlines() == [
        *("events: 2 rows to read", "events: 2 of 2", "fra: 1 rows to read", "fra: 1 of 1"),
    ]
    again = await commands.run("leaderboard", v1.url)
    assert again.out.splitlines()[3] == "all                     3              0              2              1"


async def test_an_empty_podium_is_migrated_first(v1: Legacy, commands: Commands, new_database: NewDatabase) -> None:
    empty = await new_database(template="template0")
    await v1.event()
    own = {"POSTGRES": empty.logins.superuser, "POSTGRES_OWNER": empty.logins.superuser}
    rehearsed = await commands.run("leaderboard", v1.url, "--dry-run", **own)
    assert (rehearsed.status, rehearsed.err) == (
        *(1, "podium: the database lacks podium's tables: run `podium migrate up`\n"),
    )
    assert (await commands.run("leaderboard", v1.url, **own)).status == 0


async def test_a_dry_run_says_so(v1: Legacy, commands: Commands, connection: asyncpg.Connection) -> None:
    await v1.event()
    rehearsed = await commands.run("leaderboard", v1.url, "--dry-run")
    assert (rehearsed.status, rehearsed.out.splitlines()[-1]) == (0, "dry run: nothing was written")
    assert await connection.fetchval("SELECT count(*) FROM podium.results") == 0
    imported = await commands.run("leaderboard", v1.url)
    assert imported.out.splitlines() == rehearsed.out.splitlines()[:-1]


async def test_all_refused_rows_are_appended_to_a_file(v1: Legacy, commands: Commands, tmp_path: Path) -> None:
    file = tmp_path / "rejected.ndjson"
    file.write_text("kept\n")
    await v1.event("[1e400]")
    await v1.event({"timestamp": "x"})
    await v1.region_table("fra", None)
    assert (await commands.run("leaderboard", v1.url, "--rejected", str(file))).status == 0
    kept, large, *others = file.read_text().splitlines()
    assert kept == "kept"
    assert large.startswith('{"table":"events","id":1,"reason":"payload: number is infinity when parsed as double"')
    assert [json.loads(line) for line in others] == [
        {
            "table": "events",
            "id": 2,
            "reason": "timestamp: Expected int, got str",
            "payload": PAYLOAD | {"timestamp": "x"},
        },
        {"table": "fra", "id": 1, "reason": "payload: it is no JSON object", "payload": None},
    ]


@pytest.mark.parametrize(
    ("words", "settings", "message"),
    [
        (("leaderboard", "{url}/nope"), {}, 'cannot read the legacy database (database "test_'),
        (
            ("leaderboard", "mysql://me:s3cret@x/y"),
            {},
            "cannot read the legacy database (invalid DSN: scheme is expected",
        ),
        (("leaderboard", "postgresql://me:s3cret@127.0.0.1:1/y"), {}, "cannot read the legacy database ("),
        (("leaderboard", "{url}"), {"POSTGRES": "postgresql://me:s3cret@127.0.0.1:1/y"}, "podium's database: "),
        (("leaderboard", "{url}"), {"PORT": "x"}, "PORT: "),
        (
            ("leaderboard", "{url}", "--rejected", "/nowhere/file"),
            {},
            "[Errno 2] No such file or directory: '/nowhere/file'",
        ),
    ],
)
async def test_a_failure_is_one_line_without_secrets(
    v1: Legacy, commands: Commands, words: tuple[str, ...], settings: dict[str, str], message: str
) -> None:
    url, nope = v1.url, v1.url.replace("?", "_nope?")
    given = [nope if word == "{url}/nope" else word.replace("{url}", url) for word in words]
    failed = await commands.run(*given, **settings)
    assert (failed.status, failed.out) == (1, "")
    assert failed.err.startswith(f"podium: {message}")
    assert failed.err.count("\n") == 1
    assert "s3cret" not in failed.err


async def test_an_interrupted_import_says_how_to_go_on(v1: Legacy, commands: Commands) -> None:
    await v1.event()
    async with v1.connection.transaction():
        await v1.connection.execute("LOCK TABLE public.events IN ACCESS EXCLUSIVE MODE")
        process = await commands.start("leaderboard", v1.url)
        while not await v1.connection.fetchval(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'public.events'::regclass"
        ):
            assert process.returncode is None
        process.send_signal(signal.SIGINT)
        interrupted = await ended(process)
    assert interrupted.status == 130
    assert interrupted.err == "podium: interrupted: run the same command again, and it goes on where it was\n"
    assert (await commands.run("leaderboard", v1.url)).status == 0


async def test_help_shows_an_example(commands: Commands) -> None:
    helped = await commands.run("leaderboard", "--help")
    assert "Example: podium import leaderboard postgresql://" in " ".join(helped.out.split())


def test_only_the_first_refused_rows_are_listed() -> None:
    refusals = Refusals()
    for number in range(30):
        refusals.add(Refusal("events", number, f"round_trip_time: a number from 0, not -{number}", "{}"))
    for number in range(60):
        refusals.add(Refusal("fra", number, f"a reason of its own, the {number}th", None))
    lines = list(refusals.lines())
    assert lines[1] == "  events 0: round_trip_time: a number from 0, not -0"
    assert lines[20] == "  events 19: round_trip_time: a number from 0, not -19"
    assert lines[21:23] == ["  11 more: other reasons", "  10 more: round_trip_time: a number from 0"]
    assert len(lines) == 1 + 20 + 51


def test_a_terminal_shows_bars() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    _import_three_thousand_rows(console)
    assert "━━━" in _text(console)
    assert "3000/3000" in _text(console)


def test_a_log_gets_a_line_per_tenth() -> None:
    console = Console(file=io.StringIO(), width=20)
    _import_three_thousand_rows(console)
    lines = _text(console).splitlines()
    assert lines == ["events: 3,000 rows to read", *(f"events: {count:,} of 3,000" for count in range(300, 3001, 300))]


def _import_three_thousand_rows(console: Console) -> None:
    with show_progress(console) as report:
        report("table_opened", table="events", rows=3000)
        for _ in range(30):
            report("rows_taken", table="events", counts=Counts(read=100, imported=90, refused=10))


def _text(console: Console) -> str:
    file: Any = console.file
    return str(file.getvalue())
