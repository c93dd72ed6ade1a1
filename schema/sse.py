"""GraphQL over server-sent events, in graphql-sse's distinct connections mode: a response that goes on."""

import asyncio
from collections.abc import Callable

import orjson
from starlette.types import Receive, Scope, Send

from resolvers.errors import SlowConsumer
from schema.errors import formatted, shown_error
from schema.feeds import Errors, Payloads
from schema.outbox import MAX_BYTES, MAX_MESSAGES

EVENT_STREAM = "text/event-stream"
ABORT_EXTENSION = "podium.abort"  # of the ASGI scope: cuts the connection, whatever is under way
STREAM_MARK = "podium.stream"  # of the ASGI scope: how long this takes says nothing
KEEP_ALIVE_S = 10.0
LEAVE_TIMEOUT_S = 5.0  # for a client to read the end, before the connection is cut
COMPLETE = b"event: complete\ndata:\n\n"

_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"vary", b"Accept"),
    (b"x-accel-buffering", b"no"),  # nginx would collect them
]


class EventStream:
    """The events of one operation, and the response that sends them."""

    def __init__(self, report: Callable[..., None]) -> None:
        self.leave: Callable[[], None] = lambda: None
        self._report = report
        self._waiting: list[bytes] = []
        self._bytes = self._messages = 0
        self._is_over = False
        self._wake = asyncio.Event()
        self._cut: Callable[[], None] = lambda: None

    def deliver(self, payloads: Payloads) -> None:
        """Add answers; too many that wait end the stream."""
        if self._is_over:
            return
        events = payloads.form(EVENT_STREAM, _events)
        self._bytes += len(events)
        self._messages += len(payloads.payloads)
        if self._waiting and (self._bytes > MAX_BYTES or self._messages > MAX_MESSAGES):
            self._end_slow()
        else:
            self._add(events)

    def end(self, errors: Errors) -> None:
        """Add the end."""
        self._add((_events([orjson.dumps({"errors": errors})]) if errors else b"") + COMPLETE)
        self.stop()

    def stop(self) -> None:
        """End without a word, so that the client comes again: the server stops."""
        self._is_over = True
        self._wake.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send what there is, until the end or until the client leaves."""
        scope[STREAM_MARK] = True
        self._cut = scope.get("extensions", {}).get(ABORT_EXTENSION) or self._cut
        try:
            await send({"type": "http.response.start", "status": 200, "headers": list(_HEADERS)})
            while self._waiting or not self._is_over:
                await send({"type": "http.response.body", "body": await self._next(), "more_body": True})
            await send({"type": "http.response.body", "body": b""})
            self._cut = lambda: None
        finally:
            self.leave()

    def _add(self, events: bytes) -> None:
        if not self._is_over:
            self._waiting.append(events)
            self._wake.set()

    async def _next(self) -> bytes:
        if not self._waiting and not self._is_over:
            self._wake.clear()
            try:
                async with asyncio.timeout(KEEP_ALIVE_S):
                    await self._wake.wait()
            except TimeoutError:
                return b":\n\n"
        events = b"".join(self._waiting)
        self._waiting.clear()
        self._bytes = self._messages = 0
        return events

    def _end_slow(self) -> None:
        self._report("slow_consumer_ended")
        self._waiting.clear()
        self.end([formatted(shown_error(SlowConsumer(), self._report), self._report)])
        asyncio.get_running_loop().call_later(LEAVE_TIMEOUT_S, lambda: self._cut())


class EventStreams(set[EventStream]):
    """The streams of a gateway that are open."""

    def stop(self) -> None:
        """End them all."""
        for stream in tuple(self):
            stream.stop()


def whole(answer: bytes) -> bytes:
    """The events of an operation that has one answer."""
    return _events([answer]) + COMPLETE


def _events(payloads: list[bytes]) -> bytes:
    return b"".join(b"event: next\ndata: " + payload + b"\n\n" for payload in payloads)
