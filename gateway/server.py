"""uvicorn as podium runs it: a gateway that is open, and a server that drains before it stops."""

import gc
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager
from math import inf
from time import monotonic
from types import FrameType

import uvicorn

from gateway.app import ALONE, Gateway, Siblings
from gateway.message_socket import MessageSocket
from gateway.parts import Urls
from gateway.protocol import Http
from gateway.settings import Settings, SettingsError
from resolvers.errors import NotMigrated, Unavailable
from schema.manifest import ManifestError

DRAIN_TIMEOUT_S = 25
# A thousand results are some thousand objects, none of them in a cycle: with Python's 700, each large answer would have
# the collector look through it several times. But documents are full of cycles: old ones must be looked for at times.
GC_THRESHOLDS = (20_000, 5, 2)


class ServeError(Exception):
    """The gateway cannot start; the message says why and what to do."""


def make_gateway(settings: Settings, urls: Urls, siblings: Siblings = ALONE) -> Gateway:
    """A gateway; ServeError where its settings cannot be used."""
    try:
        return Gateway(settings, urls, siblings)
    except (ManifestError, SettingsError) as error:
        raise ServeError(str(error)) from None


async def open_gateway(gateway: Gateway) -> None:
    """Connect; ServeError when nobody is there, NotMigrated when the database is older than podium."""
    try:
        await gateway.open()
    except NotMigrated:
        raise
    except Unavailable as error:
        raise ServeError(f"{error.message}: check POSTGRES, and that its server runs") from error


class Server(uvicorn.Server):
    """Turns readiness off first, so that balancers stop sending before anything closes; a second signal is obeyed
    at once.
    """

    def __init__(self, gateway: Gateway) -> None:
        super().__init__(_config(gateway))
        self._gateway = gateway
        self._exit_at = inf

    async def run_until_drained(self, sockets: list[socket.socket], started: Callable[[], None]) -> None:
        """Serve what connects to the sockets until SIGTERM or SIGINT, then finish what is in flight."""
        self._started = started
        gc.collect()
        gc.freeze()  # what is there now stays, and need not be looked through again and again
        gc.set_threshold(*GC_THRESHOLDS)
        await self.serve(sockets=sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._started()

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


def _config(gateway: Gateway) -> uvicorn.Config:
    return uvicorn.Config(
        gateway.application(),
        loop="uvloop",
        http=Http,
        ws=MessageSocket,
        ws_max_size=gateway.settings.max_body_bytes,
        ws_per_message_deflate=False,
        log_config=None,
        access_log=False,
        server_header=False,
        forwarded_allow_ips=gateway.settings.forwarded_allow_ips,
        timeout_graceful_shutdown=DRAIN_TIMEOUT_S,
        lifespan="on",
    )
