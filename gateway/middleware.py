"""What every request passes: a request id, metrics and logs, and a bound on bodies."""

import re
from secrets import token_hex
from time import perf_counter
from typing import Any

import orjson
import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.metrics import Metrics
from resolvers.errors import Internal, PayloadTooLarge

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")

log: Any = structlog.get_logger()


class Observe:
    """Gives each request an id, counts and logs its answer, and masks what nobody caught."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; other kinds of connections pass."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = perf_counter()
        request_id = _request_id(scope)
        status = 0

        async def send_observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id)]
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id.decode()):
            try:
                await self.app(scope, receive, send_observed)
            except Exception as error:  # whatever it is, it must not leave
                self.metrics.report("internal_error", error=error)
                if not status:
                    await _send_error(send_observed, Internal())
            self._count(scope, status, perf_counter() - started)

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "") or "other"
        self.metrics.request(route, _method(scope), status, seconds)
        level = "error" if status >= 500 else "info" if status >= 400 else "debug"
        if status >= 400 or seconds > 1 or log.is_enabled_for(10):
            client = scope.get("client") or ("",)
            facts = {"method": scope["method"], "path": scope["path"], "status": status, "client": client[0]}
            getattr(log, level)("request", **facts, duration_ms=round(seconds * 1000, 2))


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
                await _send_error(send, PayloadTooLarge(self.max_bytes))
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
            await _send_error(send, error)


def _method(scope: Scope) -> str:
    method: str = scope["method"]
    return method if method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS") else "other"


def _request_id(scope: Scope) -> bytes:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            given: bytes = value
            return given
    return token_hex(8).encode()


async def _send_error(send: Send, error: PayloadTooLarge | Internal) -> None:
    body = orjson.dumps({"error": error.message})
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"x-content-type-options", b"nosniff"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
