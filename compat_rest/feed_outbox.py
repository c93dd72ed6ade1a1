"""What waits to be sent to one client of /feed: when it does not read, it loses the oldest logs, and is told."""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import orjson

MAX_BYTES = 8 << 20
BEHIND_BYTES = 2 << 20
MAX_REPLIES = 1000
MESSAGE_BYTES = 256 << 10  # of logs in one message, when they are many
WRITE_BYTES = 64 << 10


class Wire(Protocol):
    """How messages get to a client; schema/outbox.py has the real ones."""

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


class TooManyReplies(Exception):
    """A client asks, and does not read what it is answered."""


class Message(NamedTuple):
    """A message with its head, and how many rows it has."""

    frame: bytes
    rows: int
    peer_message: bytes


def data_messages(wire: Wire, peer_message: bytes, rows: Sequence[bytes]) -> list[Message]:
    """Rows as messages about a pair, as few as their size allows."""
    messages: list[Message] = []
    start = size = 0
    for end, row in enumerate(rows, 1):
        size += len(row) + 1
        if size >= MESSAGE_BYTES or end == len(rows):
            body = b'{"data":[%b],"peer_message":%b}' % (b",".join(rows[start:end]), peer_message)
            messages.append(Message(wire.head(len(body)) + body, end - start, peer_message))
            start, size = end, 0
    return messages


class FeedOutbox:
    """Messages for one client, written in few pieces. Of rows, those `delivered` and `left_out` are counted."""

    def __init__(self, wire: Wire, counts: Counter[str]) -> None:
        self._wire = wire
        wire.on_ready = self._flush
        self._counts = counts
        self._replies: deque[bytes] = deque()
        self._waiting: deque[Message] = deque()
        self._bytes = 0
        self._left_out: Counter[bytes] = Counter()
        self._is_flushing = False
        self._is_empty = asyncio.Event()
        self._is_empty.set()

    def put(self, messages: Sequence[Message]) -> None:
        """Send soon, or keep until the client has read; of what is kept, the newest."""
        self._waiting.extend(messages)
        self._bytes += sum(len(message.frame) for message in messages)
        self._is_empty.clear()
        self._flush_soon()
        while self._bytes > MAX_BYTES and len(self._waiting) > 1:
            oldest = self._waiting.popleft()
            self._bytes -= len(oldest.frame)
            self._left_out[oldest.peer_message] += oldest.rows

    def reply(self, body: bytes) -> None:
        """Send before everything else; TooManyReplies when none of them is read."""
        if len(self._replies) >= MAX_REPLIES:
            raise TooManyReplies
        self._replies.append(self._wire.head(len(body)) + body)
        self._flush_soon()

    @property
    def is_behind(self) -> bool:
        """Whether much of what was put here was not sent yet."""
        return self._bytes > BEHIND_BYTES

    async def drained(self) -> None:
        """Return when all rows were sent, or left out."""
        await self._is_empty.wait()

    def _flush_soon(self) -> None:
        # At the end of this turn of the loop: then what is told of many pairs is one write.
        if not self._is_flushing:
            self._is_flushing = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._is_flushing = False
        self._tell_left_out()
        while self._wire.is_ready and (frames := [*self._next()]):
            self._wire.write(frames, b"")
        if not self._waiting:
            self._is_empty.set()

    def _next(self) -> list[bytes]:
        frames: list[bytes] = []
        size = 0
        while size < WRITE_BYTES and (self._replies or self._waiting):
            if self._replies:
                frame = self._replies.popleft()
            else:
                frame, count, _ = self._waiting.popleft()
                self._bytes -= len(frame)
                self._counts["delivered"] += count
            frames.append(frame)
            size += len(frame)
        return frames

    def _tell_left_out(self) -> None:
        if not self._left_out or not self._wire.is_ready:
            return
        for peer_message, count in self._left_out.items():
            error = orjson.dumps(f"{count} rows were left out, because they came faster than they are read")
            body = b'{"error":%b,"left_out":%d,"peer_message":%b}' % (error, count, peer_message)
            self._replies.append(self._wire.head(len(body)) + body)
        self._counts["left_out"] += self._left_out.total()
        self._left_out.clear()
