"""What clients of /feed ask, from the text of a message; pure."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from resolvers.errors import InvalidArgument
from resolvers.telemetry.intervals import Aggregate, AggregateType
from resolvers.telemetry.live_rows import Pair
from resolvers.times import parse_time

MAX_TEXT_BYTES = 64 << 10
MAX_INTERVAL_S = 10**9
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:?\d\d)?", re.ASCII)
_DIGITS = re.compile(r"\d{1,10}", re.ASCII)


@dataclass(frozen=True, slots=True)
class FeedRequest:
    """A subscription to a pair, or, where `is_end` says so, the end of one."""

    pair: Pair
    is_end: bool = False
    start: datetime | None = None
    aggregate: Aggregate | None = None


def feed_request(text: str) -> FeedRequest:
    """What a message asks; InvalidArgument names the member that is wrong."""
    given = _object(text)
    pair = Pair(_text(given, "peer_id"), _text(given, "msg"))
    interest = _text(given, "interest")
    if interest not in ("subscribe", "unsubscribe"):
        raise InvalidArgument("`interest` must be either `subscribe` or `unsubscribe`", field="interest")
    if interest == "unsubscribe":
        return FeedRequest(pair, is_end=True)
    return FeedRequest(pair, start=_start(given.get("start_time")), aggregate=_aggregate(given))


def _object(text: str) -> dict[str, Any]:
    if len(text) > MAX_TEXT_BYTES or len(text.encode()) > MAX_TEXT_BYTES:
        raise InvalidArgument(f"a message has at most {MAX_TEXT_BYTES} bytes")
    try:
        given = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise InvalidArgument("a message is JSON, and this is none") from None
    if not isinstance(given, dict):
        raise InvalidArgument("a message is a JSON object")
    return given


def _text(given: dict[str, Any], name: str) -> str:
    value = given.get(name)
    if not isinstance(value, str):
        raise InvalidArgument(f"`{name}` not found", field=name)
    return value


def _start(value: Any) -> datetime | None:
    if value is None:
        return None
    try:
        if not _TIME.fullmatch(value):
            raise ValueError
        return parse_time(value.upper())
    except (TypeError, ValueError):
        raise _unreadable("start_time") from None


def _aggregate(given: dict[str, Any]) -> Aggregate | None:
    wanted = given.get("aggregate_type")
    if wanted in (None, ""):
        return None
    try:
        type_ = AggregateType(wanted.lower())
    except (AttributeError, ValueError):
        raise _unreadable("aggregate_type") from None
    return Aggregate(type_, _interval_s(given.get("aggregate_interval")))


def _interval_s(value: Any) -> int:
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_INTERVAL_S:
        raise _unreadable("aggregate_interval")
    return value


def _unreadable(name: str) -> InvalidArgument:
    return InvalidArgument(f"unable to parse `{name}`", field=name)
