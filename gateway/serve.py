"""`podium serve`: a database, migrations, a listening socket, and a server that drains before it stops."""

import gc
import os
import socket
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager, contextmanager
from math import inf
from time import monotonic
from types import FrameType

import structlog
import uvicorn

from db.embedded import EmbeddedPostgres, attach
from db.migrate import migrate
from gateway.app import Gateway
from gateway.demo import fill_with_demo
from gateway.parts import Urls
from gateway.protocol import Http, WebSocket
from gateway.settings import Settings, SettingsError
from resolvers.errors import NotMigrated, Unavailable
from schema.manifest import ManifestError

DRAIN_TIMEOUT_S = 25
# A thousand results are some thousand objects, none of them in a cycle: with Python's 700, each large answer would have
# the collector look through it several times. But documents are full of cycles: old ones must be looked for at times.
GC_THRESHOLDS = (20_000, 5, 2)

log = structlog.get_logger()


class ServeError(Exception):
    """The gateway cannot start; the message says why and what to do."""


async def serve(settings: Settings, *, demo: bool = False) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is in flight."""
    listening = _listen(settings.host, settings.port)
    async with _own_database(settings) as (owner, urls):
        gateway = _gateway(settings, urls)
        if settings.auto_migrate:
            await migrate(owner)
        await _open(gateway)
        if demo:
            stored = await fill_with_demo(gateway.db, gateway.catalog)
            log.info("demo_stored" if stored else "demo_not_needed", count=stored)
        config = uvicorn.Config(
            gateway.application(),
            loop="uvloop",
            http=Http,
            ws=WebSocket,
            ws_max_size=settings.max_body_bytes,
            ws_per_message_deflate=False,
            log_config=None,
            access_log=False,
            server_header=False,
            forwarded_allow_ips=settings.forwarded_allow_ips,
            timeout_graceful_shutdown=DRAIN_TIMEOUT_S,
            lifespan="on",
        )
        gc.collect()
        gc.freeze()  # what is there now stays, and need not be looked through again and again
        gc.set_threshold(*GC_THRESHOLDS)
        await _Server(config, gateway).serve(sockets=[listening])


def _gateway(settings: Settings, urls: Urls) -> Gateway:
    try:
        return Gateway(settings, urls)
    except (ManifestError, SettingsError) as error:
        raise ServeError(str(error)) from None


async def _open(gateway: Gateway) -> None:
    try:
        await gateway.open()
    except NotMigrated:
        raise
    except Unavailable as error:
        raise ServeError(f"{error.message}: check POSTGRES and POSTGRES_READ, and that their servers run") from error


class _Server(uvicorn.Server):
    """Turns readiness off first, so that balancers stop sending before anything closes; a second signal is obeyed
    at once.
    """

    def __init__(self, config: uvicorn.Config, gateway: Gateway) -> None:
        super().__init__(config)
        self._gateway = gateway
        self._exit_at = inf

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        for listening in sockets or ():
            host, port = listening.getsockname()[:2]
            page = "GraphQL " if self._gateway.settings.documents else "GraphiQL"
            _print_welcome(f"http://{f'[{host}]' if ':' in host else host}:{port}", page)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._gateway.event_streams.stop()  # uvicorn would wait for their ends
        await super().shutdown(sockets=sockets)

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        with super().capture_signals():
            yield
            # uvicorn would raise them again, and end the process before its database.
            self._captured_signals.clear()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._gateway.draining:
            super().handle_exit(sig, frame)
        self._gateway.draining = True
        self._exit_at = monotonic() + self._gateway.settings.drain_delay.total_seconds()

    async def on_tick(self, counter: int) -> bool:
        self.should_exit = self.should_exit or monotonic() >= self._exit_at
        return await super().on_tick(counter)


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


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise ServeError(f"cannot listen on {host}:{port} ({reason}): choose another with --port") from None
    listening.set_inheritable(True)
    return listening


def _print_welcome(url: str, page: str) -> None:
    log.info("ready", url=url)
    print(f"{page}  {url}/graphql\nOld URLs  {url}/api/aggregated_stats\nMetrics   {url}/metrics", flush=True)  # noqa: T201
