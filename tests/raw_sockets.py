"""A WebSocket client that sends any frames, also those that no client should, and sees each that comes back."""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple
from urllib.parse import urlsplit

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
PATIENCE_S = 5.0
_MASK = b"\x12\x34\x56\x78"
_HANDSHAKE = (
    "GET {} HTTP/1.1\r\nHost: podium\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{}\r\n"
)


class Received(NamedTuple):
    """A frame that came."""

    opcode: int
    payload: bytes


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, reserved: int = 0, is_masked: bool = True) -> bytes:
    """A frame of a client; `reserved` are the three bits that mean nothing."""
    first = bytes((fin << 7 | reserved << 4 | opcode,))
    if not is_masked:
        return first + _length(len(payload), 0) + payload
    repeated = (_MASK * (len(payload) // 4 + 1))[: len(payload)]
    masked = int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")
    return first + _length(len(payload), 0x80) + _MASK + masked.to_bytes(len(payload), "big")


def fragments(opcode: int, *parts: bytes) -> list[bytes]:
    """The frames of a message in parts."""
    last = len(parts) - 1
    return [frame(CONT if number else opcode, part, fin=number == last) for number, part in enumerate(parts)]


def goodbye(code: int, reason: bytes = b"") -> bytes:
    """The payload of a frame that closes."""
    return code.to_bytes(2, "big") + reason


class RawSocket:
    """An open socket."""

    def __init__(self, reader: StreamReader, writer: StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, *frames: bytes) -> None:
        """Send frames, all at once."""
        self._writer.write(b"".join(frames))
        await self._writer.drain()

    async def send_chopped(self, data: bytes, size: int) -> None:
        """Send in pieces, each of which the server has most probably read before the next."""
        for start in range(0, len(data), size):
            await self.send(data[start : start + size])
            await asyncio.sleep(0)

    async def receive(self) -> Received:
        """The next frame, which must be a whole message."""
        async with asyncio.timeout(PATIENCE_S):
            first, length = await self._reader.readexactly(2)
            assert first & 0xF0 == 0x80, "it is a part, or has reserved bits"
            assert length < 0x80, "it is masked"
            if length > 125:
                length = int.from_bytes(await self._reader.readexactly(2 if length == 126 else 8), "big")
            return Received(first & 0x0F, await self._reader.readexactly(length))

    async def closed(self) -> bytes:
        """How the server says goodbye, after whatever messages; then it must end its side, without a reset."""
        while (received := await self.receive()).opcode != CLOSE:
            pass
        async with asyncio.timeout(PATIENCE_S):
            assert await self._reader.read() == b""
        return received.payload

    async def closed_with(self) -> int:
        """The code with which the server closes."""
        return int.from_bytes((await self.closed())[:2], "big")


@asynccontextmanager
async def raw_connection(url: str, handshake: bytes) -> AsyncIterator[tuple[StreamReader, StreamWriter, bytes]]:
    """A connection, on which something was asked, and the head of the answer."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        writer.write(handshake)
        async with asyncio.timeout(PATIENCE_S):
            head = await reader.readuntil(b"\r\n\r\n")
        yield reader, writer, head
    finally:
        writer.transport.abort()


def handshake(path: str, headers: str = "") -> bytes:
    """A request for a WebSocket."""
    return _HANDSHAKE.format(path, headers).encode()


@asynccontextmanager
async def open_raw_socket(url: str, path: str) -> AsyncIterator[RawSocket]:
    """A socket inside the block, which is cut at its end."""
    async with raw_connection(url, handshake(path)) as (reader, writer, head):
        assert head.startswith(b"HTTP/1.1 101 "), head
        yield RawSocket(reader, writer)


def _length(length: int, mask_bit: int) -> bytes:
    if length < 126:
        return bytes((mask_bit | length,))
    if length < 1 << 16:
        return bytes((mask_bit | 126,)) + length.to_bytes(2, "big")
    return bytes((mask_bit | 127,)) + length.to_bytes(8, "big")
