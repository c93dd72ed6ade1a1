"""Scalars and inputs that several types share."""

import re
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import NewType

import strawberry

from resolvers.errors import InvalidArgument
from resolvers.filters import Window

Duration = NewType("Duration", timedelta)

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_PART = r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)"
_MAX_DAYS = 36_500


def parse_duration(text: object) -> timedelta:
    """A duration such as `24h`, `90s` or `1d12h`; ValueError for anything else."""
    if not isinstance(text, str) or not re.fullmatch(f"(?:{_PART})+", text, re.ASCII):
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


DURATION = strawberry.scalar(
    name="Duration",
    description="A length of time: numbers with units ms, s, m, h, d or w, for instance `24h` or `1d12h`.",
    serialize=format_duration,
    parse_value=parse_duration,
)


def parse_time(text: object) -> datetime:
    """A time in RFC 3339; one without an offset is in UTC. ValueError for anything else."""
    if not isinstance(text, str):
        raise ValueError("a DateTime is a text in RFC 3339, like 2026-11-22T12:00:00Z")
    time = datetime.fromisoformat(text)
    try:
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except OverflowError:
        raise ValueError("a DateTime is in the years 1 to 9999, in UTC") from None


DATE_TIME = strawberry.scalar(
    name="DateTime",
    description="A point in time in RFC 3339, for instance `2026-11-22T12:00:00.5Z`; answers are in UTC.",
    serialize=datetime.isoformat,
    parse_value=parse_time,
)


@strawberry.enum(description="The kind of job that a result is about.")
class JobType(Enum):
    TRANSCODING = strawberry.enum_value("transcoding", description="Video segments, sent and received.")
    AI = strawberry.enum_value("ai", description="Inference by a model in a pipeline.")


@strawberry.input(description="Matches any of these values.")
class StringIn:
    in_: list[str] = strawberry.field(name="in", description="The values, compared exactly unless said otherwise.")


@strawberry.input(description="A range of numbers, both ends included.")
class FloatRange:
    min: float | None = strawberry.field(default=None, description="At least this.")
    max: float | None = strawberry.field(default=None, description="At most this.")


@strawberry.input(description="A range of whole numbers, both ends included.")
class IntRange:
    min: int | None = strawberry.field(default=None, description="At least this.")
    max: int | None = strawberry.field(default=None, description="At most this.")


@strawberry.input(
    description="A range of times of recording, both ends included: absolute, or the `last` hours or days."
)
class TimeRange:
    since: datetime | None = strawberry.field(default=None, description="From this time on.")
    until: datetime | None = strawberry.field(default=None, description="Up to this time.")
    last: Duration | None = strawberry.field(default=None, description="From that long ago until now, like `24h`.")

    def window(self, now: datetime, name: str = "during") -> Window:
        """The window that is meant; InvalidArgument, with the name of the argument, when it is given twice."""
        if self.last is not None:
            if self.since is not None or self.until is not None:
                raise InvalidArgument(f"{name}: last goes without since and until", field=name)
            return Window(since=now - self.last)
        return Window(self.since, self.until)
