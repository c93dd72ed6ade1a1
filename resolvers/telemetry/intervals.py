"""Aggregates of what one node says again and again: its times by interval; pure.

An interval begins at a multiple of its length since 1970, by the node's clock. It is told when a later one has begun in
what comes, or when it must be over by the node's clock, which is known from the logs alone: nodes' clocks may be wrong,
and what was recorded before may be sent again. What comes for an interval that was told already becomes a further row.
"""

import re
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from math import inf
from typing import Any, NamedTuple

import orjson

from resolvers.telemetry.live_rows import LogRows, member
from resolvers.times import format_zoneless

MOMENT_S = 2.0  # for what was said at the end of an interval and took longer than the rest
MAX_WEIGHT = 1_000_000  # values that one socket may keep; then intervals are told before they are over
GROUP_WEIGHT = 64  # of a group of values, beside these, in values
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST = datetime.min.replace(tzinfo=UTC)
_INTEGER = re.compile(r"[+-]?\d{1,19}", re.ASCII)


class AggregateType(StrEnum):
    """What becomes of the values of an interval."""

    MEAN = "mean"
    MEDIAN = "median"
    MIN = "min"
    MAX = "max"
    PERCENTILE90 = "percentile90"


@dataclass(frozen=True, slots=True)
class Aggregate:
    """An aggregate, and the length of its intervals."""

    type: AggregateType
    interval_s: int


class Measured(NamedTuple):
    """A value that was logged: of whom, when by the node's clock and by ours, in seconds since 1970."""

    target: str | None
    name: str | None
    at_s: float
    stored_at_s: float
    value: int


@dataclass(slots=True)
class Weight:
    """How much of what one socket keeps is there, in values."""

    total: int = 0


class _Sums:
    """Values of which only number, sum, least and greatest matter."""

    weight = 0

    def __init__(self) -> None:
        self.count = self.total = 0
        self.least: float = inf
        self.greatest: float = -inf

    def add(self, value: int) -> None:
        self.count += 1
        self.total += value
        self.least = min(self.least, value)
        self.greatest = max(self.greatest, value)


class _Values:
    """All values."""

    weight = 1

    def __init__(self) -> None:
        self.values = array("q")

    def add(self, value: int) -> None:
        self.values.append(value)

    def at(self, fraction: float) -> int:
        return sorted(self.values)[int(len(self.values) * fraction)]


def _mean(sums: _Sums) -> int:
    quotient = abs(sums.total) // sums.count  # as integers are divided elsewhere: towards 0
    return quotient if sums.total >= 0 else -quotient


_KINDS: dict[AggregateType, tuple[Callable[[], Any], Callable[[Any], int]]] = {
    AggregateType.MEAN: (_Sums, _mean),
    AggregateType.MIN: (_Sums, lambda sums: sums.least),
    AggregateType.MAX: (_Sums, lambda sums: sums.greatest),
    AggregateType.MEDIAN: (_Values, lambda values: values.at(0.5)),
    AggregateType.PERCENTILE90: (_Values, lambda values: values.at(0.9)),
}


class _Interval:
    def __init__(self) -> None:
        self.groups: dict[tuple[str | None, str | None], Any] = {}
        self.over_at_s = inf  # by our clock
        self.weight = 0


class Intervals:
    """The intervals of one subscription that are not over; `weight` is shared by all of a socket."""

    def __init__(self, wanted: Aggregate, weight: Weight) -> None:
        self._wanted = wanted
        self._make, self._result = _KINDS[wanted.type]
        self._weight = weight
        self._pending: dict[int, _Interval] = {}
        self._newest: float = -inf  # of what came since intervals were told

    def add(self, measured: Sequence[Measured]) -> None:
        """Take values into account."""
        length_s = self._wanted.interval_s
        for target, name, at_s, stored_at_s, value in measured:
            number = int(at_s // length_s)
            interval = self._pending.get(number) or self._pending.setdefault(number, _Interval())
            group = interval.groups.get((target, name))
            if group is None:
                group = interval.groups[target, name] = self._make()
                self._grow(interval, GROUP_WEIGHT)
            group.add(value)
            self._grow(interval, group.weight)
            # The one that took the least time to come tells best when it will be over.
            interval.over_at_s = min(interval.over_at_s, stored_at_s + (number + 1) * length_s - at_s + MOMENT_S)
            self._newest = max(self._newest, number)

    def over(self, settled_at: datetime | None) -> list[bytes]:
        """The rows of those that are over, in their order, as JSON; what was stored until then, and is listened to, was
        added. None when the clock shall not count, since there is more to come that was stored before.
        """
        is_full = self._weight.total > MAX_WEIGHT
        settled_s = settled_at.timestamp() if settled_at else -inf
        over = [
            number
            for number, interval in self._pending.items()
            if is_full or number < self._newest or interval.over_at_s <= settled_s
        ]
        self._newest = -inf
        return [row for number in sorted(over) for row in self._told(number)]

    def close(self) -> None:
        """Forget them."""
        for interval in self._pending.values():
            self._weight.total -= interval.weight
        self._pending.clear()

    def _grow(self, interval: _Interval, by: int) -> None:
        interval.weight += by
        self._weight.total += by

    def _told(self, number: int) -> Iterator[bytes]:
        interval = self._pending.pop(number)
        self._weight.total -= interval.weight
        created_at = format_zoneless(_start_of(number * self._wanted.interval_s))
        for target, name in sorted(interval.groups, key=lambda key: tuple(text or "" for text in key)):
            time = self._result(interval.groups[target, name])
            row = {"created_at": created_at, "name": name, "target": target, "time": time, "values": ""}
            yield orjson.dumps(row)


def measured(rows: LogRows) -> list[Measured]:
    """The values of logs that have one."""
    found = []
    for row, said in zip(rows.rows, rows.said, strict=True):
        if (value := _integer(member(said, "time"))) is not None:
            at_s, stored_at_s = row.ts.timestamp(), row.stored_at.timestamp()
            found.append(Measured(_text(member(said, "target")), _text(member(said, "name")), at_s, stored_at_s, value))
    return found


def _integer(value: Any) -> int | None:
    if (isinstance(value, str) and _INTEGER.fullmatch(value)) or (isinstance(value, float) and value.is_integer()):
        value = int(value)
    elif not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if -(2**63) <= value < 2**63 else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str | None) else orjson.dumps(value).decode()


def _start_of(since_s: int) -> datetime:
    try:
        return _EPOCH + timedelta(seconds=since_s)
    except OverflowError:
        return _FIRST
