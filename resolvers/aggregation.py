"""From cells to groups: scores of each cell, and their means over the dimensions that a question groups by."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from resolvers.errors import InvalidArgument
from resolvers.page import Page, PageRequest, page_of, to_micros
from resolvers.scoring import Score, ai_score, transcoding_score


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


class Distribution(NamedTuple):
    """How the values of a group spread, in seconds."""

    mean: float
    min: float
    max: float
    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True)
class Aggregate:
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


class Cell(NamedTuple):
    """The means of one orchestrator, region, pipeline and model; times in seconds, what was left out counts as 0."""

    orchestrator: str
    region: str
    job_type: str
    pipeline: str | None
    model: str | None
    model_id: int | None
    samples: int
    success_rate: float
    round_trip_time: float
    seg_duration: float
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


def group_cells(cells: Sequence[Cell], medians: dict[int, float], group_by: Iterable[Dimension]) -> list[Aggregate]:
    """The groups of cells, in the order of their keys; `medians` has the round trip that AI cells are scored against,
    by model_id.
    """
    by_orchestrator, by_region, by_job_type, by_pipeline, by_model = (d in set(group_by) for d in Dimension)
    groups: dict[GroupKey, list[Cell]] = {}
    for cell in cells:
        key = GroupKey(
            cell.orchestrator if by_orchestrator else None,
            cell.region if by_region else None,
            cell.job_type if by_job_type else None,
            cell.pipeline if by_pipeline else None,
            cell.model if by_model else None,
        )
        groups.setdefault(key, []).append(cell)
    aggregates = [_aggregate(key, members, medians) for key, members in groups.items()]
    return sorted(aggregates, key=lambda aggregate: _comparable(aggregate.key))


def aggregates_page(
    aggregates: Iterable[Aggregate], order: Sequence[AggregateOrder], request: PageRequest
) -> Page[Aggregate]:
    """A page of groups in an order; groups that are equal in it follow their keys."""
    ranked = sorted(((aggregate_cursor(aggregate, order), aggregate) for aggregate in aggregates), key=_position)
    if request.cursor is not None:
        if len(request.cursor) != len(order) + len(GroupKey._fields):
            raise _foreign_cursor()
        ranked = _beyond(ranked, request.cursor, backwards=request.backwards)
    if request.backwards:
        ranked.reverse()
    return page_of([aggregate for _, aggregate in ranked], request)


def aggregate_cursor(aggregate: Aggregate, order: Sequence[AggregateOrder]) -> list[Any]:
    """Where a group stands in an order: values that rise along it, then its key."""
    values = [_rising(getattr(aggregate, step.field), descending=step.descending) for step in order]
    return [*values, *_comparable(aggregate.key)]


def _aggregate(key: GroupKey, cells: Sequence[Cell], medians: dict[int, float]) -> Aggregate:
    scores = [_score(cell, medians) for cell in cells]
    cell, score = cells[0], scores[0]
    if len(cells) > 1:
        cell, score = _weighted(cells, scores)
    return Aggregate(
        key=key,
        samples=cell.samples,
        success_rate=cell.success_rate,
        round_trip_time=cell.round_trip_time,
        round_trip_score=score.round_trip,
        score=score.total,
        first_at=cell.first_at,
        last_at=cell.last_at,
    )


def _weighted(cells: Sequence[Cell], scores: Sequence[Score]) -> tuple[Cell, Score]:
    """The means of several cells and of their scores, weighted by their samples."""
    samples = sum(cell.samples for cell in cells)

    def mean(values: Iterable[float]) -> float:
        return sum(value * cell.samples for value, cell in zip(values, cells, strict=True)) / samples

    cell = cells[0]._replace(
        samples=samples,
        success_rate=mean(cell.success_rate for cell in cells),
        round_trip_time=mean(cell.round_trip_time for cell in cells),
        first_at=min(cell.first_at for cell in cells),
        last_at=max(cell.last_at for cell in cells),
    )
    return cell, Score(mean(score.round_trip for score in scores), mean(score.total for score in scores))


def _score(cell: Cell, medians: dict[int, float]) -> Score:
    if cell.model_id is None:
        return transcoding_score(cell.success_rate, cell.seg_duration, cell.round_trip_time)
    return ai_score(cell.success_rate, cell.round_trip_time, medians.get(cell.model_id))


def _comparable(key: GroupKey) -> tuple[str, ...]:
    return tuple(value or "" for value in key)


def _rising(value: datetime | float, *, descending: bool) -> float:
    number = to_micros(value) if isinstance(value, datetime) else value
    return -number if descending else number


def _position(ranked: tuple[list[Any], Aggregate]) -> list[Any]:
    return ranked[0]


def _beyond(
    ranked: list[tuple[list[Any], Aggregate]], cursor: list[Any], *, backwards: bool
) -> list[tuple[list[Any], Aggregate]]:
    try:
        return [item for item in ranked if (item[0] < cursor if backwards else item[0] > cursor)]
    except TypeError:
        raise _foreign_cursor() from None


def _foreign_cursor() -> InvalidArgument:
    return InvalidArgument("cursor: this is no cursor of this list and order", field="cursor")
