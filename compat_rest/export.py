"""/export/stats: any number of results as a file; the parameters mirror the graph's StatFilter."""

import re
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite
from typing import Any, cast

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from compat_rest.endpoint import AnyMethod
from compat_rest.parameters import UNIX_SECONDS, Pairs, query_pairs
from resolvers.errors import RETRY_AFTER_S, InvalidArgument, PodiumError, Unauthenticated, Unavailable
from resolvers.export import COLUMNS, Chunk, ExportRequest, Format, export_results
from resolvers.filters import StatFilter, Window, from_unix
from resolvers.identity import Authenticator
from resolvers.identity import Scope as Permission
from resolvers.results import JobType
from resolvers.times import parse_duration, parse_time

MEDIA_TYPES: dict[Format, str] = {"csv": "text/csv; charset=utf-8", "ndjson": "application/x-ndjson"}
LISTS = ("orchestrator", "region", "pipeline", "model", "error_code", "columns")
SINGLES = (
    *("job_type", "since", "until", "last", "min_success_rate", "max_success_rate", "min_round_trip_time"),
    *("max_round_trip_time", "model_is_warm", "withdrawn", "format", "limit"),
)
_BOOLEANS = {"true": True, "false": False}
_MAX_LIMIT = 2**31 - 1


@dataclass(frozen=True, slots=True)
class ExportApi:
    """What an export needs: where to read, who may, and what makes the id of a result."""

    db: Any
    authenticator: Authenticator
    identify: Callable[[Any], str]
    report: Callable[..., None]

    def routes(self) -> list[Route]:
        """The path of the export."""
        return [Route("/export/stats", AnyMethod(self.answer))]

    async def answer(self, request: Request) -> Response:
        """The file, or why there is none; nothing is sent before the first page is there."""
        if request.method not in ("GET", "HEAD"):
            refusal = {"error": f"{request.method} is not allowed here"}
            return Response(orjson.dumps(refusal), 405, {"Allow": "GET, HEAD"}, "application/json")
        try:
            identity = await self.authenticator.identify(request.headers.get("authorization", ""))
            self.authenticator.require(identity, Permission.READ, "export")
            wanted = export_request(query_pairs(request.scope["query_string"]), request.headers.get("accept", ""))
            if request.method == "HEAD":
                return Response(headers=_headers(wanted))
            chunks = export_results(self.db, wanted, self.identify)
            first = await anext(chunks)
        except PodiumError as error:
            return _error_response(error)
        return _Streamed(first, chunks, _headers(wanted), self.report)


class _Streamed(Response):
    """A file that is sent while it is made; the next piece is made when the client has taken the last ones."""

    def __init__(
        self, first: Chunk, rest: AsyncGenerator[Chunk, None], headers: Mapping[str, str], report: Callable[..., None]
    ) -> None:
        super().__init__(headers=headers)
        del self.headers["Content-Length"]
        self._first = first
        self._rest = rest
        self._report = report

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it. When it cannot be completed its end is not sent: the server then breaks the connection."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self._first.body, "more_body": True})
        try:
            async with aclosing(self._rest) as chunks:
                async for chunk in chunks:
                    await send({"type": "http.response.body", "body": chunk.body, "more_body": True})
        except PodiumError as error:
            self._report("export_broken", reason=error.code)
            return
        await send({"type": "http.response.body", "body": b""})


def export_request(pairs: Pairs, accept: str = "") -> ExportRequest:
    """The export that parameters ask for; InvalidArgument names the one that is unknown or cannot be."""
    lists, single = _by_name(pairs)
    default: Format = "ndjson" if re.search(r"\bndjson\b", accept) and "text/csv" not in accept else "csv"
    single |= {name: value.lower() for name, value in single.items() if name == "job_type"}
    job_type = _one_of(single, "job_type", {"transcoding": "transcoding", "ai": "ai"}, None)
    return ExportRequest(
        StatFilter(
            window=_window(single),
            job_type=cast(JobType | None, job_type),
            orchestrators=lists.get("orchestrator"),
            regions=lists.get("region"),
            pipelines=lists.get("pipeline"),
            models=lists.get("model"),
            min_success_rate=_number(single, "min_success_rate"),
            max_success_rate=_number(single, "max_success_rate"),
            min_round_trip_time=_number(single, "min_round_trip_time"),
            max_round_trip_time=_number(single, "max_round_trip_time"),
            error_codes=lists.get("error_code"),
            model_is_warm=_one_of(single, "model_is_warm", _BOOLEANS, None),
            is_withdrawn=_one_of(single, "withdrawn", {**_BOOLEANS, "any": None}, False),
        ),
        format=_one_of(single, "format", {name: name for name in MEDIA_TYPES}, default),
        columns=_columns(lists.get("columns", ())),
        limit=_limit(single.get("limit")),
    )


