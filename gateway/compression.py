"""Compression of answers: once of those that are given again."""

from typing import NamedTuple

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette_compress import CompressMiddleware

from resolvers.answers import OVERHEAD_BYTES, AnswerMemory

MAX_ACCEPTED_BYTES = 200  # of Accept-Encoding, which is a part of keys
MIN_BODY_BYTES = 500

_MESSAGES = "podium.messages"


class Compress:
    """Compresses what clients take compressed.

    An answer with a weak entity tag, which names its content, is kept in this form too, in the memory of answers.
    """

    def __init__(self, app: ASGIApp, memory: AnswerMemory) -> None:
        self._app = app
        self._memory = memory
        self._compress = CompressMiddleware(self._once, minimum_size=MIN_BODY_BYTES)
        self._compress_messages = CompressMiddleware(_send_messages, minimum_size=MIN_BODY_BYTES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self._compress(scope, receive, send)

    async def _once(self, scope: Scope, receive: Receive, send: Send) -> None:
        accepted = _accepted(scope)
        if not 0 < len(accepted) <= MAX_ACCEPTED_BYTES:
            await self._app(scope, receive, send)
            return
        start: Message | None = None

        async def send_packed(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start" and _weak_tag(message):
                start = message
            elif start is None:
                await send(message)
            else:
                packed = await self._packed(start, message, accepted)
                await send(start if packed is None else packed.head(start))
                await send(message if packed is None else {**message, "body": packed.body})
                start = None

        await self._app(scope, receive, send_packed)

    async def _packed(self, start: Message, body: Message, accepted: bytes) -> "_Packed | None":
        """The body in a coding that is accepted; None where it stays as it is."""
        if body.get("more_body") or len(body.get("body", b"")) < MIN_BODY_BYTES:
            return None
        key = _weak_tag(start) + accepted
        packed: _Packed | None = self._memory.get(key)
        if packed is None and (packed := await self._pack(start, body, accepted)):
            self._memory.keep(key, packed)
        return packed

    async def _pack(self, start: Message, body: Message, accepted: bytes) -> "_Packed | None":
        sent: list[Message] = []

        async def collect(message: Message) -> None:
            sent.append(message)

        messages = ({**start, "headers": [*start["headers"]]}, body)
        scope = {"type": "http", "headers": [(b"accept-encoding", accepted)], _MESSAGES: messages}
        await self._compress_messages(scope, _nothing, collect)
        coding = MutableHeaders(raw=sent[0]["headers"]).get("content-encoding")
        return _Packed(coding, sent[1]["body"]) if coding else None


class _Packed(NamedTuple):
    coding: str
    body: bytes

    @property
    def size(self) -> int:
        """The memory that it takes."""
        return len(self.body) + OVERHEAD_BYTES

    def head(self, start: Message) -> Message:
        """The start of the answer with this body."""
        headers = MutableHeaders(raw=start["headers"])
        headers["Content-Encoding"], headers["Content-Length"] = self.coding, str(len(self.body))
        headers.add_vary_header("Accept-Encoding")
        return start


async def _send_messages(scope: Scope, receive: Receive, send: Send) -> None:
    for message in scope[_MESSAGES]:
        await send(message)


async def _nothing() -> Message:
    return {"type": "http.disconnect"}


def _accepted(scope: Scope) -> bytes:
    headers = scope["headers"] if scope["type"] == "http" else ()
    return b",".join(value for name, value in headers if name == b"accept-encoding")


def _weak_tag(start: Message) -> bytes:
    for name, value in start["headers"]:
        if name == b"etag" and value.startswith(b"W/"):
            tag: bytes = value
            return tag
    return b""
