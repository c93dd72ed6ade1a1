"""What clients ask with: filters, orders, and results to record."""

from collections.abc import Sequence
from enum import Enum
from typing import Annotated, Any, cast

import strawberry

from resolvers import aggregation, filters, listing, results
from resolvers.aggregation import AggregateField, Bound
from resolvers.errors import InvalidArgument
from resolvers.filters import Window
from resolvers.listing import ResultOrder
from schema.scalars import FloatRange, IntRange, JobType, Present, StringIn, TimeRange

MAX_VALUES = 1000  # of one list in a filter


@strawberry.enum(description="What results can be grouped by.")
class Dimension(Enum):
    ORCHESTRATOR = strawberry.enum_value(aggregation.Dimension.ORCHESTRATOR, description="The node.")
    REGION = strawberry.enum_value(aggregation.Dimension.REGION, description="Where the tests ran, by code.")
    JOB_TYPE = strawberry.enum_value(aggregation.Dimension.JOB_TYPE, description="Transcoding or AI.")
    PIPELINE = strawberry.enum_value(aggregation.Dimension.PIPELINE, description="The AI pipeline.")
    MODEL = strawberry.enum_value(aggregation.Dimension.MODEL, description="The AI model.")


@strawberry.enum(description="How single results are ordered; equal ones follow the time they were recorded at.")
class StatOrder(Enum):
    RECORDED_AT_DESC = strawberry.enum_value(ResultOrder.NEWEST, description="Newest first.")
    RECORDED_AT_ASC = strawberry.enum_value(ResultOrder.OLDEST, description="Oldest first.")
    ROUND_TRIP_TIME_DESC = strawberry.enum_value(ResultOrder.SLOWEST, description="Slowest round trip first.")
    ROUND_TRIP_TIME_ASC = strawberry.enum_value(ResultOrder.FASTEST, description="Fastest round trip first.")
    SUCCESS_RATE_DESC = strawberry.enum_value(ResultOrder.BEST, description="Highest success rate first.")
    SUCCESS_RATE_ASC = strawberry.enum_value(ResultOrder.WORST, description="Lowest success rate first.")


@strawberry.enum(description="How orchestrators are ordered.")
class OrchestratorOrder(Enum):
    ADDRESS_ASC = strawberry.enum_value(listing.OrchestratorOrder.FIRST_ADDRESS, description="By address.")
    ADDRESS_DESC = strawberry.enum_value(listing.OrchestratorOrder.LAST_ADDRESS, description="By address, backwards.")
    FIRST_SEEN_AT_DESC = strawberry.enum_value(listing.OrchestratorOrder.NEWEST, description="The newest first.")
    FIRST_SEEN_AT_ASC = strawberry.enum_value(listing.OrchestratorOrder.OLDEST, description="The oldest first.")


def _order(field: AggregateField, description: str, *, descending: bool) -> Any:
    return strawberry.enum_value(aggregation.AggregateOrder(field, descending), description=description)


@strawberry.enum(description="How groups are ordered; those that are equal follow their keys.")
class AggregateOrder(Enum):
    SCORE_DESC = _order(AggregateField.SCORE, "Highest score first.", descending=True)
    SCORE_ASC = _order(AggregateField.SCORE, "Lowest score first.", descending=False)
    ROUND_TRIP_SCORE_DESC = _order(AggregateField.ROUND_TRIP_SCORE, "Highest round trip score first.", descending=True)
    ROUND_TRIP_SCORE_ASC = _order(AggregateField.ROUND_TRIP_SCORE, "Lowest round trip score first.", descending=False)
    SUCCESS_RATE_DESC = _order(AggregateField.SUCCESS_RATE, "Highest success rate first.", descending=True)
    SUCCESS_RATE_ASC = _order(AggregateField.SUCCESS_RATE, "Lowest success rate first.", descending=False)
    ROUND_TRIP_TIME_DESC = _order(AggregateField.ROUND_TRIP_TIME, "Slowest mean round trip first.", descending=True)
    ROUND_TRIP_TIME_ASC = _order(AggregateField.ROUND_TRIP_TIME, "Fastest mean round trip first.", descending=False)
    SAMPLES_DESC = _order(AggregateField.SAMPLES, "Most results first.", descending=True)
    SAMPLES_ASC = _order(AggregateField.SAMPLES, "Fewest results first.", descending=False)
    FIRST_AT_DESC = _order(AggregateField.FIRST_AT, "Latest first result first.", descending=True)
    FIRST_AT_ASC = _order(AggregateField.FIRST_AT, "Earliest first result first.", descending=False)
    LAST_AT_DESC = _order(AggregateField.LAST_AT, "Latest last result first.", descending=True)
    LAST_AT_ASC = _order(AggregateField.LAST_AT, "Earliest last result first.", descending=False)