def _by_name(pairs: Pairs) -> tuple[dict[str, tuple[str, ...]], dict[str, str]]:
    """The parameters that may be repeated with all their values, and the others."""
    lists: dict[str, tuple[str, ...]] = {}
    single: dict[str, str] = {}
    for name, value in pairs:
        if name not in (*LISTS, *SINGLES):
            raise InvalidArgument(f"{name[:40]}: there is no such parameter", field=name[:40])
        if not value or "\0" in value:  # an empty value is a variable that was not set, and is not meant for "all"
            raise InvalidArgument(f"{name}: it is empty, or has a NUL character", field=name)
        if name in single:
            raise InvalidArgument(f"{name}: it is given twice", field=name)
        if name in LISTS:
            lists[name] = (*lists.get(name, ()), value)
        else:
            single[name] = value
    return lists, single


def _window(single: Mapping[str, str]) -> Window:
    if "last" not in single:
        return Window(_time(single, "since"), _time(single, "until"))
    if "since" in single or "until" in single:
        raise InvalidArgument("last: it goes without since and until", field="last")
    try:
        return Window(since=datetime.now(UTC) - parse_duration(single["last"]))
    except ValueError as error:
        raise InvalidArgument(f"last: {error}", field="last") from None


def _time(single: Mapping[str, str], name: str) -> datetime | None:
    value = single.get(name)
    if value is None:
        return None
    if UNIX_SECONDS.fullmatch(value):
        return from_unix(name, float(value))
    try:
        return parse_time(value)
    except ValueError:
        message = f"{name}: RFC 3339 or Unix seconds, for instance 2026-11-22T12:00:00Z, not {value[:40]}"
        raise InvalidArgument(message, field=name) from None


def _number(single: Mapping[str, str], name: str) -> float | None:
    value = single.get(name)
    try:
        number = None if value is None else float(value)
    except ValueError:
        number = float("nan")
    if number is not None and not isfinite(number):
        raise InvalidArgument(f"{name}: a number, for instance 0.5, not {str(value)[:40]}", field=name)
    return number


def _limit(value: str | None) -> int | None:
    if value is None:
        return None
    if not re.fullmatch(r"\d{1,10}", value, re.ASCII) or not 1 <= int(value) <= _MAX_LIMIT:
        raise InvalidArgument(f"limit: 1 to {_MAX_LIMIT}, not {value[:40]}", field="limit")
    return int(value)


def _columns(given: Sequence[str]) -> tuple[str, ...]:
    names = [name for value in given for name in value.split(",")] or COLUMNS
    for name in names:
        if name not in COLUMNS:
            raise InvalidArgument(f"columns: any of {', '.join(COLUMNS)}, not {name[:40]}", field="columns")
    return tuple(dict.fromkeys(names))


def _one_of(single: Mapping[str, str], name: str, values: Mapping[str, Any], default: Any) -> Any:
    value = single.get(name)
    if value is not None and value not in values:
        raise InvalidArgument(f"{name}: one of {', '.join(values)}, not {value[:40]}", field=name)
    return default if value is None else values[value]


def _headers(wanted: ExportRequest) -> dict[str, str]:
    return {
        "Content-Type": MEDIA_TYPES[wanted.format],
        "Content-Disposition": f'attachment; filename="podium-stats.{wanted.format}"',
        "Cache-Control": "no-store",
        "Vary": "Accept",
    }


def _error_response(error: PodiumError) -> Response:
    extra = {"Retry-After": str(RETRY_AFTER_S)} if isinstance(error, Unavailable) else {}
    if isinstance(error, Unauthenticated) and error.challenge:
        extra["WWW-Authenticate"] = error.challenge
    known = {"error": error.message, "code": error.code, "field": error.field, "hint": error.hint}
    body = orjson.dumps({name: value for name, value in known.items() if value is not None})
    return Response(body, error.status, {"Cache-Control": "no-store", **extra}, "application/json")
