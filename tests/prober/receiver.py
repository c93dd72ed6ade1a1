"""Whoever is told of something by HTTP: keeps what comes, and answers as it is told to."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route


class Received(NamedTuple):
    """A request that came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


class Receiver:
    """Answers with `statuses`, one after the other, then with 200."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.statuses: list[int] = []
        self.received: list[Received] = []
        self.is_hanging = False

    async def answer(self, request: Request) -> Response:
        self.received.append(Received(request.url.path, dict(request.headers), await request.body()))
        while self.is_hanging:
            await asyncio.sleep(0.05)
        return PlainTextResponse("", self.statuses.pop(0) if self.statuses else 200)


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver on a real socket."""
    listening = socket.create_server(("127.0.0.1", 0))
    receiver = Receiver(f"http://127.0.0.1:{listening.getsockname()[1]}")
    app = Starlette(routes=[Route("/{path:path}", receiver.answer, methods=["POST"])])
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=1))
    task = asyncio.create_task(server._serve([listening]))
    try:
        yield receiver
    finally:
        receiver.is_hanging = False
        server.should_exit = True
        await task
