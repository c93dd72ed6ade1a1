"""`podium export`, as a process of its own: what it writes, where, and with which status it ends."""

import asyncio
import csv
import io
import os
import signal
import sysconfig
from asyncio.subprocess import PIPE
from pathlib import Path

import asyncpg
import orjson
import pytest
from rich.console import Console

from gateway.export_command import show_progress
from tests.harness import Database, Running

PODIUM = Path(sysconfig.get_path("scripts")) / "podium"
MANY = """INSERT INTO podium.results (recorded_at, timestamp, success_rate, round_trip_time, orchestrator_id, region_id)
  SELECT now() - n * interval '1 ms', n, 1, n, o.id, g.id
  FROM generate_series(1, $1) AS n, podium.orchestrators AS o, podium.regions AS g
  WHERE (g.code, g.job_type) = ('FRA', 'transcoding')"""


class Commands:
    """Runs `podium export` on the test's database, away from any .env."""

    def __init__(self, database: Database, directory: Path) -> None:
        self._environment = {name: value for name, value in os.environ.items() if name in ("PATH", "PYTHONPATH")} | {
            "POSTGRES": database.logins.writer,
            "POSTGRES_READ": database.logins.reader,
        }
        self.directory = directory

    async def start(self, *words: str, **settings: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(PODIUM, "export", *words), env=self._environment | settings, cwd=self.directory, stdout=PIPE, stderr=PIPE
        )

    async def run(self, *words: str, **settings: str) -> tuple[int | None, str, str]:
        process = await self.start(*words, **settings)
        out, err = await process.communicate()
        return process.returncode, out.decode(), err.decode()


@pytest.fixture
def commands(database: Database, tmp_path: Path) -> Commands:
    return Commands(database, tmp_path)


@pytest.fixture
async def recorded(running: Running) -> Running:
    """Three results from two regions."""
    for region, round_trip in (("FRA", 1), ("LAX", 2), ("FRA", 3)):
        await running.post_stat(region=region, orchestrator="0xaa", success_rate=1, round_trip_time=round_trip)
    return running


async def test_it_writes_what_the_url_answers(recorded: Running, commands: Commands) -> None:
    for options, query in (
        ((), ""),
        (("--format", "ndjson"), "?format=ndjson"),
        (("--region", "fra", "--region", "MDW", "--last", "1h"), "?region=fra&region=MDW&last=1h"),
        (("--min-round-trip-time", "2", "--columns", "id,region"), "?min_round_trip_time=2&columns=id,region"),
        (("--limit", "1"), "?limit=1"),
    ):
        status, out, err = await commands.run(*options)
        assert out == (await recorded.client.get(f"/export/stats{query}")).text
        assert (status, err.rpartition(" ")[2]) == (0, "results\n")


async def test_a_file_is_there_when_it_is_complete(recorded: Running, commands: Commands) -> None:
    assert await commands.run("--output", "all.csv") == (0, "", "3 results\n")
    assert [file.name for file in commands.directory.iterdir()] == ["all.csv"]
    with (commands.directory / "all.csv").open(newline="") as file:
        assert [row["round_trip_time"] for row in csv.DictReader(file)] == ["1.0", "2.0", "3.0"]


async def test_a_failure_leaves_the_old_file_and_no_other(
    recorded: Running, commands: Commands, connection: asyncpg.Connection
) -> None:
    (commands.directory / "all.csv").write_text("old")
    await connection.execute("ALTER TABLE podium.results RENAME TO gone")
    status, out, err = await commands.run("--output", "all.csv")
    assert (status, out, err) == (1, "", "podium: the database lacks podium's tables: run `podium migrate up`\n")
    assert [file.read_text() for file in commands.directory.iterdir()] == ["old"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--min-success-rate", "x"), "podium: --min-success-rate: a number, for instance 0.5, not x\n"),
        (("--limit", "0"), "podium: --limit: 1 to 2147483647, not 0\n"),
        (("--output", "no/such/folder.csv"), "No such file or directory"),
    ],
)
async def test_what_cannot_be_is_said(commands: Commands, options: tuple[str, ...], said: str) -> None:
    status, out, err = await commands.run(*options)
    assert (status, out) == (1, "")
    assert said in err


async def test_a_database_that_is_away_is_said(commands: Commands) -> None:
    status, _, err = await commands.run(POSTGRES_READ="postgresql://nobody@127.0.0.1:1/podium")
    assert (status, err) == (1, "podium: the database is not available: try again in 1 s\n")


async def test_an_interrupted_export_leaves_no_file(
    recorded: Running, commands: Commands, connection: asyncpg.Connection
) -> None:
    async with connection.transaction():
        await connection.execute("LOCK TABLE podium.results IN ACCESS EXCLUSIVE MODE")
        process = await commands.start("--output", "all.csv")
        waiting = """SELECT count(*) FROM pg_locks AS l JOIN pg_stat_activity USING (pid)
          WHERE NOT granted AND application_name = 'podium export'"""
        while not await connection.fetchval(waiting):
            assert process.returncode is None
            await asyncio.sleep(0.01)
        assert [file.suffix for file in commands.directory.iterdir()] == [".part"]
        process.send_signal(signal.SIGINT)
        _, err = await process.communicate()
    assert (process.returncode, err.decode()) == (130, "podium: interrupted: the export is not complete\n")
    assert list(commands.directory.iterdir()) == []


async def test_a_reader_that_has_enough_ends_it_quietly(
    recorded: Running, commands: Commands, connection: asyncpg.Connection
) -> None:
    await connection.execute(MANY, 20_000)
    process = await commands.start()
    assert process.stdout
    assert process.stderr
    assert (await process.stdout.readline()).startswith(b"id,")
    process.stdout._transport.close()  # type: ignore[attr-defined]  # as `head` does
    err = await process.stderr.read()
    assert await process.wait() == 1
    assert err == b""


async def test_a_device_stays_what_it_is(recorded: Running, commands: Commands) -> None:
    assert (await commands.run("--output", "/dev/null"))[0] == 0
    assert await asyncio.to_thread(Path("/dev/null").is_char_device)


async def test_an_example_is_in_the_help(commands: Commands) -> None:
    status, out, _ = await commands.run("--help")
    assert status == 0
    assert "Example: podium export" in out
    example = out.rpartition("Example: podium export ")[2].split()
    assert (await commands.run(*example))[0] == 0


@pytest.mark.parametrize("is_bar", [True, False])
def test_progress_is_a_bar_on_a_terminal_and_lines_elsewhere(is_bar: bool) -> None:
    console = Console(record=True, force_terminal=is_bar, width=80, file=io.StringIO())
    with show_progress(console, is_bar=is_bar) as report:
        for written in range(0, 250_001, 50_000):
            report(written)
    lines = console.export_text().splitlines()
    if is_bar:
        assert any("250,000 results" in line for line in lines)
    else:
        assert lines == ["100,000 results so far", "200,000 results so far"]


async def test_the_rows_are_json_of_their_own(recorded: Running, commands: Commands) -> None:
    _, out, _ = await commands.run("--format", "ndjson", "--columns", "region,errors,withdrawn")
    assert orjson.loads(out.splitlines()[0]) == {"region": "FRA", "errors": [], "withdrawn": False}
