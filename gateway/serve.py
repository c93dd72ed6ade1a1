"""`podium serve`: a database, migrations, a listening socket, and one process or several that serve it."""

import os
import resource
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import structlog

from db.embedded import EmbeddedPostgres, attach
from db.migrate import migrate
from gateway.demo import fill_with_demo
from gateway.parts import Urls
from gateway.server import ServeError, Server, make_gateway, open_gateway
from gateway.settings import Settings
from gateway.supervisor import Supervisor

log = structlog.get_logger()


async def serve(settings: Settings, *, demo: bool = False) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is in flight."""
    _allow_many_sockets()
    listening = _listen(settings.host, settings.port, settings.max_pending_connections)
    announce = partial(_print_welcome, _url_of(listening), "GraphQL " if settings.documents else "GraphiQL")
    async with _own_database(settings) as (owner, urls):
        gateway = make_gateway(settings, urls)
        if settings.auto_migrate:
            await migrate(owner)
        await open_gateway(gateway)
        if demo:
            stored = await fill_with_demo(gateway.db, gateway.catalog)
            log.info("demo_stored" if stored else "demo_not_needed", count=stored)
        if settings.workers == 1:
            await Server(gateway).run_until_drained([listening], announce)
        else:
            await gateway.close()  # what could be wrong for workers was found, and said once
            await Supervisor(settings, urls, listening, announce).run()


@asynccontextmanager
async def administered(settings: Settings) -> AsyncIterator[tuple[str, Urls]]:
    """The owner's and the gateway's connection URLs, for commands beside a running `podium serve`."""
    if settings.postgres:
        yield _configured(settings)
        return
    async with attach(settings.podium_data_dir) as logins:
        yield logins.owner, Urls(logins.writer, logins.reader)


@asynccontextmanager
async def _own_database(settings: Settings) -> AsyncIterator[tuple[str, Urls]]:
    if settings.postgres:
        yield _configured(settings)
        return
    async with EmbeddedPostgres(settings.podium_data_dir, report=_report_postgres) as postgres:
        yield postgres.logins.owner, Urls(postgres.logins.writer, postgres.logins.reader)


def _report_postgres(event: str, **facts: object) -> None:
    level = "warning" if event in ("postgres_died", "postgres_restart_failed") else "info"
    getattr(log, level)(event, **facts)


def _configured(settings: Settings) -> tuple[str, Urls]:
    postgres = settings.postgres or ""
    owner = settings.postgres_owner or settings.postgres_direct or postgres
    return owner, Urls(postgres, settings.postgres_read or postgres)


def _allow_many_sockets() -> None:
    # Many systems let a process have 1,024 files unless it asks for more; a socket is one, and each node has one.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _listen(host: str, port: int, backlog: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=backlog)
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise ServeError(f"cannot listen on {host}:{port} ({reason}): choose another with --port") from None


def _url_of(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _print_welcome(url: str, page: str) -> None:
    log.info("ready", url=url)
    print(f"{page}  {url}/graphql\nOld URLs  {url}/api/aggregated_stats\nMetrics   {url}/metrics", flush=True)  # noqa: T201
