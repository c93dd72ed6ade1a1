"""HTTP/1.1 as uvicorn speaks it, with a bound on what comes beside bodies: it would collect headers without end."""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 64 << 10


class BoundedHttp(HttpToolsProtocol):
    """Refuses a request line with headers, or trailers, of more than 64 KiB."""

    _beside_bodies_bytes = 0

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
