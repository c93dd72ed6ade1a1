"""Results, aggregates, orchestrators, regions and pipelines in the graph."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from strawberry import Info

from resolvers import aggregation
from resolvers.errors import Unavailable
from resolvers.telemetry.listing import peers_of_orchestrators
from schema.context import AggregatesKey, DistributionsKey, Question, context_of
from schema.inputs import Dimension, StatFilter, dimensions, result_filter
from schema.node import Node, global_id
from schema.scalars import JobType

if TYPE_CHECKING:
    from schema.telemetry import Peer


@strawberry.type(description="A place that tests run from, for one kind of job.")
class Region(Node):
    code: str = strawberry.field(description="The code that results name, like `FRA`.")
    name: str = strawberry.field(description="The name for people, like `Frankfurt`.")
    job_type: JobType = strawberry.field(description="The kind of job that is tested from here.")

    @strawberry.field(description="The global id.")
    def id(self) -> strawberry.ID:
        return global_id("Region", self.code, self.job_type)

    @classmethod
    def is_type_of(cls, source: Any, _info: Any) -> bool:
        """A region is a row with a code."""
        return "code" in source


@strawberry.type(description="A kind of AI job, and where and with which models it was tested.")
class Pipeline:
    models: list[str] = strawberry.field(description="The models seen, sorted.")

    @strawberry.field(description="The name, like `Text to image`.")
    def name(self) -> str:
        return str(source_row(self).id)

    @strawberry.field(description="The regions it was tested from, sorted.")
    async def regions(self, info: Info) -> list[Region]:
        codes: list[str] = source_row(self).regions
        return [await context_of(info).region(code, "ai") for code in codes]


@strawberry.type(description="How the values of a group spread, in seconds: exact, of every single result.")
class Distribution:
    mean: float = strawberry.field(description="The arithmetic mean, in seconds.")
    min: float = strawberry.field(description="The smallest, in seconds.")
    max: float = strawberry.field(description="The largest, in seconds.")
    standard_deviation: float = strawberry.field(
        description="Of these values, not of a sample, in seconds; 0 for a single one."
    )
    p50: float = strawberry.field(description="The median, in seconds.")
    p95: float = strawberry.field(description="95 % are at most this, interpolated, in seconds.")
    p99: float = strawberry.field(description="99 % are at most this, interpolated, in seconds.")


def _orchestrators(groups: Sequence["Grouped"], info: Info) -> list[Any]:
    if any(group.key.orchestrator is None for group in groups):  # they are not grouped by it
        return [None] * len(groups)
    return context_of(info).find_orchestrators([group.key.orchestrator or "" for group in groups])


def _regions(groups: Sequence["Grouped"], info: Info) -> list[Any]:
    if any(group.key.region is None for group in groups):
        return [None] * len(groups)
    keys = [(group.key.region or "", group.key.job_type or group.question.wanted.job_type) for group in groups]
    return context_of(info).find_regions(keys)


@strawberry.type
class Grouped:
    """What a group of results has in common."""

    key: strawberry.Private[aggregation.GroupKey]
    question: strawberry.Private[Question]

    @strawberry.field(description="The node.", metadata={"many": _orchestrators})
    def orchestrator(self, info: Info) -> "Orchestrator | None":
        found: Orchestrator | None = _orchestrators([self], info)[0]
        return found

    @strawberry.field(
        description="The region; of a group that holds both kinds of job, the one for transcoding.",
        metadata={"many": _regions},
    )
    def region(self, info: Info) -> Region | None:
        found: Region | None = _regions([self], info)[0]
        return found

    @strawberry.field(description="The kind of job.")
    def job_type(self) -> JobType | None:
        return JobType(self.key.job_type) if self.key.job_type else None

    @strawberry.field(description="The AI pipeline.")
    def pipeline(self) -> str | None:
        return self.key.pipeline

    @strawberry.field(description="The AI model.")
    def model(self) -> str | None:
        return self.key.model


@strawberry.type
class Timed:
    """A group, or one bucket of it, with the distributions of its times, which need a further statement."""

    key: strawberry.Private[aggregation.GroupKey]
    question: strawberry.Private[Question]
    bucket: strawberry.Private[int | None] = None

    @strawberry.field(description="Upload times of the results that have one, in seconds.")
    async def upload_time(self, info: Info) -> Distribution | None:
        return await self.distribution(info, "upload_time")

    @strawberry.field(description="Download times of the results that have one, in seconds.")
    async def download_time(self, info: Info) -> Distribution | None:
        return await self.distribution(info, "download_time")

    @strawberry.field(description="Transcoding times of the results that have one, in seconds.")
    async def transcode_time(self, info: Info) -> Distribution | None:
        return await self.distribution(info, "transcode_time")

    async def distribution(self, info: Info, name: str) -> Distribution | None:
        """How one of the times spreads, None where nobody reported it."""
        key = DistributionsKey(self.key, self.question, self.bucket)
        return (await context_of(info).distributions.load(key)).get(name)  # type: ignore[return-value]


@strawberry.type(
    description="Means, scores and counts of a group of results. What it is not grouped by is null. A cell is one "
    "orchestrator, region, job type, pipeline and model; a group of several cells has the mean of their scores, "
    "weighted by their samples."
)
class Aggregate(Grouped, Timed):
    samples: int = strawberry.field(description="How many results.")
    success_rate: float = strawberry.field(description="The mean success rate, a fraction.")
    score: float = strawberry.field(
        description="0 to 1. Transcoding: success rate times round trip score. AI: 0.65 of the success rate plus 0.35 "
        "of the round trip score, 0 without any success."
    )
    round_trip_score: float = strawberry.field(
        description="0 to 1. Transcoding: 1 - e^(-segment duration / round trip time) of the means. AI: e^(ln 0.8 * "
        "mean round trip time / median of the model's successful results), so 0.8 at the median."
    )
    first_at: datetime = strawberry.field(description="When the first of them was recorded.")
    last_at: datetime = strawberry.field(description="When the last of them was recorded.")

    @strawberry.field(description="The same as `score`.", deprecation_reason="Use score.")
    def total_score(self) -> float:
        return self.score

    @strawberry.field(description="The same as `roundTripScore`.", deprecation_reason="Use roundTripScore.")
    def latency_score(self) -> float:
        return self.round_trip_score

    @strawberry.field(description="Round trip times, in seconds.")
    async def round_trip_time(self, info: Info) -> Distribution:
        found = await self.distribution(info, "round_trip_time")
        if found is None:  # a moment ago they were there
            raise Unavailable("the group's results have been withdrawn meanwhile")
        return found


def aggregate_of(group: aggregation.Aggregate, question: Question) -> Aggregate:
    """A group as the graph shows it."""
    return Aggregate(
        samples=group.samples,
        success_rate=group.success_rate,
        score=group.score,
        round_trip_score=group.round_trip_score,
        first_at=group.first_at,
        last_at=group.last_at,
        key=group.key,
        question=question,
    )


REGION = [Dimension.REGION]


def _peers(rows: Sequence[Any], info: Info) -> list[Any]:
    load = context_of(info).loader(peers_of_orchestrators).load
    return [load(row.address) for row in rows]


@strawberry.type(description="A node of the network that jobs are sent to.")
class Orchestrator(Node):
    address: str = strawberry.field(description="Its address, in lower case.")

    @strawberry.field(description="The global id.")
    def id(self) -> strawberry.ID:
        return global_id("Orchestrator", self.address)

    @strawberry.field(description="When podium first heard of it.")
    def first_seen_at(self) -> datetime:
        time: datetime = source_row(self).created_at
        return time

    @strawberry.field(description="Its scores, by region when nothing else is said, in the default window.")
    async def aggregates(
        self,
        info: Info,
        filter: Annotated[StatFilter | None, strawberry.argument(description="Which of its results.")] = None,
        group_by: Annotated[
            list[Dimension] | None,
            strawberry.argument(description="What makes a group; an empty list makes a single group."),
        ] = REGION,
    ) -> list[Aggregate]:
        context = context_of(info)
        wanted = result_filter(filter, context)
        grouped = dimensions([Dimension.ORCHESTRATOR, *(REGION if group_by is None else group_by)])
        groups = await context.aggregates.load(AggregatesKey(self.address, wanted, grouped))
        return [aggregate_of(group, Question(wanted, grouped)) for group in groups]

    @strawberry.field(
        description="Its nodes that send telemetry, as far as an administrator has linked them, by what they call "
        "themselves.",
        metadata={"many": _peers},
    )
    async def peers(self, info: Info) -> list[Annotated["Peer", strawberry.lazy("schema.telemetry")]]:
        found: list[Peer] = await _peers([self], info)[0]
        return found

    @classmethod
    def is_type_of(cls, source: Any, _info: Any) -> bool:
        """An orchestrator is a row with an address."""
        return "address" in source


@strawberry.type(description="The best AI cell of an orchestrator: highest success rate, then lowest round trip time.")
class TopAiScore:
    value: float = strawberry.field(description="Its score, 0 to 1.")
    pipeline: str = strawberry.field(description="The AI pipeline.")
    model: str = strawberry.field(description="The AI model.")
    orchestrator: Orchestrator = strawberry.field(description="The node.")
    region: Region = strawberry.field(description="Where it was tested from.")


def source_row(row: Any) -> Any:
    """What a field's resolver gets as self: the database's row, with the columns of its type and some more."""
    return row
