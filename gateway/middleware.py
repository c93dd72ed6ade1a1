"""What every request passes: a request id, metrics and logs, and a bound on bodies."""

import asyncio
import re
from contextlib import suppress
from random import getrandbits
from time import perf_counter
from typing import Any

import orjson
import structlog
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.compression import Compress
from gateway.logs import REQUEST_ID
from gateway.metrics import Metrics
from resolvers.answers import AnswerMemory
from resolvers.errors import Internal, PayloadTooLarge
from schema.sse import STREAM_MARK

GONE = 499  # what proxies count when nobody waits for an answer any more
DISCARD_BYTES = 64 << 20
DISCARD_S = 2.0

_ASKING = frozenset((b"origin", b"accept-encoding"))
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")

log: Any = structlog.get_logger()


class Observe:
    """Gives each request an id, counts and logs its answer, and masks what nobody caught.

    A WebSocket is one request: what is logged of its operations has its id.

    Logged are answers that took over a second or have a status from 400 on; all of them with `log_all`.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, *, log_all: bool) -> None:
        self.app = app
        self.metrics = metrics
        self.log_all = log_all

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        request_id = _request_id(scope)
        REQUEST_ID.set(request_id.decode())
        if scope["type"] == "websocket":
            await self.app(scope, receive, send)
            return
        started = perf_counter()
        status = 0

        async def send_observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id)]
            await send(message)

        try:
            await self.app(scope, receive, send_observed)
        except ClientDisconnect:  # before its body was complete
            pass
        except Exception as error:  # whatever it is, it must not leave
            self.metrics.report("internal_error", error=error)
            if not status:
                await _send_error(send_observed, Internal())
        self._count(scope, status or GONE, None if scope.get(STREAM_MARK) else perf_counter() - started)

    def _count(self, scope: Scope, status: int, seconds: float | None) -> None:
        route = getattr(scope.get("route"), "path", "") or "other"
        self.metrics.request(route, _method(scope), status, seconds)
        level = "error" if status == 500 else "warning" if status > 500 else "info" if status >= 400 else "debug"
        if status >= 400 or (seconds or 0) > 1 or self.log_all:
            client = scope.get("client") or ("",)
            facts = {"method": scope["method"], "path": scope["path"][:200], "status": status, "client": client[0]}
            getattr(log, level)("request", **facts, duration_ms=round((seconds or 0) * 1000, 2))


class CancelWhenGone:
    """Cancels what is done for a client that has left, and so the query that Postgres runs for it.

    Only a request that takes longer than `after_s` is watched: a timer costs little, a watching task does not.
    """

    def __init__(self, app: ASGIApp, after_s: float = 0.25) -> None:
        self.app = app
        self.after_s = after_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; other kinds of connections pass."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        watch = _Watch(receive, self.after_s)
        if scope["method"] in ("GET", "HEAD"):
            watch.arm()
        try:
            await self.app(scope, watch.receive, send)
        except asyncio.CancelledError:
            if not watch.is_gone:
                raise
        finally:
            watch.end()


class _Watch:
    """Waits for the disconnection of a client whose body is read, and cancels the task that armed the watch."""

    def __init__(self, receive: Receive, after_s: float) -> None:
        self._receive = receive
        self._after_s = after_s
        self._task: asyncio.Task[Any] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._watcher: asyncio.Task[None] | None = None
        self.is_gone = False

    def arm(self) -> None:
        """Watch from `after_s` on."""
        self._task = asyncio.current_task()
        self._timer = asyncio.get_running_loop().call_later(self._after_s, self._begin)

    def end(self) -> None:
        """Watch no more."""
        if self._timer:
            self._timer.cancel()
        if self._watcher:
            self._watcher.cancel()

    async def receive(self) -> Message:
        """The next message for the application; the watch begins behind the last one."""
        if self._watcher:
            await asyncio.wait([self._watcher])
            return {"type": "http.disconnect"}
        message = await self._receive()
        if not message.get("more_body") and self._timer is None:
            self.arm()
        return message

    def _begin(self) -> None:
        self._watcher = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.is_gone = True
        if self._task:
            self._task.cancel()


class ForBrowsers:
    """CORS and compression, past which go the posts and patches of programs that ask for neither: that is a tenth of
    what a small one costs, and no cache has to know.
    """

    def __init__(self, app: ASGIApp, /, memory: AnswerMemory, **cors: Any) -> None:
        self._plain = app
        self._full = CORSMiddleware(Compress(app, memory), **cors)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        is_change = scope["type"] == "http" and scope["method"] in ("POST", "PATCH")
        is_plain = is_change and _ASKING.isdisjoint(dict(scope["headers"]))
        await (self._plain if is_plain else self._full)(scope, receive, send)


class BodyLimit:
    """Refuses bodies that are too large, declared or chunked, before they are read whole."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self.app = app
        self.max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 413."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        declared = next((value for name, value in scope["headers"] if name == b"content-length"), None)
        if declared is not None:
            if int(declared) > self.max_bytes:
                await _refuse(receive, send, PayloadTooLarge(self.max_bytes))
                return
            await self.app(scope, receive, send)
            return
        await self._pass_counting(scope, receive, send)

    async def _pass_counting(self, scope: Scope, receive: Receive, send: Send) -> None:
        received = 0

        async def receive_counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.max_bytes:
                raise PayloadTooLarge(self.max_bytes)
            return message

        try:
            await self.app(scope, receive_counted, send)
        except PayloadTooLarge as error:
            await _refuse(receive, send, error)


def _method(scope: Scope) -> str:
    method: str = scope["method"]
    return method if method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS") else "other"


def _request_id(scope: Scope) -> bytes:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            given: bytes = value
            return given
    return b"%016x" % getrandbits(64)  # it tells requests apart, and keeps no secret


async def _refuse(receive: Receive, send: Send, error: PayloadTooLarge) -> None:
    # Closing a connection that still brings something resets it, and the client would lose the answer.
    await _send_error(send, error, more_body=True)
    with suppress(TimeoutError):
        async with asyncio.timeout(DISCARD_S):
            discarded, more = 0, True
            while more and discarded < DISCARD_BYTES:
                message = await receive()
                discarded += len(message.get("body", b""))
                more = message.get("more_body", False)
    await send({"type": "http.response.body", "body": b""})


async def _send_error(send: Send, error: PayloadTooLarge | Internal, *, more_body: bool = False) -> None:
    body = orjson.dumps({"error": error.message})
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"x-content-type-options", b"nosniff"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": more_body})
