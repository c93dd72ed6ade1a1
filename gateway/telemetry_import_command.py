"""`podium import telemetry`: brings over what the original of telemetry stored, and says what it took."""

from collections.abc import Callable
from typing import Annotated

import typer
import uvloop
from rich.console import Console

from db.migrate import migrate
from db.pool import Database
from gateway.import_command import FAILURES, INTERRUPTED, count_lines, explain, fail, show_progress
from gateway.logs import configure_logs
from gateway.patient_pool import patient_pool
from gateway.settings import Settings, load_settings
from resolvers.leaderboard_import import Counts
from resolvers.telemetry.importing import TelemetryImport
from resolvers.telemetry.legacy import open_legacy


def telemetry(
    url: Annotated[str, typer.Argument(help="Connection URL of a database of the original of telemetry.")],
    no_benchmarks: Annotated[
        bool, typer.Option("--no-benchmarks", help="Leave out benchmarks, their events and host systems.")
    ] = False,
) -> None:
    """Copy nodes, messages and benchmarks. Goes on where it was interrupted, and can be repeated: docs/import.md."""
    try:
        settings = load_settings()
        configure_logs(settings.log_level, settings.log_format)
        with show_progress(Console(stderr=True)) as progress:
            tables = uvloop.run(_import(url, settings, progress, with_benchmarks=not no_benchmarks))
    except FAILURES as error:
        fail(explain(error))
    except KeyboardInterrupt:
        fail(INTERRUPTED, status=130)
    typer.echo("\n".join(count_lines(tables)))


async def _import(
    url: str, settings: Settings, report: Callable[..., None], *, with_benchmarks: bool
) -> dict[str, Counts]:
    from gateway.serve import administered

    async with (
        administered(settings) as (owner, urls),
        open_legacy(url) as legacy,
        patient_pool(settings.postgres_direct or urls.write, "import") as pool,
    ):
        if settings.auto_migrate:
            await migrate(owner)
        work = TelemetryImport(legacy, Database(write=pool, read=pool), settings.log_expiry_h, report)
        return await work.run(with_benchmarks=with_benchmarks)
