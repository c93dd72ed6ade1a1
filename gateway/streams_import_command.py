"""`podium import streams`: takes over what canWatch knows of viewers, and says what it took."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from rich.console import Console

from db.migrate import migrate
from gateway.import_command import FAILURES, Refusals, count_lines, explain, fail, reporter, show_progress
from gateway.logs import configure_logs
from gateway.patient_pool import patient_pool
from gateway.settings import Settings, load_settings
from resolvers.leaderboard_import import Counts

INTERRUPTED = "interrupted: run the same command again, what came in stays"


def streams(
    url: Annotated[str, typer.Argument(help="URL of the Redis of canWatch: redis://, rediss:// or unix://.")],
    prefix: Annotated[str, typer.Option(help="What every key begins with.")] = "",
    users: Annotated[str, typer.Option(help="The key of the set of users.")] = "validUsers",
    streams: Annotated[str, typer.Option(help="The key of the set of streams.")] = "validStreams",
    password_file: Annotated[
        Path | None, typer.Option(help="A file with the password, which other users of the machine do not see there.")
    ] = None,
) -> None:
    """Copy ids of viewers and streams, and what is watched. Can be interrupted, and repeated: docs/import.md."""
    try:
        settings = load_settings()
        configure_logs(settings.log_level, settings.log_format)
        password = password_file.read_text(encoding="utf-8").strip() if password_file else None
        refusals = Refusals()
        with ExitStack() as stack:
            report = reporter(stack.enter_context(show_progress(Console(stderr=True))), refusals)
            work = _import(url, settings, report, password, users=users, streams=streams, prefix=prefix)
            tables, ended = uvloop.run(work)
    except FAILURES as error:
        fail(explain(error))
    except KeyboardInterrupt:
        fail(INTERRUPTED, status=130)
    typer.echo("\n".join([*count_lines(tables), *refusals.lines()]))
    if ended:
        typer.echo(f"ended there since the last import, and here now: {ended:,}")


async def _import(
    url: str, settings: Settings, report: Callable[..., None], password: str | None, **names: str
) -> tuple[dict[str, Counts], int]:
    # Redis takes half a second to be imported, which other commands need not wait for.
    from gateway.serve import administered
    from resolvers.streams.importing import StreamsImport
    from resolvers.streams.original import Keys, open_original

    async with (
        administered(settings) as (owner, urls),
        open_original(url, Keys(**names), password) as original,
        patient_pool(settings.postgres_direct or urls.write, "import") as pool,
    ):
        if settings.auto_migrate:
            await migrate(owner)
        lease_s = settings.stream_lease_s.total_seconds() or None
        return await StreamsImport(original, pool, lease_s, report).run()
