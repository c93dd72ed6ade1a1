"""WebSockets whose messages go to a function, those of each read together, instead of through ASGI one by one."""

from collections.abc import Callable
from typing import Any, cast

from websockets.frames import Frame, Opcode

from gateway.protocol import WebSocket, is_utf8

Take = Callable[[list[bytes]], None]


class MessageSocket(WebSocket):
    """Hands whole messages to applications that know the extension `podium.messages`, and can keep clients waiting.

    Such a socket has its own bound on messages, and no pings but those of the application: a client that is kept
    waiting is not one that has gone.
    """

    _take: Take | None = None
    heard_at = 0.0
    _is_text = False  # the message that comes in parts

    def handle_connect(self, event: Any) -> None:
        """The handshake."""
        super().handle_connect(event)
        if not self.close_sent:
            self.scope["extensions"]["podium.messages"] = cast(Any, self)

    def take_over(self, take: Take, max_bytes: int) -> None:
        """From now on, which must be before the handshake is answered, `take` gets the messages."""
        self._take = take
        self.conn.max_message_size = max_bytes
        self.ping_interval = None
        self.heard_at = self.loop.time()

    def data_received(self, data: bytes) -> None:
        """What the client has sent; whole messages before an error count."""
        if self._take is None:
            super().data_received(data)
            return
        self.heard_at = self.loop.time()
        self.conn.receive_data(data)
        self._deliver(self._take)
        self.refuse_errors()

    def ping(self) -> None:
        """Ask for a sign of life."""
        if not self._is_closing:
            self.conn.send_ping(b"")
            self.transport.write(b"".join(self.conn.data_to_send()))

    def pause(self) -> None:
        """Read nothing more, so that the client has to wait."""
        self.transport.pause_reading()

    def resume(self) -> None:
        """Go on reading."""
        self.heard_at = self.loop.time()
        self.transport.resume_reading()

    def shutdown(self) -> None:
        """The server stops: what the client has sent before it answers the closing handshake is taken."""
        if self._take is None or not self.handshake_complete or self._is_closing:
            super().shutdown()
            return
        self.close(1012)

    def close(self, code: int, reason: str = "") -> None:
        """Begin the closing handshake, and read on until the client has answered, for 5 s at most."""
        if self._is_closing:
            return
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self._cut_later()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        super().connection_lost(exc)
        self._take = None

    def _deliver(self, take: Take) -> None:
        messages: list[bytes] = []
        others: list[Frame] = []
        is_sound = self._sort(self.conn.events_received(), messages, others)
        if messages:
            take(messages)
        for event in others:
            self._control(event)
        if not is_sound and not self.close_sent:
            self.refuse_text()

    def _sort(self, frames: list[Any], messages: list[bytes], others: list[Frame]) -> bool:
        """Whether all texts are UTF-8; what follows one that is not is left out."""
        for event in frames:
            opcode = event.opcode
            if opcode is Opcode.TEXT or opcode is Opcode.BINARY:
                if not event.fin:
                    self.frames, self._is_text = [event.data], opcode is Opcode.TEXT
                    continue
                data, is_text = event.data, opcode is Opcode.TEXT
            elif opcode is Opcode.CONT:
                if event.data:  # of empty ones there may be any number
                    self.frames.append(event.data)
                if not event.fin:
                    continue
                data, is_text = b"".join(self.frames), self._is_text
                self.frames = []
            else:
                others.append(event)
                continue
            if is_text and not data.isascii() and not is_utf8(data):
                return False
            messages.append(data)
        return True

    def _control(self, event: Frame) -> None:
        if event.opcode is Opcode.PING:
            self.handle_ping()
        elif event.opcode is Opcode.CLOSE:
            self.handle_close(event)
            if self.close_sent:  # by us, and answered
                self.transport.close()
