"""`podium rollups`: whether the sums by hour and day are what the results come to, and building them anew."""

from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Annotated, Any, NoReturn

import typer
import uvloop

from db.embedded_host import EmbeddedPostgresError
from db.pool import Database
from gateway.logs import configure_logs
from gateway.patient_pool import patient_pool
from gateway.settings import Settings, SettingsError, load_settings
from resolvers.errors import PodiumError
from resolvers.filters import Window
from resolvers.rollups import check as check_days
from resolvers.rollups import rebuild as rebuild_days
from resolvers.times import parse_time

rollups_app = typer.Typer(
    help="Check and repair the sums by hour and day that questions are answered from.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Since = Annotated[str | None, typer.Option(help="From the day of this time on, RFC 3339; else from the first day.")]
Until = Annotated[str | None, typer.Option(help="Up to the day of this time; else up to the last day.")]


@rollups_app.command(epilog="Example: podium rollups check --since 2026-11-01")
def check(since: Since = None, until: Until = None) -> None:
    """Compare roll-ups with results, day by day from the last one. Exits with 1 where any is wrong."""
    wrong = _run(since, until, _check)
    if wrong:
        typer.echo(f"{wrong:,} wrong cells: `podium rollups rebuild` repairs them", err=True)
        raise typer.Exit(1)


@rollups_app.command(epilog="Example: podium rollups rebuild --since 2026-11-01 --until 2026-11-07")
def rebuild(since: Since = None, until: Until = None) -> None:
    """Build roll-ups anew, day by day from the last one; podium may serve meanwhile."""
    _run(since, until, _rebuild)


async def _check(db: Database, window: Window) -> int:
    wrong = days = 0
    async for checked in check_days(db.write, window):
        days += 1
        wrong += checked.wrong_cells
        typer.echo(f"{checked.day:%Y-%m-%d}  {f'{checked.wrong_cells:,} wrong' if checked.wrong_cells else 'right'}")
    typer.echo(f"{days:,} days checked")
    return wrong


async def _rebuild(db: Database, window: Window) -> int:
    def report(event: str, day: datetime) -> None:
        typer.echo(f"{day:%Y-%m-%d}")

    count = await rebuild_days(db, window, report)
    typer.echo(f"{count:,} days built anew")
    return 0


Work = Callable[[Database, Window], Coroutine[Any, Any, int]]


def _run(since: str | None, until: str | None, work: Work) -> int:
    try:
        settings = load_settings()
        configure_logs(settings.log_level, settings.log_format)
        return uvloop.run(_work(settings, Window(_time("since", since), _time("until", until)), work))
    except PodiumError as error:
        _fail(f"{error.message}: {error.hint}" if error.hint else error.message)
    except (SettingsError, EmbeddedPostgresError, ValueError) as error:
        _fail(str(error))
    except KeyboardInterrupt:
        _fail("interrupted: run the same command again", status=130)


async def _work(settings: Settings, window: Window, work: Work) -> int:
    from gateway.serve import administered

    async with (
        administered(settings) as (_, urls),
        patient_pool(settings.postgres_direct or urls.write, "rollups") as pool,
    ):
        return await work(Database(write=pool, read=pool), window)


def _time(name: str, text: str | None) -> datetime | None:
    try:
        return None if text is None else parse_time(text)
    except ValueError as error:
        raise ValueError(f"--{name}: {error}") from None


def _fail(message: str, status: int = 1) -> NoReturn:
    typer.echo(f"podium: {message}", err=True)
    raise typer.Exit(status)
