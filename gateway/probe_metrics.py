"""The server of `podium probe`: what Prometheus reads, and whether it lives."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from gateway.settings import SettingsError
from prober.metrics import CONTENT_TYPE, ProbeMetrics

CLOSING_S = 1

log = structlog.get_logger()


@asynccontextmanager
async def serving_metrics(host: str, port: int, metrics: ProbeMetrics) -> AsyncIterator[str]:
    """Serve for the time of the context, which gets the URL."""
    listening = _listen(host, port)
    server = _Server(_config(metrics))
    task = asyncio.create_task(server.serve(sockets=[listening]))
    shown_host = f"[{host}]" if ":" in host else host
    url = f"http://{shown_host}:{listening.getsockname()[1]}/metrics"
    log.info("ready", metrics=url)
    try:
        yield url
    finally:
        server.should_exit = True
        await task


class _Server(uvicorn.Server):
    """Leaves signals to the prober."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _config(metrics: ProbeMetrics) -> uvicorn.Config:
    async def show(request: Request) -> Response:
        return Response(metrics.exposed(), headers={"Content-Type": CONTENT_TYPE})

    async def livez(request: Request) -> Response:
        return PlainTextResponse("ok")

    return uvicorn.Config(
        Starlette(routes=[Route("/metrics", show), Route("/livez", livez)]),
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="off",
        timeout_graceful_shutdown=CLOSING_S,
    )


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise SettingsError(f"METRICS_PORT: cannot listen on {host}:{port} ({reason})") from None
