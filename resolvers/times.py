"""Times and lengths of time as people write them."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from types import NoneType
from typing import Any

import orjson

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_PART = r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)"
_DURATION = re.compile(f"(?:{_PART})+", re.ASCII)
_MAX_DAYS = 36_500
_MAX_LENGTH = 100  # of a duration's text, whose parts are added up
_TIMES = {datetime, NoneType}
_ZONELESS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?", re.ASCII)


def parse_duration(text: object) -> timedelta:
    """A duration such as `24h`, `90s` or `1d12h`; ValueError for anything else."""
    if not isinstance(text, str) or len(text) > _MAX_LENGTH or not _DURATION.fullmatch(text):
        raise ValueError(f"a Duration is a number and a unit (ms, s, m, h, d, w), like 24h, not {str(text)[:40]!r}")
    length = timedelta(seconds=sum(float(number) * _UNITS[unit] for number, unit in re.findall(_PART, text)))
    if length > timedelta(days=_MAX_DAYS):
        raise ValueError(f"a Duration is at most {_MAX_DAYS}d")
    return length


def format_duration(length: timedelta) -> str:
    """A duration in the largest unit that shows it whole."""
    for unit in ("w", "d", "h", "m", "s"):
        count, rest = divmod(length, timedelta(seconds=_UNITS[unit]))
        if count and not rest:
            return f"{count}{unit}"
    return f"{length // timedelta(milliseconds=1)}ms"


def parse_time(text: object) -> datetime:
    """A time in RFC 3339; one without an offset is in UTC. ValueError for anything else."""
    if not isinstance(text, str):
        raise ValueError("a DateTime is a text in RFC 3339, like 2026-11-22T12:00:00Z")
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"a DateTime is in RFC 3339, like 2026-11-22T12:00:00Z, not {text[:40]!r}") from None
    try:
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except OverflowError:
        raise ValueError("a DateTime is in the years 1 to 9999, in UTC") from None


class _TimeFormat:
    def __call__(self, time: datetime) -> str:
        """A time in UTC in RFC 3339, with Z."""
        return f"{time.replace(tzinfo=None).isoformat()}Z"

    def many(self, times: Sequence[Any]) -> Sequence[str | None] | None:
        """The same of many times in UTC, or None; None when there is anything else among them."""
        if set(map(type, times)) <= _TIMES and {time.tzinfo for time in times if time} <= {UTC}:
            formatted: list[str | None] = orjson.loads(orjson.dumps(times, option=orjson.OPT_UTC_Z))
            return formatted
        return None


format_time = _TimeFormat()


def parse_zoneless(text: str) -> datetime:
    """A time as the clients of telemetry write it, in UTC unless it has an offset; ValueError for anything else."""
    try:
        if len(text) <= _MAX_LENGTH and _ZONELESS.fullmatch(text):
            return parse_time(text)
    except ValueError:
        pass
    raise ValueError(f"a time like 2019-01-01T00:00:00, with a fraction or an offset perhaps, not {text[:40]!r}")


def format_zoneless(time: datetime) -> str:
    """A time in UTC as the original shows it: without a zone, its fraction of 0, 3 or 6 digits, the fewest that do."""
    micros = time.microsecond
    return time.isoformat()[: 26 if micros % 1000 else 23 if micros else 19]