@strawberry.input(description="Which results; conditions that all hold.")
class StatFilter:
    orchestrator: StringIn | None = strawberry.field(default=None, description="Addresses, in any case.")
    region: StringIn | None = strawberry.field(default=None, description="Region codes, in any case.")
    job_type: JobType | None = strawberry.field(default=None, description="The kind of job.")
    pipeline: StringIn | None = strawberry.field(default=None, description="Names of AI pipelines, exactly.")
    model: StringIn | None = strawberry.field(default=None, description="Names of AI models, exactly.")
    during: TimeRange | None = strawberry.field(default=None, description="When the result was recorded.")
    success_rate: FloatRange | None = strawberry.field(default=None, description="As a fraction, 0 to 1.")
    round_trip_time: FloatRange | None = strawberry.field(default=None, description="The round trip time, in seconds.")
    error_code: StringIn | None = strawberry.field(default=None, description="Codes of errors that the result has.")
    model_is_warm: bool | None = strawberry.field(default=None, description="Whether the model was loaded already.")
    withdrawn: bool | None = strawberry.field(
        default=False,
        description="Results that an administrator has withdrawn: only the others when nothing is said, only these if "
        "true, both if null. They are in no aggregate, whatever is said here.",
    )


@strawberry.input(description="Which groups; conditions that all hold.")
class AggregateHaving:
    samples: IntRange | None = strawberry.field(default=None, description="How many results.")
    score: FloatRange | None = strawberry.field(default=None, description="As a fraction, 0 to 1.")
    success_rate: FloatRange | None = strawberry.field(default=None, description="The mean, a fraction.")
    round_trip_score: FloatRange | None = strawberry.field(default=None, description="As a fraction, 0 to 1.")
    round_trip_time: FloatRange | None = strawberry.field(default=None, description="The mean, in seconds.")


@strawberry.input(description="Which orchestrators; conditions that all hold.")
class OrchestratorFilter:
    address: StringIn | None = strawberry.field(default=None, description="Addresses, in any case.")
    address_contains: str | None = strawberry.field(default=None, description="A part of the address, in any case.")
    first_seen: TimeRange | None = strawberry.field(default=None, description="When podium first heard of it.")
    tested: StatFilter | None = strawberry.field(
        default=None, description="Only those that have such a result, of all times when nothing else is said."
    )


Filter = Annotated[StatFilter | None, strawberry.argument(description="Which results.")]


def result_filter(
    given: StatFilter | None, present: Present, default_window: Window | None = None
) -> filters.StatFilter:
    """The resolvers' form of a filter; when it names no window, with this one or else the present's."""
    window = given.during.window(present) if given and given.during else default_window or present.default_window
    if given is None:
        return filters.StatFilter(window=window)
    success_rate = given.success_rate or FloatRange()
    round_trip_time = given.round_trip_time or FloatRange()
    return filters.StatFilter(
        window=window,
        job_type=cast(results.JobType, given.job_type.value) if given.job_type else None,
        orchestrators=values_of(given.orchestrator, "orchestrator"),
        regions=values_of(given.region, "region"),
        pipelines=values_of(given.pipeline, "pipeline"),
        models=values_of(given.model, "model"),
        min_success_rate=success_rate.min,
        max_success_rate=success_rate.max,
        min_round_trip_time=round_trip_time.min,
        max_round_trip_time=round_trip_time.max,
        error_codes=values_of(given.error_code, "errorCode"),
        model_is_warm=given.model_is_warm,
        is_withdrawn=given.withdrawn,
    )


def orchestrator_filter(given: OrchestratorFilter | None, present: Present) -> listing.OrchestratorFilter:
    """The resolvers' form of a filter of orchestrators."""
    if given is None:
        return listing.OrchestratorFilter()
    return listing.OrchestratorFilter(
        addresses=values_of(given.address, "address"),
        contains=given.address_contains,
        first_seen=given.first_seen.window(present, "firstSeen") if given.first_seen else None,
        tested=None if given.tested is None else result_filter(given.tested, present, Window()),
    )


def bounds(given: AggregateHaving | None) -> list[Bound]:
    """The resolvers' form of what groups must have."""
    ranges = [(field, getattr(given, field, None)) for field in AggregateField]
    return [Bound(field, wanted.min, wanted.max) for field, wanted in ranges if wanted is not None]


def dimensions(given: Sequence[Dimension]) -> tuple[aggregation.Dimension, ...]:
    """The resolvers' form of what is grouped by."""
    return tuple(dict.fromkeys(cast(aggregation.Dimension, dimension.value) for dimension in given))


def order_steps(given: Sequence[AggregateOrder] | None) -> list[aggregation.AggregateOrder]:
    """The resolvers' form of an order of groups."""
    return [cast(aggregation.AggregateOrder, step.value) for step in given or ()]


def values_of(given: StringIn | None, name: str) -> tuple[str, ...] | None:
    """The values of a list in a filter, None without one; InvalidArgument when there are too many."""
    if given is not None and len(given.in_) > MAX_VALUES:
        raise InvalidArgument(f"{name}: at most {MAX_VALUES} values, not {len(given.in_)}", field=name)
    return None if given is None else tuple(given.in_)
