"""Groups of results: what they are grouped by, what is known of each, and their order, bounds and pages."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from operator import itemgetter
from typing import Any, NamedTuple

from resolvers.page import Page, PageRequest, page_of, to_micros


class Dimension(StrEnum):
    """What results can be grouped by."""

    ORCHESTRATOR = "orchestrator"
    REGION = "region"
    JOB_TYPE = "job_type"
    PIPELINE = "pipeline"
    MODEL = "model"


class GroupKey(NamedTuple):
    """The values that a group's results share; None for a dimension that is not grouped by, or has no value."""

    orchestrator: str | None
    region: str | None
    job_type: str | None
    pipeline: str | None
    model: str | None


_key_values = itemgetter(*GroupKey._fields)


def key_of(row: Any) -> GroupKey:
    """The key of a row that has its columns."""
    return GroupKey(*_key_values(row))


def by_dimension(group_by: Collection[Dimension]) -> dict[str, bool]:
    """The parameters of a statement that groups by these dimensions."""
    return {f"by_{dimension}": dimension in group_by for dimension in Dimension}


class Distribution(NamedTuple):
    """How the values of a group spread, in seconds; the standard deviation is that of the group, not of a sample."""

    mean: float
    min: float
    max: float
    standard_deviation: float
    p50: float
    p95: float
    p99: float


_first = itemgetter(0)


class Aggregate(NamedTuple):
    """A group of results: means over its results, scores over its cells weighted by their samples.

    Rates and scores are fractions; `round_trip_time` is the mean in seconds.
    """

    key: GroupKey
    samples: int
    success_rate: float
    round_trip_time: float
    round_trip_score: float
    score: float
    first_at: datetime
    last_at: datetime


class AggregateField(StrEnum):
    """What groups can be ordered by."""

    SCORE = "score"
    ROUND_TRIP_SCORE = "round_trip_score"
    SUCCESS_RATE = "success_rate"
    ROUND_TRIP_TIME = "round_trip_time"
    SAMPLES = "samples"
    FIRST_AT = "first_at"
    LAST_AT = "last_at"


class AggregateOrder(NamedTuple):
    """One step of an order of groups."""

    field: AggregateField
    descending: bool = True


class Bound(NamedTuple):
    """What groups must have: a field within these values, both included; None does not bound."""

    field: AggregateField
    min: float | None
    max: float | None


def having(aggregates: Iterable[Aggregate], bounds: Sequence[Bound]) -> list[Aggregate]:
    """The groups that are within all bounds."""
    return [group for group in aggregates if all(_is_within(getattr(group, b.field), b) for b in bounds)]


class GroupOrder(NamedTuple):
    """An order of groups: those that are equal in all steps follow their keys."""

    steps: Sequence[AggregateOrder]
    group_by: Sequence[Dimension]

    @property
    def name(self) -> str:
        """What tells it from other orders."""
        return " ".join([*(f"{step.field}{'-' if step.descending else '+'}" for step in self.steps), *self.group_by])


def aggregates_page(aggregates: Iterable[Aggregate], order: GroupOrder, request: PageRequest) -> Page[Aggregate]:
    """A page of groups in an order."""
    ranked = sorted(((_place(aggregate, order), aggregate) for aggregate in aggregates), key=_first)
    if request.cursor is not None:
        ranked = _beyond(ranked, order, request)
    if request.backwards:
        ranked.reverse()
    return page_of([aggregate for _, aggregate in ranked], request)


def aggregate_cursor(aggregate: Aggregate, order: GroupOrder) -> list[Any]:
    """Where a group stands in an order: its name, values that rise along it, then its key."""
    return [order.name, *_place(aggregate, order)]


def in_order(aggregates: Sequence[Aggregate], group_by: Sequence[Dimension]) -> list[Aggregate]:
    """The groups by their keys, as `comparable` compares them; by columns, because there may be thousands."""
    if not group_by or not aggregates:
        return list(aggregates)
    columns = dict(zip(GroupKey._fields, zip(*(group.key for group in aggregates), strict=True), strict=True))
    places = zip(*([value or "" for value in columns[dimension]] for dimension in group_by), strict=True)
    return [group for _, group in sorted(zip(places, aggregates, strict=True), key=_first)]


def comparable(key: GroupKey, group_by: Sequence[Dimension]) -> tuple[str, ...]:
    """A key in a form that can be ordered, by the dimension that is grouped by first."""
    return tuple(getattr(key, dimension) or "" for dimension in group_by)


def _is_within(value: float, bound: Bound) -> bool:
    return (bound.min is None or value >= bound.min) and (bound.max is None or value <= bound.max)


def _rising(value: datetime | float, *, descending: bool) -> float:
    number = to_micros(value) if isinstance(value, datetime) else value
    return -number if descending else number


def _place(aggregate: Aggregate, order: GroupOrder) -> list[Any]:
    values = [_rising(getattr(aggregate, step.field), descending=step.descending) for step in order.steps]
    return [*values, *comparable(aggregate.key, order.group_by)]


def _beyond(
    ranked: list[tuple[list[Any], Aggregate]], order: GroupOrder, request: PageRequest
) -> list[tuple[list[Any], Aggregate]]:
    cursor = list(request.cursor or ())
    if len(cursor) != 1 + len(order.steps) + len(order.group_by) or cursor[0] != order.name:
        raise request.foreign_cursor()
    place = cursor[1:]
    try:
        return [item for item in ranked if (item[0] < place if request.backwards else item[0] > place)]
    except TypeError:
        raise request.foreign_cursor() from None
