"""`podium export`: results as a file, or on standard output, with the filters of /export/stats."""

import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import IO, Annotated, NoReturn

import typer
import uvloop
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from compat_rest.export import export_request
from db.embedded_host import EmbeddedPostgresError
from db.pool import Pool
from gateway.logs import configure_logs
from gateway.patient_pool import patient_pool
from gateway.settings import Settings, SettingsError, load_settings
from resolvers.errors import InvalidArgument, PodiumError
from resolvers.export import COLUMNS, ExportRequest, export_results
from schema.results import stat_id

SHOWN_EVERY = 100_000


def export(
    orchestrator: Annotated[list[str] | None, typer.Option(help="An address, in any case; may be repeated.")] = None,
    region: Annotated[list[str] | None, typer.Option(help="A region code, in any case; may be repeated.")] = None,
    job_type: Annotated[str | None, typer.Option(help="transcoding or ai.")] = None,
    pipeline: Annotated[list[str] | None, typer.Option(help="An AI pipeline, exactly; may be repeated.")] = None,
    model: Annotated[list[str] | None, typer.Option(help="An AI model, exactly; may be repeated.")] = None,
    since: Annotated[str | None, typer.Option(help="Recorded from this time on: RFC 3339 or Unix seconds.")] = None,
    until: Annotated[str | None, typer.Option(help="Recorded up to this time.")] = None,
    last: Annotated[str | None, typer.Option(help="Recorded so long ago at most, like 24h or 7d.")] = None,
    min_success_rate: Annotated[str | None, typer.Option(help="At least this, a fraction.")] = None,
    max_success_rate: Annotated[str | None, typer.Option(help="At most this, a fraction.")] = None,
    min_round_trip_time: Annotated[str | None, typer.Option(help="At least so many seconds.")] = None,
    max_round_trip_time: Annotated[str | None, typer.Option(help="At most so many seconds.")] = None,
    error_code: Annotated[list[str] | None, typer.Option(help="With an error of this code; may be repeated.")] = None,
    model_is_warm: Annotated[str | None, typer.Option(help="true or false.")] = None,
    withdrawn: Annotated[str | None, typer.Option(help="true, false or any; false when nothing is said.")] = None,
    format: Annotated[str | None, typer.Option(help="csv or ndjson; csv when nothing is said.")] = None,
    columns: Annotated[str | None, typer.Option(help=f"Any of {','.join(COLUMNS)}.")] = None,
    limit: Annotated[str | None, typer.Option(help="At most so many results, the oldest ones.")] = None,
    output: Annotated[
        Path | None, typer.Option(help="Write to this file, which is there when it is complete; else standard output.")
    ] = None,
) -> None:
    """Write results as CSV or NDJSON, oldest first: docs/export.md."""
    given = {name: value for name, value in locals().items() if name != "output"}
    console = Console(stderr=True)
    written = _run(_pairs(given), output, console)
    console.print(f"{written:,} results", highlight=False)


def _run(pairs: list[tuple[str, str]], output: Path | None, console: Console) -> int:
    try:
        request = export_request(pairs)
        settings = load_settings()
        configure_logs(settings.log_level, settings.log_format)
        shows_bar = console.is_terminal and not (output is None and sys.stdout.isatty())
        with show_progress(console, is_bar=shows_bar) as report:
            return uvloop.run(_export(settings, request, output, report))
    except InvalidArgument as error:
        _fail(_as_option(error))
    except PodiumError as error:
        _fail(f"{error.message}: {error.hint}" if error.hint else error.message)
    except BrokenPipeError:
        raise  # whoever read the output has enough, and typer ends quietly
    except OSError as error:
        _fail(f"{output or 'standard output'}: {error.strerror}")
    except (SettingsError, EmbeddedPostgresError) as error:
        _fail(str(error))
    except KeyboardInterrupt:
        _fail("interrupted: the export is not complete", status=130)


async def _export(
    settings: Settings, request: ExportRequest, output: Path | None, report: Callable[[int], None]
) -> int:
    written = 0
    async with AsyncExitStack() as stack:
        db = await stack.enter_async_context(_opened(settings))
        file = stack.enter_context(_file(output))
        chunks = await stack.enter_async_context(aclosing(export_results(db, request, stat_id)))
        async for chunk in chunks:
            file.write(chunk.body)
            written += chunk.rows
            report(written)
    return written


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Pool]:
    from gateway.serve import administered

    if not settings.postgres and not (settings.podium_data_dir / "postgres").is_dir():
        raise SettingsError(f"{settings.podium_data_dir} has no database: set POSTGRES, or PODIUM_DATA_DIR")
    async with administered(settings) as (_, urls):
        is_pooled = settings.postgres_direct is not None
        async with patient_pool(urls.read, "export", pooled_by_pgbouncer=is_pooled, for_questions=True) as pool:
            yield pool


@contextmanager
def _file(output: Path | None) -> Iterator[IO[bytes]]:
    """Where to write; a file gets its name when it is complete, and is removed when it is not."""
    if output is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    if output.exists() and not output.is_file():  # a device or a pipe, which must stay what it is
        with output.open("wb") as file:
            yield file
        return
    part = output.with_name(f".{output.name}.{os.getpid()}.part")
    try:
        with part.open("xb") as file:
            yield file
        part.replace(output)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


@contextmanager
def show_progress(console: Console, *, is_bar: bool) -> Iterator[Callable[[int], None]]:
    """Shows how many results are written: on a terminal all the time, elsewhere a line per 100,000."""
    if not is_bar:
        yield _Lines(console)
        return
    columns = SpinnerColumn(), TextColumn("{task.completed:,} results"), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=None)
        yield lambda written: progress.update(task, completed=written)


class _Lines:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown = 0

    def __call__(self, written: int) -> None:
        if written // SHOWN_EVERY > self._shown // SHOWN_EVERY:
            self._console.print(f"{written:,} results so far", highlight=False)
            self._shown = written


def _pairs(given: dict[str, str | list[str] | None]) -> list[tuple[str, str]]:
    """The parameters of /export/stats that the options mean."""
    values = {name: [value] if isinstance(value, str) else value or [] for name, value in given.items()}
    return [(name, value) for name, items in values.items() for value in items]


def _as_option(error: InvalidArgument) -> str:
    if not error.field:
        return error.message
    option = f"--{error.field.replace('_', '-')}"
    return error.message.replace(f"{error.field}:", f"{option}:", 1)


def _fail(message: str, status: int = 1) -> NoReturn:
    typer.echo(f"podium: {message}", err=True)
    raise typer.Exit(status)
