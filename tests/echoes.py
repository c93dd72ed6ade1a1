"""Applications that send messages back as they came, by both of the ways in which a gateway takes them."""

import asyncio
from collections import deque
from contextlib import suppress
from typing import Any

from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from gateway.message_socket import MessageSocket
from tests.raw_sockets import BINARY, TEXT

WAYS = ("asgi", "messages")

links: list[MessageSocket] = []  # the server's ends of sockets, the newest last


def echoing(max_bytes: int) -> Starlette:
    """An application with a path for each way."""

    async def echo_messages(socket: WebSocket) -> None:
        await _echo_taken(socket, max_bytes)

    return Starlette(routes=[WebSocketRoute("/asgi", _echo), WebSocketRoute("/messages", echo_messages)])


async def _echo(socket: WebSocket) -> None:
    links.append(_link(socket))
    await socket.accept()
    while (message := await socket.receive())["type"] != "websocket.disconnect":
        is_text = message.get("text") is not None
        await _send(socket, message["text"].encode() if is_text else message["bytes"], is_text=is_text)


async def _echo_taken(socket: WebSocket, max_bytes: int) -> None:
    link = _link(socket)
    links.append(link)
    kinds = _kinds(link)
    messages: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue()
    link.take_over(lambda taken: [messages.put_nowait((kinds.popleft(), message)) for message in taken], max_bytes)
    await socket.accept()
    sending = asyncio.create_task(_send_all(socket, messages))
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass
    sending.cancel()


async def _send_all(socket: WebSocket, messages: "asyncio.Queue[tuple[int, bytes]]") -> None:
    while True:
        kind, message = await messages.get()
        await _send(socket, message, is_text=kind == TEXT)


async def _send(socket: WebSocket, message: bytes, *, is_text: bool) -> None:
    with suppress(RuntimeError, WebSocketDisconnect):  # it is closed
        await (socket.send_text(message.decode()) if is_text else socket.send_bytes(message))


def _link(socket: WebSocket) -> Any:
    return socket.scope["extensions"]["podium.messages"]


def _kinds(link: MessageSocket) -> deque[int]:
    """Whether messages to come are texts or bytes, which who takes them is not told."""
    kinds: deque[int] = deque()
    events_received = link.conn.events_received

    def noted() -> list[Any]:
        frames: list[Any] = events_received()
        kinds.extend(frame.opcode for frame in frames if frame.opcode in (TEXT, BINARY))
        return frames

    link.conn.events_received = noted  # type: ignore[method-assign]
    return kinds
