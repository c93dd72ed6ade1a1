"""Single results in the graph: how they are read, and how they are recorded."""

from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

import strawberry
from strawberry import Info
from strawberry.utils.str_converters import to_camel_case

from resolvers.errors import PodiumError
from resolvers.page import to_micros
from resolvers.results import Result, result_from
from schema.context import context_of
from schema.leaderboard import Orchestrator, Region, source_row
from schema.node import Node, global_id
from schema.scalars import JobType

_MAX_UNIX_S = int(datetime.max.replace(tzinfo=UTC).timestamp())


@strawberry.type(description="Why a part of a job failed.")
class StatError:
    error_code: str = strawberry.field(description="A short code, like `Timeout`.")
    message: str | None = strawberry.field(description="What happened, for people.")
    count: int = strawberry.field(description="How often it happened.")


@strawberry.type(description="The result of one test job.")
class Stat(Node):
    success_rate: float = strawberry.field(description="As a fraction; testers may send more than 1.")
    round_trip_time: float = strawberry.field(description="From sending to receiving, in seconds.")
    seg_duration: float | None = strawberry.field(description="Mean length of a segment, in seconds.")
    segments_sent: int | None = strawberry.field(description="Segments sent to the node.")
    segments_received: int | None = strawberry.field(description="Renditions received from the node.")
    upload_time: float | None = strawberry.field(description="In seconds.")
    download_time: float | None = strawberry.field(description="In seconds.")
    transcode_time: float | None = strawberry.field(description="In seconds.")
    pipeline: str | None = strawberry.field(description="The AI pipeline.")
    model: str | None = strawberry.field(description="The AI model.")
    model_is_warm: bool | None = strawberry.field(description="Whether the model was loaded already.")
    recorded_at: datetime = strawberry.field(description="When podium stored it, by the database's clock.")

    @strawberry.field(description="The global id.")
    def id(self) -> strawberry.ID:
        row = source_row(self)
        return global_id("Stat", row.orchestrator, to_micros(row.recorded_at), row.id)

    @strawberry.field(description="The node that was tested.")
    async def orchestrator(self, info: Info) -> Orchestrator:
        address: str = source_row(self).orchestrator
        orchestrator: Orchestrator = await context_of(info).orchestrators.load(address)
        return orchestrator

    @strawberry.field(description="Where the test ran.")
    async def region(self, info: Info) -> Region:
        row = source_row(self)
        region: Region = await context_of(info).region(row.region, row.job_type)
        return region

    @strawberry.field(description="The kind of job.")
    def job_type(self) -> JobType:
        return JobType(source_row(self).job_type)

    @strawberry.field(description="What went wrong; empty when nothing did.")
    def errors(self) -> list[StatError]:
        items = source_row(self).errors or []
        return [StatError(error_code=i["error_code"], message=i.get("message"), count=i["count"]) for i in items]

    @strawberry.field(description="The tester's own time of the result; null when it sent none.")
    def reported_at(self) -> datetime | None:
        seconds: int = source_row(self).timestamp
        return datetime.fromtimestamp(seconds, UTC) if 0 < seconds <= _MAX_UNIX_S else None

    @strawberry.field(description="What the model was asked, as the tester sent it.")
    def input_parameters(self) -> str | None:
        return (source_row(self).payload or {}).get("input_parameters")

    @strawberry.field(description="What the node answered, as the tester sent it.")
    def response_payload(self) -> str | None:
        return (source_row(self).payload or {}).get("response_payload")

    @classmethod
    def is_type_of(cls, source: Any, _info: Any) -> bool:
        """A result is a row with a round trip time."""
        return hasattr(source, "round_trip_time")


@strawberry.input(description="Why a part of a job failed.")
class StatErrorInput:
    error_code: str = strawberry.field(description="A short code, like `Timeout`.")
    message: str | None = strawberry.field(default=None, description="What happened, for people.")
    count: int = strawberry.field(default=1, description="How often it happened.")


@strawberry.input(description="The result of one test job. It is an AI result when it names a pipeline and a model.")
class StatInput:
    region: str = strawberry.field(description="The exact code of a region that is known for this kind of job.")
    orchestrator: str = strawberry.field(description="The address of the node, at most 56 characters.")
    success_rate: float = strawberry.field(default=0.0, description="As a fraction, 0 to 1.")
    round_trip_time: float = strawberry.field(default=0.0, description="From sending to receiving, in seconds.")
    errors: list[StatErrorInput] | None = strawberry.field(default=None, description="What went wrong.")
    reported_at: datetime | None = strawberry.field(default=None, description="The tester's own time of the result.")
    seg_duration: float | None = strawberry.field(default=None, description="Mean length of a segment, in seconds.")
    segments_sent: int | None = strawberry.field(default=None, description="Segments sent to the node.")
    segments_received: int | None = strawberry.field(default=None, description="Renditions received from the node.")
    upload_time: float | None = strawberry.field(default=None, description="In seconds.")
    download_time: float | None = strawberry.field(default=None, description="In seconds.")
    transcode_time: float | None = strawberry.field(default=None, description="In seconds.")
    model: str | None = strawberry.field(default=None, description="The AI model.")
    model_is_warm: bool | None = strawberry.field(default=None, description="Whether the model was loaded already.")
    pipeline: str | None = strawberry.field(default=None, description="The AI pipeline.")
    input_parameters: str | None = strawberry.field(default=None, description="What the model was asked, as JSON text.")
    response_payload: str | None = strawberry.field(default=None, description="What the node answered.")


def posted_result(given: StatInput) -> Result:
    """The result that is meant; InvalidArgument names a field that cannot be stored."""
    values: dict[str, Any] = {field.name: getattr(given, field.name) for field in fields(given)}
    values["timestamp"] = _unix_s(values.pop("reported_at"))
    if given.errors is not None:
        values["errors"] = [{"error_code": e.error_code, "message": e.message, "count": e.count} for e in given.errors]
    return result_from(values)


@strawberry.type(description="Why a result was refused.")
class RecordStatsError:
    index: int = strawberry.field(description="Which of the results, counted from 0.")
    field: str | None = strawberry.field(description="Which of its fields.")
    code: str = strawberry.field(description="A stable code.")
    message: str = strawberry.field(description="What is wrong, for people.")


@strawberry.type(description="What became of posted results: either all are stored, or there are errors and none is.")
class RecordStatsPayload:
    stats: list[Stat] = strawberry.field(description="The stored results, in the order given.")
    errors: list[RecordStatsError] = strawberry.field(description="Why nothing was stored; empty when all is well.")


def refusal(index: int, error: PodiumError) -> RecordStatsError:
    """Why the result at this place was refused; fields are named as the graph names them."""
    field = to_camel_case(error.field) if error.field else None
    message = error.message.replace(f"{error.field}: ", f"{field}: ", 1)
    return RecordStatsError(index=index, field=field, code=error.code, message=message)


def _unix_s(time: datetime | None) -> int:
    return 0 if time is None else to_micros(time) // 1_000_000
