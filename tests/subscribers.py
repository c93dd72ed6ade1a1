"""Clients of subscriptions for tests: a WebSocket that speaks graphql-transport-ws, as plain as can be."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.harness import Running, eventually

PROTOCOL = Subprotocol("graphql-transport-ws")
PATIENCE_S = 5.0


class Socket:
    """A socket to /graphql; messages are objects."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def send(self, **message: Any) -> None:
        await self.connection.send(orjson.dumps(message).decode())

    async def receive(self) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE_S):
            message: dict[str, Any] = orjson.loads(await self.connection.recv())
        return message

    async def init(self, **payload: Any) -> None:
        """Say hello, and wait for the answer."""
        await self.send(type="connection_init", payload=payload)
        assert await self.receive() == {"type": "connection_ack"}

    async def subscribe(self, query: str, id_: str = "1", **variables: Any) -> None:
        await self.send(type="subscribe", id=id_, payload={"query": query, "variables": variables})

    async def next(self, id_: str = "1") -> Any:
        """The data of the next event."""
        message = await self.receive()
        assert message["type"] == "next", message
        assert message["id"] == id_
        assert "errors" not in message["payload"], message
        return message["payload"]["data"]

    async def closed(self) -> int:
        """The code with which the server closes, whatever it sends before."""
        async with asyncio.timeout(PATIENCE_S):
            await self.connection.wait_closed()
        assert self.connection.close_code is not None
        return self.connection.close_code


@asynccontextmanager
async def open_socket(url: str, *, init: bool = True, **given: Any) -> AsyncIterator[Socket]:
    """A socket inside the block, which has said hello unless `init` is false."""
    address = f"{url.replace('http', 'ws', 1)}/graphql"
    async with connect(address, **{"subprotocols": [PROTOCOL], "compression": None, **given}) as connection:
        socket = Socket(connection)
        if init:
            await socket.init()
        yield socket


async def hears(running: Running, subscribers: int = 1) -> None:
    """Return when so many subscribers are told from now on."""
    await eventually(lambda: running.gateway.feeds.subscribers == running.gateway.feeds.ready == subscribers)
