"""Runs of the prober, told through the graph."""

from dataclasses import asdict, replace
from datetime import datetime
from enum import Enum
from typing import Annotated, Any

import strawberry
from strawberry import Info
from strawberry.utils.str_converters import to_camel_case

from resolvers import probe_runs
from resolvers.errors import InvalidArgument
from resolvers.probe_runs import MAX_DETAIL_LENGTH, MAX_ID_LENGTH, MAX_NAME_LENGTH, MAX_RENDITIONS
from resolvers.storable import typed
from schema.administration import MutationError, mutation_errors
from schema.context import context_of
from schema.permissions import PUBLISH
from schema.probes import ProbeClock, ProbeRun, ProbeStatus

# What resolvers call a field where the graph has another name for it.
FIELDS = {
    "id": "runId",
    "wanted_s": "wantedDuration",
    "startup_s": "startupTime",
    "download_s": "downloadTime",
    "latency_s": "latency",
    "duration_s": "segmentDuration",
    "declared_duration_s": "declaredSegmentDuration",
    "least": "min",
    "median": "p50",
    "most": "max",
}


@strawberry.input(description="How values of one run lie, in seconds.")
class ProbeSpreadInput:
    count: int = strawberry.field(description="How many values: 1 or more.")
    least: float = strawberry.field(name="min", description="The smallest.")
    median: float = strawberry.field(name="p50", description="Half of them are at most this.")
    mean: float = strawberry.field(description="The arithmetic mean.")
    p95: float = strawberry.field(description="95 % are at most this.")
    most: float = strawberry.field(name="max", description="The largest.")


@strawberry.input(description="What a run measured of one rendition.")
class ProbeRenditionInput:
    name: str = strawberry.field(description="Its size as WIDTHxHEIGHT where the playlist tells it.")
    segments_expected: int = strawberry.field(description="Segments that should have come.")
    segments_received: int = strawberry.field(description="Those that were downloaded whole and can be played.")
    segments_missed: int = strawberry.field(default=0, description="Those that came and went, or were not downloaded.")
    segments_corrupt: int = strawberry.field(default=0, description="Those that cannot be played.")
    gaps: int = strawberry.field(default=0, description="Jumps in the media sequence.")
    discontinuities: int = strawberry.field(default=0, description="Discontinuities that the playlist marked.")
    bytes: float = strawberry.field(default=0.0, description="Bytes downloaded: a whole number of at most 53 bits.")
    download_s: float = strawberry.field(
        name="downloadTime", default=0.0, description="How long the downloads took, in seconds."
    )
    latency_s: ProbeSpreadInput | None = strawberry.field(
        name="latency",
        default=None,
        description="From when the last of a segment's content was sent until the segment was in the playlist.",
    )
    duration_s: ProbeSpreadInput | None = strawberry.field(
        name="segmentDuration", default=None, description="How long segments are, by what is in them."
    )
    declared_duration_s: ProbeSpreadInput | None = strawberry.field(
        name="declaredSegmentDuration", default=None, description="How long they are, by the playlist."
    )


@strawberry.input(description=f"A run of the prober. Names have at most {MAX_NAME_LENGTH} characters.")
class RecordProbeRunInput:
    id: str = strawberry.field(
        name="runId",
        description=f"An id of its own, like a UUID, of at most {MAX_ID_LENGTH} characters: what is sent again with it "
        "is not stored again.",
    )
    stream: str = strawberry.field(description="The stream that was probed.")
    region: str | None = strawberry.field(default=None, description="Where the prober is.")
    ingest_region: str | None = strawberry.field(default=None, description="Where the stream was pushed to.")
    playback_region: str | None = strawberry.field(default=None, description="Where it was played from.")
    orchestrator: str | None = strawberry.field(default=None, description="The node that the run is a result of.")
    started_at: datetime = strawberry.field(description="When it started.")
    ended_at: datetime = strawberry.field(description="When it ended.")
    wanted_s: float = strawberry.field(
        name="wantedDuration", description="For how long segments should keep coming, in seconds."
    )
    status: ProbeStatus = strawberry.field(description="How it ended.")
    reason: str | None = strawberry.field(
        default=None, description="Why it failed, a stable code like `no_first_segment`: if it did, and only then."
    )
    detail: str | None = strawberry.field(
        default=None, description=f"The same for people, at most {MAX_DETAIL_LENGTH:,} characters."
    )
    startup_s: float | None = strawberry.field(
        name="startupTime", default=None, description="From the start of the push to the first segment, in seconds."
    )
    clock: ProbeClock | None = strawberry.field(default=None, description="By what latencies were measured.")
    expected_renditions: list[str] = strawberry.field(
        default_factory=list, description=f"The renditions that there should be, at most {MAX_RENDITIONS}."
    )
    renditions: list[ProbeRenditionInput] = strawberry.field(
        default_factory=list, description=f"What was measured of each, at most {MAX_RENDITIONS}."
    )


@strawberry.type(description="The run that was recorded, or why none was.")
class RecordProbeRunPayload:
    probe_run: ProbeRun | None = strawberry.field(description="The run as it is stored; null when there are errors.")
    replayed: bool = strawberry.field(
        description="Whether a run with this id was stored before, which is answered as it is then."
    )
    errors: list[MutationError] = strawberry.field(description="Why nothing was done; empty when all is well.")


@strawberry.type
class ProbingMutation:
    @strawberry.mutation(extensions=[PUBLISH], description="Stores a run of the prober, once however often it is sent.")
    async def record_probe_run(
        self,
        info: Info,
        input: Annotated[RecordProbeRunInput, strawberry.argument(description="The run.")],
    ) -> RecordProbeRunPayload:
        context = context_of(info)
        try:
            run = typed(asdict(input, dict_factory=_values), probe_runs.ProbeRun, "input")
            stored = await probe_runs.store_run(context.backend.write_db, run)
        except InvalidArgument as error:
            return RecordProbeRunPayload(probe_run=None, replayed=False, errors=_errors(error))
        context.backend.report("probe_run_replayed" if stored.is_replay else "probe_run_stored", stream=run.stream)
        row: Any = stored.row
        return RecordProbeRunPayload(probe_run=row, replayed=stored.is_replay, errors=[])


def _values(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name: _value(value, is_whole=name == "bytes") for name, value in fields}


def _value(value: Any, *, is_whole: bool) -> Any:
    if isinstance(value, Enum):
        return value.value
    return int(value) if is_whole and value.is_integer() else value


def _errors(error: InvalidArgument) -> list[MutationError]:
    """The failure with its field as the graph names it."""
    field = error.field or ""
    steps = field.replace("[", ".").replace("]", "").split(".") if field else []
    name = ".".join(["input", *(FIELDS.get(step, to_camel_case(step)) for step in steps)])
    message = error.message.replace(f"{field}: ", f"{name}: ", 1)
    return [replace(it, field=name, message=message) for it in mutation_errors(error)]
