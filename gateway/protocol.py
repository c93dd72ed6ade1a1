"""HTTP/1.1 as uvicorn speaks it, with a bound on headers, and with an answer's head and body in one write."""

from asyncio import Transport, get_running_loop
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 64 << 10


class Http(HttpToolsProtocol):
    """Refuses a request line with headers, or trailers, of more than 64 KiB, which uvicorn would collect for ever."""

    _beside_bodies_bytes = 0

    def connection_made(self, transport: Any) -> None:
        """A client has connected."""
        super().connection_made(cast(Transport, JoinedWrites(transport)))

    def data_received(self, data: bytes) -> None:
        """Count what neither ends a request nor is a part of its body."""
        self._beside_bodies_bytes += len(data)
        super().data_received(data)
        if self._beside_bodies_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response(f"The headers are larger than {MAX_HEAD_BYTES} bytes.")

    def on_body(self, body: bytes) -> None:
        """A piece of a body, which has a bound of its own."""
        self._beside_bodies_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The end of a request."""
        self._beside_bodies_bytes = 0
        super().on_message_complete()


class JoinedWrites:
    """A transport that sends an answer's head together with what follows in the same turn of the loop.

    Each write is a system call, and often a packet: for a small answer, half of all that sending costs.
    """

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._call_soon = get_running_loop().call_soon
        self._head = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send, or keep the head of an answer for a moment."""
        if self._head:
            self._transport.write(self._head + data)
            self._head = b""
        elif data.startswith(b"HTTP/"):
            self._head = data
            self._call_soon(self._flush)
        else:
            self._transport.write(data)

    def close(self) -> None:
        """Send what is kept, and close."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._head:
            self._transport.write(self._head)
            self._head = b""
