"""Results recorded through the graph."""

from dataclasses import fields
from datetime import datetime
from enum import Enum
from typing import Annotated, Any

import strawberry
from strawberry import Info
from strawberry.utils.str_converters import to_camel_case

from resolvers import listing
from resolvers.errors import IdempotencyConflict, InvalidArgument, InvalidRegion, PodiumError
from resolvers.idempotency import MAX_KEY_LENGTH, post_key
from resolvers.page import to_micros
from resolvers.recording import MAX_RESULTS, CheckedResult, Recorder
from resolvers.results import Result, result_from
from schema.context import context_of
from schema.permissions import PUBLISH
from schema.results import Stat

_KEY_DESCRIPTION = (
    f"A key that you make up for these results, at most {MAX_KEY_LENGTH} characters: whoever posts them again with it "
    "within 24 hours gets the results that are there already. Keys of different subjects of tokens do not meet; all "
    "who sign with SECRET share theirs."
)


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


@strawberry.enum(description="Why results were refused; these are codes of errors, as in `extensions.code`.")
class RecordStatsErrorCode(Enum):
    """The codes that a payload can have."""

    INVALID_ARGUMENT = strawberry.enum_value(
        InvalidArgument.code, description="A field of a result, or the key, cannot be; `field` names it."
    )
    INVALID_REGION = strawberry.enum_value(
        InvalidRegion.code, description="The region is not known, or not for this kind of job."
    )
    IDEMPOTENCY_CONFLICT = strawberry.enum_value(
        IdempotencyConflict.code, description="The key was used with other results in the last 24 hours."
    )


@strawberry.type(description="Why results were refused.")
class RecordStatsError:
    index: int | None = strawberry.field(
        description="Which of the results, counted from 0; null where it is not about a single one."
    )
    field: str | None = strawberry.field(description="Which of its fields, or which argument.")
    code: RecordStatsErrorCode = strawberry.field(description="What kind of mistake it is.")
    message: str = strawberry.field(description="What is wrong, for people.")


@strawberry.type(description="What became of posted results: either all are stored, or there are errors and none is.")
class RecordStatsPayload:
    stats: list[Stat] = strawberry.field(description="The stored results, in the order given.")
    errors: list[RecordStatsError] = strawberry.field(description="Why nothing was stored; empty when all is well.")
    replayed: bool = strawberry.field(
        default=False, description="Whether these results were stored before, by the same key, and not again."
    )


def refusal(index: int | None, error: PodiumError) -> RecordStatsError:
    """Why the result at this place was refused; fields are named as the graph names them."""
    field = to_camel_case(error.field) if error.field else None
    message = error.message.replace(f"{error.field}: ", f"{field}: ", 1)
    return RecordStatsError(index=index, field=field, code=RecordStatsErrorCode(error.code), message=message)


@strawberry.type
class RecordingMutation:
    @strawberry.mutation(
        extensions=[PUBLISH],
        description="Stores results, all or none; answers after the commit. A token gives the scope, or the "
        "HMAC-SHA256 of the request's body with SECRET, in hex, as `Authorization`, or a webhook's signature.",
    )
    async def record_stats(
        self,
        info: Info,
        results: Annotated[list[StatInput], strawberry.argument(description=f"At most {MAX_RESULTS} results.")],
        idempotency_key: Annotated[str | None, strawberry.argument(description=_KEY_DESCRIPTION)] = None,
    ) -> RecordStatsPayload:
        context = context_of(info)
        if len(results) > MAX_RESULTS:
            raise InvalidArgument(f"results: at most {MAX_RESULTS} at once, not {len(results)}", field="results")
        checked, errors = await _checked(context.backend.recorder, results)
        if errors or not checked:
            context.backend.report("results_refused", reason="INVALID_RESULTS", count=len(results))
            return RecordStatsPayload(stats=[], errors=errors)
        try:
            key = post_key(context.identity, idempotency_key, ".".join(map(str, info.path.as_list())))
            recorded = await context.backend.recorder.store(checked, key)
        except (IdempotencyConflict, InvalidArgument) as error:
            context.backend.report("results_refused", reason=error.code, count=len(results))
            return RecordStatsPayload(stats=[], errors=[refusal(None, error)])
        rows: Any = await listing.results_by_key(context.backend.write_db, recorded.keys)
        return RecordStatsPayload(stats=rows, errors=[], replayed=recorded.is_replay)


async def _checked(recorder: Recorder, results: list[StatInput]) -> tuple[list[CheckedResult], list[RecordStatsError]]:
    checked, errors = [], []
    for index, given in enumerate(results):
        try:
            checked.append(await recorder.check(posted_result(given)))
        except (InvalidArgument, InvalidRegion) as error:
            errors.append(refusal(index, error))
    return checked, errors


def _unix_s(time: datetime | None) -> int:
    return 0 if time is None else to_micros(time) // 1_000_000
