"""A socket that sends what a node sends, unthrottled or at a steady rate, and waits for a server that is slow."""

import socket
from base64 import b64encode
from datetime import datetime
from hashlib import sha1
from time import perf_counter, time_ns

from bench.load import END
from bench.telemetry_messages import reel, server_frames, time_of

HANDSHAKE_TIMEOUT_S = 20
TEXT_LIMIT_BYTES = 1 << 16
PING, CLOSE = 9, 8
GOODBYE = b"\x88\x82" + bytes(4) + (1000).to_bytes(2, "big")
KEY = b64encode(bytes(16))
ACCEPTED = b64encode(sha1(KEY + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())  # noqa: S324  RFC 6455 says so


class SocketError(Exception):
    """A socket that was refused, or that the server closed; the message says how."""


class Node:
    """One socket: it sends `count` messages, at a rate if there is one, and answers pings.

    `late_s` is the longest delay of a message behind its rate.
    """

    def __init__(self, number: int, count: int, *, rate_per_s: float | None = None) -> None:
        self.number, self.count = number, count
        self.sent = self.pings = self.at_ms = 0
        self.late_s = self.began_at = 0.0
        self.closed_by_server: str | None = None
        self.is_closing = self.is_over = False
        self._frames = reel(number, count)
        self.rate_per_s = rate_per_s
        self._phase = number * 0.618 % 1  # nodes of one rate do not all send at the same moment
        self._rest = memoryview(b"")
        self._aside = bytearray()  # goes out where no frame is cut in two
        self._inbox = b""

    @property
    def last_ts(self) -> datetime:
        """The time of the newest message that was sent."""
        return time_of(max(self.sent - 1, 0), self.at_ms)

    @property
    def is_sent(self) -> bool:
        """Whether the kernel has all of its messages."""
        return self.sent >= self.count and not self._rest

    def open(self, address: tuple[str, int], path: str = "/") -> None:
        """Connect and shake hands; SocketError when that is refused."""
        self.end = socket.create_connection(address, timeout=HANDSHAKE_TIMEOUT_S)
        try:
            self._shake_hands(path)
        except BaseException:
            self.end.close()
            raise
        self.end.setblocking(False)
        self.end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.began_at = perf_counter()

    def _shake_hands(self, path: str) -> None:
        self.end.sendall(
            f"GET {path} HTTP/1.1\r\nHost: podium\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n".encode()
            + b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + KEY + END
        )  # fmt: skip
        answer = b""
        while END not in answer:
            if not (piece := self.end.recv(4096)):
                raise SocketError(f"the handshake was cut off after {answer!r}")
            answer += piece
        head, _, rest = answer.partition(END)
        if not head.startswith(b"HTTP/1.1 101") or ACCEPTED not in head:
            raise SocketError(f"no handshake: {head.partition(END[:2])[0].decode()}")
        self._take(rest)

    def due(self, now: float) -> int:
        """How many messages may go out now."""
        if self.rate_per_s is None:
            return self.count - self.sent
        scheduled = int((now - self.began_at) * self.rate_per_s + self._phase) + 1
        return min(scheduled, self.count) - self.sent

    def write(self, now: float) -> bool:
        """Send what is due, a chunk at most; whether the server takes more."""
        if not self._rest and not self._fill(now):
            return True
        try:
            taken = self.end.send(self._rest)
        except BlockingIOError:
            taken = 0
        except OSError as error:
            self._lost(f"cannot send: {error}")
            return True
        self._rest = self._rest[taken:]
        return not self._rest

    def read(self) -> None:
        """Take what the server says: pings are answered, and a close ends it."""
        try:
            data = self.end.recv(TEXT_LIMIT_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._lost(f"cannot receive: {error}")
            return
        if data:
            self._take(data)
        else:
            self._lost("the server ended the connection")

    def _take(self, data: bytes) -> None:
        self._inbox += data
        end = 0
        for opcode, payload, end in server_frames(self._inbox):  # noqa: B007  the last one counts
            self._hear(opcode, payload)
        self._inbox = self._inbox[end:]

    def close(self) -> None:
        """Say goodbye, after what is under way."""
        if not self.is_over:
            self._aside += GOODBYE
            self.is_closing = True

    def _fill(self, now: float) -> bool:
        if self._aside:
            self._rest, self._aside = memoryview(self._aside), bytearray()
        elif self.is_closing or self.is_over or (due := self.due(now)) <= 0:
            return False
        else:
            if self.rate_per_s:
                self.late_s = max(self.late_s, now - self.began_at - (self.sent - self._phase) / self.rate_per_s)
            # A millisecond that has begun already, and one of its own: no two messages of a socket have the same time.
            self.at_ms = max(self.at_ms + 1, time_ns() // 1_000_000 - 1)
            self._rest, taken = self._frames.chunk(self.sent, due, self.at_ms)
            self.sent += taken
        return True

    def _hear(self, opcode: int, payload: bytes) -> None:
        if opcode == PING:
            self.pings += 1
            self._aside += bytes((0x8A, 0x80 | len(payload))) + bytes(4) + payload
        elif opcode == CLOSE:
            code = int.from_bytes(payload[:2], "big")
            if not self.is_closing:
                self.closed_by_server = f"the server closed with {code} {payload[2:].decode(errors='replace')}".strip()
            self._end()

    def _lost(self, how: str) -> None:
        if not self.is_closing:
            self.closed_by_server = how
        self._end()

    def _end(self) -> None:
        self.is_over = True
        self._rest, self._aside = memoryview(b""), bytearray()
