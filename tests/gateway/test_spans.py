"""Spans, as they arrive at a collector."""

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from gateway.app import Gateway
from gateway.parts import Urls
from gateway.settings import Settings, SettingsError
from schema.request import hash_of
from tests.harness import Database, Running, serving, serving_answers
from tests.subscribers import open_socket

pytest.importorskip("opentelemetry.sdk", reason="the extra otel is not installed")

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = {"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01"}
NOT_SAMPLED = {"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-00"}
PIPELINES = "query Shown { pipelines { name } }"


class Collector:
    """What has arrived."""

    def __init__(self) -> None:
        self.url = ""
        self._arrived: list[ExportTraceServiceRequest] = []

    async def receive(self, request: Request) -> Response:
        self._arrived.append(ExportTraceServiceRequest.FromString(await request.body()))
        return Response(headers={"Content-Type": "application/x-protobuf"})

    @property
    def spans(self) -> list[Span]:
        return [
            span for it in self._arrived for of in it.resource_spans for scope in of.scope_spans for span in scope.spans
        ]

    @property
    def services(self) -> list[Any]:
        return [attributes(of.resource)["service.name"] for it in self._arrived for of in it.resource_spans]


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    """A collector at OTEL_EXPORTER_OTLP_ENDPOINT."""
    collector = Collector()
    async with serving_answers(collector.receive, "/v1/traces", "POST") as url:
        collector.url = url
        yield collector


Doing = Callable[[Running], Awaitable[object]]
Traced = Callable[..., Awaitable[list[Span]]]


@pytest.fixture
def traced(database: Database, collector: Collector) -> Traced:
    """Does something with a gateway, stops it, and says which spans have arrived; keyword arguments are settings."""

    async def traced(do: Doing, **given: Any) -> list[Span]:
        logins = database.logins
        given = {"postgres": logins.writer, "otel_exporter_otlp_endpoint": collector.url, **given}
        async with serving(Gateway(Settings(_env_file=None, **given), Urls(logins.writer, logins.reader))) as running:
            await do(running)
        return collector.spans

    return traced


def attributes(of: Any) -> dict[str, Any]:
    """Attributes by name."""
    return {it.key: getattr(it.value, it.value.WhichOneof("value")) for it in of.attributes}


def asking(query: str, headers: dict[str, str] | None = None, **variables: Any) -> Doing:
    """Asks this over HTTP."""
    return lambda running: running.client.post(
        "/graphql", json={"query": query, "variables": variables}, headers=headers
    )


async def test_the_span_of_an_operation_is_a_part_of_what_asked_for_it(traced: Traced, collector: Collector) -> None:
    (span,) = await traced(asking(PIPELINES, PARENT))
    assert (span.name, span.kind) == ("query Shown", Span.SpanKind.SPAN_KIND_SERVER)
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE_ID, SPAN_ID)
    assert collector.services == ["podium"]
    told = attributes(span)
    assert (told["graphql.operation.name"], told["graphql.operation.type"]) == ("Shown", "query")
    assert (told["podium.outcome"], told["podium.source"]) == ("ok", "computed")
    assert told["podium.document"] == hash_of(PIPELINES)[:12]
    assert (told["podium.cost"], told["podium.statements"]) == (10, 2)
    steps = [told[f"podium.{step}_ms"] for step in ("parse", "plan", "execute", "encode")]
    assert (span.end_time_unix_nano - span.start_time_unix_nano) / 1e6 == pytest.approx(sum(steps), abs=0.03)
    assert 0 < told["podium.database_ms"] <= told["podium.execute_ms"]
    assert span.status.code == Status.StatusCode.STATUS_CODE_UNSET


async def test_spans_hold_no_values(traced: Traced) -> None:
    query = 'query Q($r: String) { a: pipelines(region: $r) { name } b: pipelines(region: "literal") { name } }'
    (span,) = await traced(asking(query, r="variable"))
    assert span.name == "query Q"
    assert "literal" not in str(span)
    assert "variable" not in str(span)


@pytest.mark.parametrize(
    ("query", "name", "code"),
    [
        ("query Odd { nothing }", "GraphQL Operation", "GRAPHQL_INVALID"),
        ("query Odd { stats(first: 100) { nodes { id } } }", "query Odd", "TOO_COMPLEX"),
        ("{ auditLog(first: -1) { totalCount } }", "query", "INVALID_ARGUMENT"),
    ],
)
async def test_what_fails_or_is_refused_has_a_span_with_its_code(
    traced: Traced, query: str, name: str, code: str
) -> None:
    (span,) = await traced(asking(query), max_cost=50)
    assert span.name == name
    assert (span.status.code, span.status.message) == (Status.StatusCode.STATUS_CODE_ERROR, code)
    assert attributes(span)["error.type"] == code


async def test_operations_of_a_socket_are_parts_of_what_opened_it(traced: Traced) -> None:
    async def ask(running: Running) -> None:
        async with open_socket(running.url, additional_headers=PARENT) as socket:
            await socket.subscribe(PIPELINES)
            await socket.next()
            await socket.receive()

    (span,) = await traced(ask)
    assert (span.name, span.trace_id.hex(), span.parent_span_id.hex()) == ("query Shown", TRACE_ID, SPAN_ID)


async def test_requests_on_one_connection_have_traces_of_their_own(traced: Traced) -> None:
    async def ask(running: Running) -> None:
        for headers in (PARENT, None, NOT_SAMPLED):
            await asking(PIPELINES, headers)(running)

    first, second = await traced(ask)
    assert first.trace_id.hex() == TRACE_ID != second.trace_id.hex()
    assert not second.parent_span_id


async def test_the_service_may_have_another_name(traced: Traced, collector: Collector) -> None:
    await traced(asking(PIPELINES), otel_service_name="podium-fra")
    assert collector.services == ["podium-fra"]


async def test_a_collector_that_is_away_stops_nobody(traced: Traced) -> None:
    async def ask(running: Running) -> None:
        assert (await asking(PIPELINES)(running)).json()["data"] == {"pipelines": []}  # type: ignore[attr-defined]

    assert await traced(ask, otel_exporter_otlp_endpoint="http://127.0.0.1:9") == []


async def test_without_the_extra_podium_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "gateway.spans", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)  # as if it were not there
    settings = Settings(_env_file=None, otel_exporter_otlp_endpoint="http://127.0.0.1:4318")
    with pytest.raises(SettingsError, match=r"OTEL_EXPORTER_OTLP_ENDPOINT: spans need the extra otel"):
        Gateway(settings, Urls("postgresql://nowhere", "postgresql://nowhere"))
