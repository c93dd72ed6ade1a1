"""One OpenTelemetry span for each GraphQL operation, sent to a collector; needs the extra `otel`."""

import asyncio
from contextvars import ContextVar
from time import perf_counter, time_ns
from typing import Any

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.settings import VERSION
from schema.trace import Trace, milliseconds

LAST_TRY_S = 2.0

_PARENT: ContextVar[Context | None] = ContextVar("parent", default=None)
_PARENT_HEADERS = (b"traceparent", b"tracestate")


class KeepParent:
    """Keeps what a request says that it is a part of, as a W3C trace context; so are all operations of a WebSocket."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._propagator = TraceContextTextMapPropagator()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        headers = {n.decode(): v.decode("latin-1") for n, v in scope.get("headers", ()) if n in _PARENT_HEADERS}
        _PARENT.set(self._propagator.extract(headers, Context()))
        await self.app(scope, receive, send)


class Spans:
    """Sends spans to the collector at an OTLP/HTTP endpoint, many at a time and from a thread of its own.

    What cannot be sent is logged and dropped: nothing waits for the collector but the end.
    """

    keep_parent = KeepParent

    def __init__(self, endpoint: str, service_name: str) -> None:
        resource = Resource.create({SERVICE_NAME: service_name, SERVICE_VERSION: VERSION})
        self._exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer("podium", VERSION)

    def send(self, trace: Trace) -> None:
        """Have the span of an operation sent that is over."""
        began_ns = time_ns() - round((perf_counter() - trace.began) * 1e9)
        span = self._tracer.start_span(
            _name(trace),
            context=_PARENT.get(),
            kind=SpanKind.SERVER,
            attributes=_attributes(trace),
            start_time=began_ns,
        )
        if trace.code:
            span.set_status(Status(StatusCode.ERROR, trace.code))
        span.end(began_ns + round(trace.total_s * 1e9))

    async def close(self) -> None:
        """Send what waits, and end; a collector that is away is tried for `LAST_TRY_S`."""
        giving_up = asyncio.get_running_loop().call_later(LAST_TRY_S, self._exporter.shutdown)
        await asyncio.to_thread(self._provider.shutdown)
        giving_up.cancel()


def _name(trace: Trace) -> str:
    return f"{_type(trace) or 'GraphQL Operation'} {trace.name}".rstrip()


def _type(trace: Trace) -> str | None:
    return None if trace.kind == "unknown" else trace.kind


def _attributes(trace: Trace) -> dict[str, Any]:
    """Names as in the semantic conventions, where these have one; never the document, which may hold values."""
    attributes = {
        "graphql.operation.name": trace.name or None,
        "graphql.operation.type": _type(trace),
        "error.type": trace.code,
        "podium.outcome": trace.outcome,
        "podium.source": trace.source,
        "podium.document": trace.document or None,
        "podium.cost": trace.cost,
        "podium.statements": trace.statements,
        "podium.database_ms": milliseconds(trace.database_s),
        **{f"podium.{step}_ms": milliseconds(seconds) for step, seconds in trace.seconds.items()},
    }
    return {name: value for name, value in attributes.items() if value is not None}
