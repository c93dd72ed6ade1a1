"""HTTP/1.1 and WebSockets as uvicorn speaks them, with bounds, and with many small things in one write."""

from asyncio import Transport, get_running_loop
from collections.abc import Callable
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

MAX_HEAD_BYTES = 64 << 10
CLOSE_TIMEOUT_S = 5.0  # for a client to read what it was sent, before its connection is cut


class Http(HttpToolsProtocol):
    """Refuses a request line with headers, or trailers, of more than 64 KiB, which uvicorn would collect for ever."""

    _beside_bodies_bytes = 0

    def connection_made(self, transport: Any) -> None:
        """A client has connected."""
        super().connection_made(cast(Transport, JoinedWrites(transport)))

    def on_message_begin(self) -> None:
        """A request: applications that know the extension `podium.abort` can cut its connection."""
        super().on_message_begin()
        self.scope["extensions"] = {"podium.abort": cast(Any, self.transport.abort)}

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
        self.transport = self._transport = transport
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


class Connection(ServerProtocol):
    """Lets a client close in the middle of a message, as RFC 6455 does; websockets takes that for an error."""

    def fail(self, code: CloseCode | int, reason: str = "") -> None:
        """Close with this code, unless it is for a goodbye that was not answered."""
        if self.close_rcvd is not None and self.state is OPEN:
            has_code = self.close_rcvd.code != CloseCode.NO_STATUS_RCVD
            code, reason = self.close_rcvd.code if has_code else CloseCode.NORMAL_CLOSURE, ""
        super().fail(code, reason)


class WebSocket(WebSocketsSansIOProtocol):
    """Takes whole frames, any number of them at once, from applications that know the extension `podium.frames`.

    ASGI has a message for each, and a coroutine at each layer for each message: for a thousand subscribers, that is
    what delivering would mostly cost.
    """

    on_writable: Callable[[], None] = staticmethod(lambda: None)

    def __init__(self, *args: Any, **given: Any) -> None:
        super().__init__(*args, **given)
        offered = self.conn.available_extensions
        self.conn = Connection(extensions=offered, max_size=self.config.ws_max_size, logger=self.logger)

    def connection_made(self, transport: Any) -> None:
        """A client has connected."""
        super().connection_made(transport.transport if isinstance(transport, JoinedWrites) else transport)

    def handle_connect(self, event: Any) -> None:
        """The handshake."""
        super().handle_connect(event)
        if not self.close_sent:
            self.scope["extensions"]["podium.frames"] = cast(Any, self)

    def data_received(self, data: bytes) -> None:
        """What the client has sent; what comes before an error counts."""
        self.conn.receive_data(data)
        self.handle_events()
        self.refuse_errors()

    def handle_cont(self, event: Frame) -> None:
        """A part of a message; of empty ones there may be any number, and they would be kept."""
        if event.data or event.fin:
            super().handle_cont(event)

    def send_receive_event_to_app(self) -> None:
        """A message is whole."""
        if self.curr_msg_data_type == "text" and not self.close_sent:
            self.frames = [b"".join(self.frames)]
            if not is_utf8(self.frames[0]):
                self.refuse_text()
                return
        super().send_receive_event_to_app()

    def refuse_errors(self) -> None:
        """Close if the client has broken the protocol."""
        if self.close_sent:
            return
        if self.conn.parser_exc is not None:
            self.handle_parser_exception()
        elif self.conn.handshake_exc is not None and not self.handshake_initiated:  # its headers were too large
            self._leave()

    def refuse_text(self) -> None:
        """Close: a text was none."""
        self.conn.fail(CloseCode.INVALID_DATA, "invalid UTF-8")
        self.handle_parser_exception()

    def handle_parser_exception(self) -> None:
        """Tell the application, and the client."""
        if (close := self.conn.close_sent) is not None:
            self.queue.put_nowait({"type": "websocket.disconnect", "code": close.code, "reason": close.reason})
        self._leave()

    @property
    def can_write(self) -> bool:
        """Whether the client has read enough of what was sent."""
        return self.writable.is_set() and not self._is_closing

    def frame_head(self, length: int) -> bytes:
        """The head of a text frame of this length."""
        if length < 126:
            return bytes((0x81, length))
        if length < 1 << 16:
            return b"\x81\x7e" + length.to_bytes(2, "big")
        return b"\x81\x7f" + length.to_bytes(8, "big")

    def write_frames(self, frames: bytes) -> None:
        """Send whole frames."""
        if not self._is_closing:
            self.transport.write(frames)

    async def send(self, message: Any) -> None:
        """What the application says; an answer instead of a handshake completes it, which uvicorn would miss."""
        await super().send(message)
        self.handshake_complete = self.handshake_complete or (self.initial_response is not None and self.close_sent)

    def resume_writing(self) -> None:
        """The client has read."""
        super().resume_writing()
        self.on_writable()

    def shutdown(self) -> None:
        """The server stops."""
        super().shutdown()
        self._cut_later()

    def keepalive_timeout(self) -> None:
        """The client did not answer a ping."""
        super().keepalive_timeout()
        self._cut_later()

    def abort(self) -> None:
        """Cut the connection, whatever the client has not read yet."""
        self.transport.abort()

    @property
    def _is_closing(self) -> bool:
        return self.close_sent or self.disconnected or self.transport.is_closing()

    def _leave(self) -> None:
        """Say what there is to say, and read on until the client has ended its side, for 5 s at most.

        A connection that is closed with something unread is reset, and the client would not see why.
        """
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.transport.write_eof()
        self.close_sent = True
        self.close_timer = self.loop.call_later(CLOSE_TIMEOUT_S, self.transport.abort)
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()

    def _cut_later(self) -> None:
        self.loop.call_later(CLOSE_TIMEOUT_S, self.transport.abort)


def is_utf8(text: bytes) -> bool:
    """Whether it is; most are ASCII, which is seen at once."""
    if text.isascii():
        return True
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
