"""Any number of results as CSV or NDJSON: read page by page, oldest first, with no more in memory than a page."""

import asyncio
import csv
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from io import StringIO
from operator import itemgetter
from typing import Any, Literal, NamedTuple

import orjson

from db.pool import Row, Runner
from db.statements import STATEMENTS
from resolvers import listing
from resolvers.filters import StatFilter, Window
from resolvers.listing import ResultOrder
from resolvers.page import PageRequest
from resolvers.results import reported_at
from resolvers.times import format_time

CLOCK = STATEMENTS["results.clock"]

COLUMNS = (
    *("id", "recorded_at", "orchestrator", "region", "job_type", "pipeline", "model", "success_rate"),
    *("round_trip_time", "seg_duration", "segments_sent", "segments_received", "upload_time", "download_time"),
    *("transcode_time", "model_is_warm", "errors", "reported_at", "input_parameters", "response_payload", "withdrawn"),
)
# As many rows as make about so many bytes, because a result may be some hundred bytes, or have all of a model's answer.
PAGE_BYTES = 1 << 20
FIRST_PAGE = 500
MIN_PAGE = 20
MAX_PAGE = 5000
CHUNK_ROWS = 250

Format = Literal["csv", "ndjson"]
Identify = Callable[[Row], str]
Value = Callable[[Row], Any]


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """Which results are wanted, at most `limit` of them, and how they are written."""

    wanted: StatFilter
    format: Format = "csv"
    columns: tuple[str, ...] = COLUMNS
    limit: int | None = None


class Chunk(NamedTuple):
    """A piece of the file, and how many results are in it."""

    body: bytes
    rows: int


async def export_results(db: Runner, request: ExportRequest, identify: Identify) -> AsyncGenerator[Chunk, None]:
    """The file in pieces, of which there is one at least; `identify` makes a result's id.

    What is recorded while it runs is not in it, so that it ends. A connection is used for a page, and then given back.
    """
    encode = _encoder(request, identify)
    pages = _Pages(db, await _ending_now(db, request.wanted), request.limit)
    head, is_complete = _head(request), False
    while not is_complete:
        page = await pages.read()
        page_bytes = 0
        for start in range(0, max(len(page), 1), CHUNK_ROWS):
            rows = page[start : start + CHUNK_ROWS]
            body, head = head + encode(rows), b""
            page_bytes += len(body)
            yield Chunk(body, len(rows))
            await asyncio.sleep(0)  # encoding holds up everybody else
        is_complete = pages.is_complete
        pages.fit(len(page), page_bytes)


class _Pages:
    """The matching results in the order of their times, page after page."""

    def __init__(self, db: Runner, wanted: StatFilter, limit: int | None) -> None:
        self._db = db
        self._wanted = wanted
        self._left = limit
        self._size = FIRST_PAGE
        self._cursor: list[Any] | None = None
        self.is_complete = False

    async def read(self) -> list[Row]:
        """The next page; empty when nothing matches."""
        size = self._size if self._left is None else min(self._size, self._left)
        request = PageRequest(size, self._cursor, backwards=False)
        page = await listing.results_page(self._db, self._wanted, request, ResultOrder.OLDEST)
        if page.items:
            last = page.items[-1]
            self._cursor = listing.result_cursor(last, ResultOrder.OLDEST)
            # The cursor alone would let the database look into all the weeks that are done.
            self._wanted = replace(self._wanted, window=replace(self._wanted.window, since=last.recorded_at))
        if self._left is not None:
            self._left -= len(page.items)
        self.is_complete = not page.has_next or self._left == 0
        return page.items

    def fit(self, rows: int, page_bytes: int) -> None:
        """Let the next page have about `PAGE_BYTES`, as these rows had so many."""
        self._size = max(MIN_PAGE, min(MAX_PAGE, rows * PAGE_BYTES // max(page_bytes, 1)))


async def _ending_now(db: Runner, wanted: StatFilter) -> StatFilter:
    # By the database's clock, which also gives results their times.
    now: datetime = await db.fetchval(CLOCK)
    window = wanted.window
    return replace(wanted, window=Window(window.since, min(window.until or now, now)))


def _encoder(request: ExportRequest, identify: Identify) -> Callable[[Sequence[Row]], bytes]:
    is_csv, made = request.format == "csv", {**_MADE, "id": identify}
    values = [made.get(name) or itemgetter(name) for name in request.columns]
    if is_csv:
        return _csv_encoder([_as_text(name, value) for name, value in zip(request.columns, values, strict=True)])
    return _ndjson_encoder(request.columns, values)


def _csv_encoder(values: Sequence[Value]) -> Callable[[Sequence[Row]], bytes]:
    def encode(rows: Sequence[Row]) -> bytes:
        return _csv_lines([value(row) for value in values] for row in rows)

    return encode


def _ndjson_encoder(columns: Sequence[str], values: Sequence[Value]) -> Callable[[Sequence[Row]], bytes]:
    options = orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE

    def encode(rows: Sequence[Row]) -> bytes:
        items = ({name: value(row) for name, value in zip(columns, values, strict=True)} for row in rows)
        return b"".join(orjson.dumps(item, option=options) for item in items)

    return encode


def _head(request: ExportRequest) -> bytes:
    return _csv_lines([request.columns]) if request.format == "csv" else b""


def _csv_lines(lines: Iterable[Sequence[Any]]) -> bytes:
    text = StringIO(newline="")
    csv.writer(text).writerows(lines)
    return text.getvalue().encode()


def _as_text(name: str, value: Value) -> Value:
    """What makes a column's text, where it is not plainly its value's."""
    text = _TEXTS.get(name)

    def shown(row: Row) -> Any:
        found = value(row)
        return None if found is None else text(found)  # type: ignore[misc]  # only where there is a text

    return shown if text else value


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _in_payload(name: str) -> Value:
    return lambda row: (row["payload"] or {}).get(name)


_MADE: dict[str, Value] = {
    "errors": lambda row: row["errors"] or [],
    "reported_at": lambda row: reported_at(row["timestamp"]),
    "input_parameters": _in_payload("input_parameters"),
    "response_payload": _in_payload("response_payload"),
    "withdrawn": lambda row: row["withdrawal_id"] is not None,
}
_TEXTS: dict[str, Callable[[Any], str]] = {
    "recorded_at": format_time,
    "reported_at": format_time,
    "errors": _json,
    "model_is_warm": _json,
    "withdrawn": _json,
}
