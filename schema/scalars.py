"""Scalars and inputs that several types share."""

from datetime import datetime, timedelta
from enum import Enum
from typing import NewType, Protocol

import strawberry

from resolvers.errors import InvalidArgument
from resolvers.filters import Window
from resolvers.times import format_duration, format_time, parse_duration, parse_time

Duration = NewType("Duration", timedelta)
Json = NewType("Json", object)


class Present(Protocol):
    """The present time of a request, whose Context it is: an answer for which it was asked does not last."""

    @property
    def now(self) -> datetime:
        """The present time."""

    @property
    def default_window(self) -> Window:
        """The window of questions that name none."""


DURATION = strawberry.scalar(
    name="Duration",
    description="A length of time: numbers with units ms, s, m, h, d or w, for instance `24h` or `1d12h`.",
    serialize=format_duration,
    parse_value=parse_duration,
)


DATE_TIME = strawberry.scalar(
    name="DateTime",
    description="A point in time in RFC 3339, for instance `2026-11-22T12:00:00.5Z`; answers are in UTC.",
    serialize=format_time,
    parse_value=parse_time,
)

# What is JSON already goes into answers as it is, without being decoded: as an orjson.Fragment.
JSON = strawberry.scalar(
    name="JSON",
    description="Any JSON: an object, a list, a text, a number, a boolean or null.",
    serialize=lambda value: value,
    parse_value=lambda value: value,
)


@strawberry.enum(description="The kind of job that a result is about.")
class JobType(Enum):
    TRANSCODING = strawberry.enum_value("transcoding", description="Video segments, sent and received.")
    AI = strawberry.enum_value("ai", description="Inference by a model in a pipeline.")


@strawberry.input(description="Matches any of these values.")
class StringIn:
    in_: list[str] = strawberry.field(
        name="in", description="The values, at most 1,000, compared exactly unless said otherwise."
    )


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

    def window(self, present: Present, name: str = "during") -> Window:
        """The window that is meant; InvalidArgument, with the name of the argument, when it is given twice."""
        if self.last is not None:
            if self.since is not None or self.until is not None:
                raise InvalidArgument(f"{name}: last goes without since and until", field=name)
            return Window(since=present.now - self.last)
        return Window(self.since, self.until)
