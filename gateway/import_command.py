"""`podium import`: brings over what other services recorded, and says what it took and what it could not take."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Annotated, Any, NoReturn

import asyncpg
import orjson
import typer
import uvloop
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from db.embedded_host import EmbeddedPostgresError
from db.migrate import MigrationError, migrate
from db.pool import Database
from gateway.logs import configure_logs
from gateway.patient_pool import patient_pool
from gateway.settings import Settings, SettingsError, load_settings
from resolvers.errors import NotMigrated, PodiumError, Unavailable
from resolvers.leaderboard_import import Counts, Import, Refusal, Rehearsal, Summary, Target
from resolvers.legacy_database import ImportFailed
from resolvers.legacy_leaderboard import open_legacy

INTERRUPTED = "interrupted: run the same command again, and it goes on where it was"
SHOWN_REFUSALS = 20
COUNTED_REASONS = 50

import_app = typer.Typer(
    help="Copy what the original services recorded into podium.", no_args_is_help=True, rich_markup_mode=None
)

FAILURES = (
    *(SettingsError, EmbeddedPostgresError, MigrationError, ImportFailed, PodiumError),
    *(asyncpg.PostgresError, OSError),
)


@import_app.command(
    epilog="Example: podium import leaderboard postgresql://reader@db.example.com/leaderboard --dry-run"
)
def leaderboard(
    url: Annotated[str, typer.Argument(help="Connection URL of a database of the original leaderboard.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and check everything, write nothing.")] = False,
    from_start: Annotated[
        bool, typer.Option("--from-start", help="Read everything again, also what was refused; nothing is doubled.")
    ] = False,
    rejected: Annotated[
        Path | None, typer.Option(help="Append every refused row to this file, one JSON object per line.")
    ] = None,
) -> None:
    """Copy regions and results. Goes on where it was interrupted, and can be repeated at any time: docs/import.md."""
    try:
        settings = load_settings()
        configure_logs(settings.log_level, settings.log_format)
        with ExitStack() as stack:
            refusals = Refusals(stack.enter_context(rejected.open("ab", buffering=0)) if rejected else None)
            progress = stack.enter_context(show_progress(Console(stderr=True)))
            work = _import(url, settings, reporter(progress, refusals), dry_run=dry_run, from_start=from_start)
            summary = uvloop.run(work)
    except FAILURES as error:
        fail(explain(error))
    except KeyboardInterrupt:
        fail(INTERRUPTED, status=130)
    typer.echo("\n".join([*summary_lines(summary), *refusals.lines()]))
    if dry_run:
        typer.echo("dry run: nothing was written")


class Refusals:
    """Keeps the first refused rows and counts the others by reason; writes all to a file, if there is one."""

    def __init__(self, file: IO[bytes] | None = None) -> None:
        self._file = file
        self._first: list[Refusal] = []
        self._others: Counter[str] = Counter()

    def add(self, refusal: Refusal) -> None:
        """Take note of a row."""
        if self._file:
            self._file.write(_json_line(refusal))
        if len(self._first) < SHOWN_REFUSALS:
            self._first.append(refusal)
        else:
            reason = refusal.reason.partition(", not ")[0]
            known = reason in self._others or len(self._others) < COUNTED_REASONS
            self._others[reason if known else "other reasons"] += 1

    def lines(self) -> Iterator[str]:
        """What to print."""
        if self._first:
            yield "refused:"
        for refusal in self._first:
            yield f"  {refusal.table} {refusal.id}: {refusal.reason}"
        for reason, count in self._others.most_common():
            yield f"  {count:,} more: {reason}"


def summary_lines(summary: Summary) -> Iterator[str]:
    """What an import from the leaderboard did."""
    yield from count_lines(summary.tables)
    yield f"regions: {summary.regions} read, {summary.new_regions} new"


def count_lines(tables: Mapping[str, Counts]) -> Iterator[str]:
    """The counts of an import as a small table."""
    width = max(10, *(len(table) + 1 for table in tables))
    total = Counts(*map(sum, zip(Counts(), *tables.values(), strict=True)))
    yield _line(width, "", "read", "imported", "already there", "refused")
    for table, counts in [*tables.items(), ("all", total)]:
        yield _line(width, table, *(f"{count:,}" for count in counts))


@contextmanager
def show_progress(console: Console) -> Iterator[Callable[..., None]]:
    """Reports of an import become bars on a terminal, and elsewhere a line per tenth of a table."""
    if not console.is_terminal:
        yield _Lines(console)
        return
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console) as progress:
        yield _Bars(progress)


class _Bars:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, event: str, *, table: str, rows: int = 0, counts: Counts | None = None) -> None:
        if counts is None:
            self._tasks[table] = self._progress.add_task(table, total=rows)
        else:
            self._progress.advance(self._tasks[table], counts.read)


class _Lines:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._total = self._done = 0

    def __call__(self, event: str, *, table: str, rows: int = 0, counts: Counts | None = None) -> None:
        if counts is None:
            self._total, self._done = rows, 0
            self._print(f"{table}: {rows:,} rows to read")
            return
        tenth = 10 * self._done // (self._total or 1)
        self._done += counts.read
        if 10 * self._done // (self._total or 1) > tenth:
            self._print(f"{table}: {self._done:,} of {self._total:,}")

    def _print(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)


def reporter(progress: Callable[..., None], refusals: Refusals) -> Callable[..., None]:
    """What an import reports to: progress, and a list of what was refused."""

    def report(event: str, **facts: Any) -> None:
        if event == "row_refused":
            refusals.add(**facts)
        else:
            progress(event, **facts)

    return report


async def _import(
    url: str, settings: Settings, report: Callable[..., None], *, dry_run: bool, from_start: bool
) -> Summary:
    from gateway.serve import administered

    async with (
        administered(settings) as (owner, urls),
        open_legacy(url) as legacy,
        patient_pool(settings.postgres_direct or urls.write, "import") as pool,
    ):
        db = Database(write=pool, read=pool)
        if settings.auto_migrate and not dry_run:
            await migrate(owner)
        target = Rehearsal(db) if dry_run else Target(db)
        return await Import(legacy, target, report).run(from_start=from_start)


def _line(width: int, table: str, *columns: str) -> str:
    return f"{table:<{width}}" + "".join(f"{column:>15}" for column in columns)


def _json_line(refusal: Refusal) -> bytes:
    payload = None if refusal.payload is None else orjson.Fragment(refusal.payload)
    return orjson.dumps({**refusal._asdict(), "payload": payload}, option=orjson.OPT_APPEND_NEWLINE)


def explain(error: Exception) -> str:
    """One line: what is wrong, and what to do."""
    if isinstance(error, NotMigrated):
        return f"{error.message}: {error.hint}"
    if isinstance(error, MigrationError):
        return f"podium's database cannot be migrated ({error}): check POSTGRES, or POSTGRES_OWNER"
    if isinstance(error, asyncpg.PostgresError | Unavailable):
        said = str(error).partition("\n")[0]
        return f"podium's database: {said}: check POSTGRES and run the import again, it goes on where it was"
    return str(error)


def fail(message: str, status: int = 1) -> NoReturn:
    """End the command with a message."""
    typer.echo(f"podium: {message}", err=True)
    raise typer.Exit(status)
