"""What waits to be sent to one client: bounded, and written in few pieces."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from starlette.types import Scope, Send

FRAMES_EXTENSION = "podium.frames"  # of the ASGI scope: where the server takes whole frames
MAX_MESSAGES = 2000
MAX_BYTES = 1 << 20


class Wire(Protocol):
    """How messages get to a client."""

    on_ready: Callable[[], None]

    @property
    def is_ready(self) -> bool:
        """Whether the client has read enough of what was sent."""

    def head(self, length: int) -> bytes:
        """What goes before a message of this length."""

    def write(self, messages: Sequence[bytes], tail: bytes) -> None:
        """Send messages with their heads, each of which is completed by the tail."""

    def abort(self) -> None:
        """Cut the connection, whatever is under way."""


class Frames(Protocol):
    """What a server offers that takes WebSocket frames instead of messages: gateway/protocol.py."""

    on_writable: Callable[[], None]

    @property
    def can_write(self) -> bool:
        """Whether the client has read enough of what was sent."""

    def frame_head(self, length: int) -> bytes:
        """The head of a text frame of this length."""

    def write_frames(self, frames: bytes) -> None:
        """Send whole frames."""

    def abort(self) -> None:
        """Cut the connection."""


class FrameWire:
    """Any number of messages in one write."""

    def __init__(self, frames: Frames) -> None:
        self._frames = frames
        self.on_ready: Callable[[], None] = lambda: None
        frames.on_writable = lambda: self.on_ready()

    @property
    def is_ready(self) -> bool:
        """Whether the client has read enough of what was sent."""
        return self._frames.can_write

    def head(self, length: int) -> bytes:
        """The head of a frame."""
        return self._frames.frame_head(length)

    def write(self, messages: Sequence[bytes], tail: bytes) -> None:
        """Send."""
        self._frames.write_frames(tail.join([*messages, b""]))

    def abort(self) -> None:
        """Cut the connection."""
        self._frames.abort()


class MessageWire:
    """One message after the other, over any ASGI server."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._door = asyncio.current_task()
        self._task: asyncio.Task[None] | None = None
        self.on_ready: Callable[[], None] = lambda: None

    @property
    def is_ready(self) -> bool:
        """Whether all is sent."""
        return self._task is None

    def head(self, length: int) -> bytes:
        """The server makes it."""
        return b""

    def write(self, messages: Sequence[bytes], tail: bytes) -> None:
        """Send in a task."""
        self._task = asyncio.create_task(self._write(messages, tail))

    def abort(self) -> None:
        """Send no more, and end the task that made the wire: then the server closes."""
        for task in (self._task, self._door):
            if task:
                task.cancel()

    async def _write(self, messages: Sequence[bytes], tail: bytes) -> None:
        for message in messages:
            try:
                await self._send({"type": "websocket.send", "text": (message + tail).decode()})
            except Exception:  # the client has left, which the door is told as well
                return
        self._task = None
        self.on_ready()


def wire_of(scope: Scope, send: Send) -> Wire:
    """The way to the client of a WebSocket."""
    frames = scope.get("extensions", {}).get(FRAMES_EXTENSION)
    return FrameWire(frames) if frames else MessageWire(send)


class _Waiting(NamedTuple):
    messages: Sequence[bytes]
    tail: bytes
    size: int


class Outbox:
    """Messages for one client. When there are too many, they are dropped, `on_full` is called, and only single messages
    are taken from then on.
    """

    def __init__(self, wire: Wire, on_full: Callable[[], None]) -> None:
        self.wire = wire
        wire.on_ready = self._flush
        self._on_full = on_full
        self._waiting: deque[_Waiting] = deque()
        self._bytes = self._messages = 0
        self._is_full = False

    def put(self, messages: Sequence[bytes], tail: bytes, size: int) -> None:
        """Send, or keep until the client has read; messages have their heads, size counts their bytes with tails."""
        if self._is_full:
            return
        if not self._waiting and self.wire.is_ready:
            self.wire.write(messages, tail)
            return
        self._keep(messages, tail, size)
        if len(self._waiting) > 1 and (self._bytes > MAX_BYTES or self._messages > MAX_MESSAGES):
            self.clear()
            self._is_full = True
            self._on_full()

    def put_one(self, message: bytes) -> None:
        """Send one message, or keep it, also behind what was dropped."""
        messages = [self.wire.head(len(message)) + message]
        if self._is_full:
            self._keep(messages, b"", len(message))
            self._flush()
        else:
            self.put(messages, b"", len(message))

    def _keep(self, messages: Sequence[bytes], tail: bytes, size: int) -> None:
        self._waiting.append(_Waiting(messages, tail, size))
        self._bytes += size
        self._messages += len(messages)

    def clear(self) -> None:
        """Drop what waits."""
        self._waiting.clear()
        self._bytes = self._messages = 0

    def _flush(self) -> None:
        while self._waiting and self.wire.is_ready:
            messages, tail, size = self._waiting.popleft()
            self._bytes -= size
            self._messages -= len(messages)
            self.wire.write(messages, tail)
