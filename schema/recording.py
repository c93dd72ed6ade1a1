"""Results recorded through the graph."""

from dataclasses import fields
from datetime import datetime
from typing import Annotated, Any

import strawberry
from strawberry import Info
from strawberry.utils.str_converters import to_camel_case

from resolvers import listing
from resolvers.errors import InvalidArgument, InvalidRegion, PodiumError
from resolvers.page import to_micros
from resolvers.recording import MAX_RESULTS
from resolvers.results import Result, result_from
from schema.context import context_of
from schema.permissions import PUBLISH
from schema.results import Stat


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
    upload_time: float | None = strawberry.field(default=None, description="How long the upload took, in seconds.")
    download_time: float | None = strawberry.field(default=None, description="How long the download took, in seconds.")
    transcode_time: float | None = strawberry.field(
        default=None, description="How long the node transcoded, in seconds."
    )
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


@strawberry.type
class RecordingMutation:
    @strawberry.mutation(
        extensions=[PUBLISH],
        description="Stores results, all or none; answers after the commit. The request carries the HMAC-SHA256 of its "
        "body with SECRET, in hex, as `Authorization`.",
    )
    async def record_stats(
        self,
        info: Info,
        results: Annotated[list[StatInput], strawberry.argument(description=f"At most {MAX_RESULTS} results.")],
    ) -> RecordStatsPayload:
        context = context_of(info)
        if len(results) > MAX_RESULTS:
            raise InvalidArgument(f"results: at most {MAX_RESULTS} at once, not {len(results)}", field="results")
        recorder, checked, errors = context.backend.recorder, [], []
        for index, given in enumerate(results):
            try:
                checked.append(await recorder.check(posted_result(given)))
            except (InvalidArgument, InvalidRegion) as error:
                errors.append(refusal(index, error))
        if errors or not checked:
            context.backend.report("results_refused", reason="INVALID_RESULTS", count=len(results))
            return RecordStatsPayload(stats=[], errors=errors)
        stored = await recorder.store(checked)
        rows: Any = await listing.results_by_key(context.backend.write_db, stored)
        return RecordStatsPayload(stats=rows, errors=[])


def _unix_s(time: datetime | None) -> int:
    return 0 if time is None else to_micros(time) // 1_000_000
