"""The command line: `podium serve`, `probe`, `migrate`, `import`, `export`, `rollups`, `documents` and others."""

import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer
import uvloop

from db.embedded_host import EmbeddedPostgresError
from db.migrate import MigrationError
from gateway.bench_command import PASS_ON, bench
from gateway.documents_command import documents
from gateway.export_command import export
from gateway.import_command import import_app
from gateway.logs import configure_logs
from gateway.probe_command import probe
from gateway.rollups_command import rollups_app
from gateway.settings import VERSION, Settings, SettingsError, load_settings
from gateway.streams_import_command import streams
from gateway.telemetry_import_command import telemetry
from gateway.token_command import token
from resolvers.errors import PodiumError

app = typer.Typer(
    name="podium",
    help="A GraphQL gateway over Postgres for the performance record of decentralised video and AI networks.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"podium {VERSION}")
        raise typer.Exit


@app.callback()
def podium(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Settings come from the environment or .env: docs/configuration.md lists them."""


@app.command(epilog="Example: podium serve --demo --port 9000")
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; HOST, else 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; PORT, else 8080.")] = None,
    documents: Annotated[
        Path | None, typer.Option(help="Execute only the documents of this manifest; DOCUMENTS, else any.")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that serve; WORKERS, else 1.")] = None,
    demo: Annotated[bool, typer.Option("--demo", help="Fill an empty database with a small demo set.")] = False,
) -> None:
    """Serve the graph and the old URLs; without POSTGRES, on an embedded Postgres."""
    from gateway.serve import serve as run

    settings = _settings(host=host, port=port, documents=documents, workers=workers)
    _run(run(settings, demo=demo))


@app.command(epilog="Example: podium migrate status")
def migrate(
    command: Annotated[str, typer.Argument(help="up, down (undo the newest one) or status.")] = "up",
    yes: Annotated[bool, typer.Option("--yes", help="Undo without asking.")] = False,
) -> None:
    """Bring the database up to date, or show where it is."""
    from db.migrate import migrate as run_dbmate
    from gateway.serve import administered

    commands = {"up": "migrate", "down": "rollback", "status": "status"}
    if command not in commands:
        _fail(f"migrate: up, down or status, not {command}")
    if command == "down" and not yes:
        typer.confirm("This undoes the newest migration, and deletes what only it could hold. Go on?", abort=True)

    async def run(settings: Settings) -> None:
        async with administered(settings) as (owner, _):
            typer.echo(await run_dbmate(owner, commands[command]))

    _run(run(_settings()))


@app.command(epilog="Example: podium schema > schema.graphql")
def schema() -> None:
    """Print the GraphQL schema."""
    from schema.root import SDL

    typer.echo(SDL, nl=False)


app.command(epilog="Example: podium bench --only post_stats", context_settings=PASS_ON)(bench)

app.command(epilog="Example: podium probe --config streams.yaml --once")(probe)

app.command(epilog="Example: podium documents src --add-typename --output manifest.json")(documents)

app.command(epilog="Example: podium token --scope publish --subject tester-fra --expires 30d")(token)

app.command(epilog="Example: podium export --last 7d --region FRA --output fra.csv")(export)

import_app.command(epilog="Example: podium import telemetry postgresql://reader@db.example.com/telemetry")(telemetry)

import_app.command(epilog="Example: podium import streams redis://redis.example.com:6379/0")(streams)

app.add_typer(import_app, name="import")

app.add_typer(rollups_app, name="rollups")


def _settings(**given: Any) -> Settings:
    try:
        settings = load_settings(**given)
    except SettingsError as error:
        _fail(str(error))
    configure_logs(settings.log_level, settings.log_format)
    return settings


def _run(work: Coroutine[Any, Any, None]) -> None:
    from gateway.server import ServeError

    try:
        uvloop.run(work)
    except PodiumError as error:
        _fail(f"{error.message}: {error.hint}" if error.hint else error.message)
    except MigrationError as error:
        _fail(f"the database cannot be migrated ({error}): check POSTGRES, or POSTGRES_OWNER, and that its server runs")
    except (EmbeddedPostgresError, ServeError) as error:
        _fail(str(error))
    except KeyboardInterrupt:
        sys.exit(130)


def _fail(message: str) -> Any:
    typer.echo(f"podium: {message}", err=True)
    sys.exit(1)
