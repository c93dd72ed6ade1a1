"""The leaderboard in the graph: ranks, and how they changed."""

from enum import Enum
from typing import Annotated, cast

import strawberry
from strawberry import Info

from resolvers import standings
from resolvers.filters import StatFilter
from resolvers.page import DEFAULT_PAGE, MAX_PAGE, page_request
from resolvers.results import JobType as JobTypeName
from schema.context import Context, context_of
from schema.leaderboard import Orchestrator
from schema.permissions import READ
from schema.scalars import JobType, TimeRange

OneJobType = Annotated[JobType, strawberry.argument(description="The kind of job.")]
OnePipeline = Annotated[str | None, strawberry.argument(description="Only results of this AI pipeline.")]
OneModel = Annotated[str | None, strawberry.argument(description="Only results of this AI model.")]
OneRegion = Annotated[str | None, strawberry.argument(description="Only results of this region, in any case.")]
During = Annotated[TimeRange | None, strawberry.argument(description="The default window if null.")]
FirstPlaces = Annotated[
    int | None,
    strawberry.argument(description=f"How many places: at most {MAX_PAGE}, {DEFAULT_PAGE} when nothing is said."),
]


@strawberry.enum(description="What ranks follow.")
class LeaderboardOrder(Enum):
    SCORE = strawberry.enum_value(standings.RankedBy.SCORE, description="The score.")
    LOWER_BOUND = strawberry.enum_value(
        standings.RankedBy.LOWER_BOUND, description="The lower bound of the score: few samples count less."
    )


RankedBy = Annotated[LeaderboardOrder, strawberry.argument(description="What ranks follow.")]


@strawberry.type(
    description="An orchestrator's place. Changes are against the window of the same length just before, and null for "
    "one that had no result there."
)
class Standing:
    rank: int = strawberry.field(description="From 1; equal ones share a rank, and the next rank is left out.")
    score: float = strawberry.field(description="0 to 1, as that of an Aggregate of this orchestrator.")
    lower_bound: float = strawberry.field(
        description="0 to 1: the lower end of the 95 % Wilson score interval of `score`, taken as a share of "
        "`samples`. One lucky result has at most 0.21."
    )
    samples: int = strawberry.field(description="How many results.")
    success_rate: float = strawberry.field(description="The mean success rate, a fraction.")
    round_trip_score: float = strawberry.field(description="0 to 1, as that of an Aggregate.")
    mean_round_trip_time: float = strawberry.field(description="The mean round trip time, in seconds.")
    rank_change: int | None = strawberry.field(description="How many ranks it has climbed; negative if it has fallen.")
    score_change: float | None = strawberry.field(description="By how much its score has risen.")
    address: strawberry.Private[str]

    @strawberry.field(description="The node.")
    def orchestrator(self, info: Info) -> Orchestrator:
        found: Orchestrator = context_of(info).find_orchestrators([self.address])[0]
        return found


@strawberry.type
class StandingsQuery:
    @strawberry.field(extensions=[READ], description="Who is first at a kind of job, and who is catching up.")
    async def leaderboard(
        self,
        info: Info,
        job_type: OneJobType,
        pipeline: OnePipeline = None,
        model: OneModel = None,
        region: OneRegion = None,
        during: During = None,
        order_by: RankedBy = LeaderboardOrder.LOWER_BOUND,
        first: FirstPlaces = None,
    ) -> list[Standing]:
        context = context_of(info)
        wanted = standings_filter(context, job_type, pipeline, model, region, during)
        return await first_standings(context, wanted, order_by, first)


def standings_filter(
    context: Context,
    job_type: JobType,
    pipeline: str | None,
    model: str | None,
    region: str | None,
    during: TimeRange | None,
) -> StatFilter:
    """The results that a leaderboard is made of."""
    return StatFilter(
        window=context.window(during),
        job_type=cast(JobTypeName, job_type.value),
        pipelines=None if pipeline is None else (pipeline,),
        models=None if model is None else (model,),
        regions=None if region is None else (region,),
    )


async def first_standings(
    context: Context, wanted: StatFilter, order_by: LeaderboardOrder, first: int | None
) -> list[Standing]:
    """The first places of a leaderboard."""
    size = page_request(first, None, None, None).size
    now = wanted.window.until or context.now
    found = await standings.standings(context.db, wanted, standings.RankedBy(str(order_by.value)), now)
    return [_standing(standing) for standing in found[:size]]


def _standing(found: standings.Standing) -> Standing:
    return Standing(
        rank=found.rank,
        score=found.score,
        lower_bound=found.lower_bound,
        samples=found.samples,
        success_rate=found.success_rate,
        round_trip_score=found.round_trip_score,
        mean_round_trip_time=found.round_trip_time,
        rank_change=found.rank_change,
        score_change=found.score_change,
        address=found.orchestrator,
    )
