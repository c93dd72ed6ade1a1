"""A test job's result: how it is decoded, what is refused, and the form in which clients read it back."""

from collections.abc import Mapping
from datetime import UTC, datetime
from math import isfinite
from operator import itemgetter
from typing import Any, Literal

import msgspec
import orjson

from resolvers.errors import InvalidArgument
from resolvers.storable import typed

MAX_ADDRESS_LENGTH = 56
MAX_NAME_LENGTH = 256
# Finite sums, quotients and variances of any number of results: a single absurd value must not break everybody's
# aggregates. Postgres takes a quotient that rounds to 0 for an error.
MAX_NUMBER = 1e100
MIN_NUMBER = 1e-100
MAX_COUNT = 2**31 - 1
MAX_TIMESTAMP = 2**63 - 1
_MAX_UNIX_S = int(datetime.max.replace(tzinfo=UTC).timestamp())

JobType = Literal["transcoding", "ai"]


class JobError(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a part of a job failed, and how often."""

    error_code: str | None = None
    message: str | None = None
    count: int | None = None


class Result(msgspec.Struct, frozen=True):
    """A result as it is posted; times in seconds, success_rate a fraction, timestamp in Unix seconds.

    A field that was not posted has its default. `payload` holds what has no column of its own.
    """

    region: str = ""
    orchestrator: str = ""
    success_rate: float = 0.0
    round_trip_time: float = 0.0
    errors: list[JobError | str] | None = None
    timestamp: int = 0
    seg_duration: float | None = None
    segments_sent: int | None = None
    segments_received: int | None = None
    upload_time: float | None = None
    download_time: float | None = None
    transcode_time: float | None = None
    model: str = ""
    model_is_warm: bool | None = None
    pipeline: str = ""
    input_parameters: str | None = None
    response_payload: str | None = None
    payload: dict[str, Any] | None = None

    @property
    def job_type(self) -> JobType:
        """A result is AI when it names both a model and a pipeline."""
        return "ai" if self.model and self.pipeline else "transcoding"

    @property
    def error_items(self) -> list[dict[str, Any]] | None:
        """The errors in the form in which they are stored and read: code, message when there is one, count."""
        return None if self.errors is None else [_error_item(error) for error in self.errors]


_FIELDS = frozenset(Result.__struct_fields__)
_DURATIONS = ("round_trip_time", "seg_duration", "upload_time", "download_time", "transcode_time")
_ALWAYS_SHOWN = ("region", "orchestrator", "success_rate", "round_trip_time", "errors", "timestamp")
_always_shown = itemgetter(*_ALWAYS_SHOWN)
_SHOWN_UNLESS_EMPTY = tuple(name for name in Result.__struct_fields__ if name not in (*_ALWAYS_SHOWN, "payload"))
_KEPT_IN_PAYLOAD = ("input_parameters", "response_payload")


def decode_result(body: bytes) -> Result:
    """The result in a posted JSON body; InvalidArgument names the field that is wrong.

    `null` counts as absent, as a body of `null` does; fields that are not known are kept in `payload`.
    """
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidArgument(f"the body is not valid JSON: {error}") from None
    if not isinstance(fields, dict | None):
        raise InvalidArgument("the body must be a JSON object")
    return result_from(fields or {}, may_hold_nul=b"\\u0000" in body)


def result_from(fields: Mapping[str, Any], *, may_hold_nul: bool = True) -> Result:
    """The result with these fields, typed."""
    if may_hold_nul:
        try:
            _refuse_nul(fields)
        except RecursionError:
            raise InvalidArgument("the result is nested too deeply") from None
    given = {name: value for name, value in fields.items() if value is not None and name in _FIELDS}
    given["payload"] = _payload(fields) or None
    return typed(given, Result, "result")


def check_result(result: Result) -> None:
    """Raise InvalidArgument, naming the field, for what the types allow and a result must not have."""
    _check_text("orchestrator", result.orchestrator.lower(), MAX_ADDRESS_LENGTH)
    if not result.orchestrator:
        raise InvalidArgument("orchestrator is a required field", field="orchestrator")
    _check_text("pipeline", result.pipeline, MAX_NAME_LENGTH)
    _check_text("model", result.model, MAX_NAME_LENGTH)
    _check_number("success_rate", result.success_rate, MAX_NUMBER)
    for name in _DURATIONS:
        _check_number(name, getattr(result, name), MAX_NUMBER)
    _check_number("segments_sent", result.segments_sent, MAX_COUNT)
    _check_number("segments_received", result.segments_received, MAX_COUNT)
    for error in result.errors or ():
        if isinstance(error, JobError):
            _check_number("errors.count", error.count, MAX_COUNT)
    if abs(result.timestamp) > MAX_TIMESTAMP:
        raise InvalidArgument("timestamp: out of range", field="timestamp")
    _check_depth(result.payload)


def as_posted(row: Any) -> dict[str, Any]:
    """A stored result as clients read it back: always six fields, the others unless zero, false or empty."""
    fields = dict(zip(_ALWAYS_SHOWN, _always_shown(row), strict=True))
    payload = row["payload"] or {}
    for name in _SHOWN_UNLESS_EMPTY:
        value = row.get(name) or payload.get(name)
        if value:
            fields[name] = value
    return fields


def reported_at(timestamp: int) -> datetime | None:
    """The poster's own time of a result; None when it sent none, or none that can be."""
    return datetime.fromtimestamp(timestamp, UTC) if 0 < timestamp <= _MAX_UNIX_S else None


def _payload(fields: Mapping[str, Any]) -> dict[str, Any]:
    payload = {name: value for name, value in fields.items() if name not in _FIELDS or name in _KEPT_IN_PAYLOAD}
    if not (fields.get("model") and fields.get("pipeline")):
        payload |= {name: fields[name] for name in ("model", "pipeline") if fields.get(name)}
    return payload


def _error_item(error: JobError | str) -> dict[str, Any]:
    if isinstance(error, str):
        return {"error_code": error, "count": 1}
    item: dict[str, Any] = {"error_code": error.error_code or ""}
    if error.message:
        item["message"] = error.message
    return item | {"count": error.count or 0}


def _check_text(name: str, value: str, limit: int) -> None:
    if len(value) > limit:
        raise InvalidArgument(f"{name}: at most {limit} characters, not {len(value)}", field=name)


def _check_number(name: str, value: float | None, limit: float) -> None:
    if value is not None and not (isfinite(value) and 0 <= value <= limit):
        raise InvalidArgument(f"{name}: a number from 0 to {limit:g}, not {value}", field=name)
    if value and value < MIN_NUMBER:
        raise InvalidArgument(f"{name}: 0, or at least {MIN_NUMBER:g}, not {value}", field=name)


def _check_depth(payload: dict[str, Any] | None) -> None:
    for name, value in (payload or {}).items():
        try:
            orjson.dumps({name: value})
        except TypeError:
            raise InvalidArgument(f"{name}: nested too deeply", field=name) from None


def _refuse_nul(value: Any, path: str = "") -> None:
    if isinstance(value, str) and "\0" in value:
        raise InvalidArgument(f"{path}: a NUL character cannot be stored", field=path)
    if isinstance(value, Mapping):
        for key, item in value.items():
            _refuse_nul(key, f"{path}.{key!a}".lstrip("."))
            _refuse_nul(item, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _refuse_nul(item, f"{path}.{index}")
