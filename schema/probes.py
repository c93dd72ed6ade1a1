"""Runs of the prober in the graph: what each found out, and which there are."""

from datetime import datetime
from enum import Enum
from functools import partial
from typing import Annotated, Any

import strawberry
from strawberry import Info

from resolvers import probe_runs, probes
from resolvers.filters import Window
from resolvers.page import encode_cursor, page_request
from schema.connection import After, Before, Connection, First, Last, connection
from schema.context import context_of
from schema.inputs import values_of
from schema.leaderboard import source_row
from schema.node import Node, global_id
from schema.permissions import READ
from schema.scalars import Present, StringIn, TimeRange
from schema.selection import wanted_columns

RENDITIONS_SIZE = 5  # assumed of a run when its cost is counted


@strawberry.enum(description="How a run of the prober ended.")
class ProbeStatus(Enum):
    SUCCESS = strawberry.enum_value("success", description="Segments kept coming for as long as they should.")
    FAILURE = strawberry.enum_value("failure", description="It failed; `reason` says why.")
    ABORTED = strawberry.enum_value(
        "aborted", description="The prober was stopped meanwhile, which says nothing about the network."
    )


@strawberry.enum(description="What told when the content of segments was sent, the best one first.")
class ProbeClock(Enum):
    PICTURE = strawberry.enum_value("picture", description="A clock in the picture.")
    PROGRAM_DATE_TIME = strawberry.enum_value(
        "program_date_time", description="`EXT-X-PROGRAM-DATE-TIME` in the playlist."
    )
    TIMESTAMPS = strawberry.enum_value("timestamps", description="The time stamps of the stream.")


@strawberry.type(description="How values of one run lie, in seconds.")
class ProbeSpread:
    count: int = strawberry.field(description="How many values.")
    least: float = strawberry.field(name="min", description="The smallest.")
    median: float = strawberry.field(name="p50", description="Half of them are at most this.")
    mean: float = strawberry.field(description="The arithmetic mean.")
    p95: float = strawberry.field(description="95 % are at most this.")
    most: float = strawberry.field(name="max", description="The largest.")


@strawberry.type(description="What a run measured of one rendition.")
class ProbeRendition:
    name: str = strawberry.field(description="Its size as WIDTHxHEIGHT where the playlist tells it.")
    segments_expected: int = strawberry.field(description="Segments that should have come.")
    segments_received: int = strawberry.field(description="Those that were downloaded whole and can be played.")
    segments_missed: int = strawberry.field(description="Those that came and went, or could not be downloaded.")
    segments_corrupt: int = strawberry.field(description="Those that cannot be played.")
    gaps: int = strawberry.field(description="Jumps in the media sequence.")
    discontinuities: int = strawberry.field(description="Discontinuities that the playlist marked.")
    bytes: float = strawberry.field(description="Bytes downloaded: a whole number, which may need 53 bits.")
    download_s: float = strawberry.field(name="downloadTime", description="How long the downloads took, in seconds.")
    latency_s: ProbeSpread | None = strawberry.field(
        name="latency",
        description="From when the last of a segment's content was sent until the segment was in the playlist.",
    )
    duration_s: ProbeSpread | None = strawberry.field(
        name="segmentDuration", description="How long segments are, by what is in them."
    )
    declared_duration_s: ProbeSpread | None = strawberry.field(
        name="declaredSegmentDuration", description="How long they are, by the playlist."
    )


@strawberry.type(
    description="A run of the prober: a test stream was pushed, and what came out was played. What is measured is that "
    "of all renditions together."
)
class ProbeRun(Node):
    stream: str = strawberry.field(description="The stream that was probed, as the prober's configuration names it.")
    region: str | None = strawberry.field(description="Where the prober is.")
    ingest_region: str | None = strawberry.field(description="Where the stream was pushed to.")
    playback_region: str | None = strawberry.field(description="Where it was played from.")
    orchestrator: str | None = strawberry.field(description="The node that the run is a result of, if it is of one.")
    started_at: datetime = strawberry.field(description="When it started, by the prober's clock.")
    ended_at: datetime = strawberry.field(description="When it ended, by the prober's clock.")
    wanted_s: float = strawberry.field(
        name="wantedDuration", description="For how long segments should keep coming, in seconds."
    )
    status: ProbeStatus = strawberry.field(description="How it ended.")
    reason: str | None = strawberry.field(
        description="Why it failed, a stable code like `no_first_segment`; null unless it did."
    )
    detail: str | None = strawberry.field(description="The same for people, with what was seen.")
    startup_s: float | None = strawberry.field(
        name="startupTime",
        description="From the start of the push to the first segment that could be played, in seconds; null when there "
        "was none.",
    )
    clock: ProbeClock | None = strawberry.field(description="By what latencies were measured.")
    expected_renditions: list[str] = strawberry.field(
        description="The renditions that were configured, or else listed first."
    )
    segments_expected: int = strawberry.field(description="Segments that should have come.")
    segments_received: int = strawberry.field(description="Those that were downloaded whole and can be played.")
    segments_missed: int = strawberry.field(description="Those that came and went, or could not be downloaded.")
    segments_corrupt: int = strawberry.field(description="Those that cannot be played.")
    gaps: int = strawberry.field(description="Jumps in the media sequences.")
    discontinuities: int = strawberry.field(description="Discontinuities that playlists marked.")
    bytes: float = strawberry.field(description="Bytes downloaded: a whole number, which may need 53 bits.")
    download_s: float = strawberry.field(name="downloadTime", description="How long the downloads took, in seconds.")
    latency_s: float | None = strawberry.field(name="latency", description="The mean segment latency, in seconds.")
    latency_most_s: float | None = strawberry.field(
        name="peakLatency", description="The largest segment latency, in seconds."
    )
    segment_duration_s: float | None = strawberry.field(
        name="segmentDuration", description="The mean length of segments, in seconds."
    )
    segment_duration_most_s: float | None = strawberry.field(
        name="peakSegmentDuration", description="The longest segment, in seconds."
    )
    recorded_at: datetime = strawberry.field(description="When podium stored it, by the database's clock.")

    @strawberry.field(description="The global id.")
    def id(self) -> strawberry.ID:
        return global_id("ProbeRun", source_row(self).id)

    @strawberry.field(description="The id that the prober gave it.")
    def run_id(self) -> str:
        return str(source_row(self).id)

    @strawberry.field(
        description="What was measured of each rendition.",
        metadata={"columns": ("renditions",), "size": RENDITIONS_SIZE},
    )
    def renditions(self) -> list[ProbeRendition]:
        found: Any = probe_runs.renditions_of(source_row(self))
        return list(found)

    @classmethod
    def is_type_of(cls, source: Any, _info: Any) -> bool:
        """A run is a row with expected renditions."""
        return "expected_renditions" in source


@strawberry.input(description="Which runs of the prober; conditions that all hold. Texts are compared exactly.")
class ProbeFilter:
    stream: StringIn | None = strawberry.field(default=None, description="Streams, as the prober names them.")
    region: StringIn | None = strawberry.field(default=None, description="Where the prober is.")
    ingest_region: StringIn | None = strawberry.field(default=None, description="Where streams are pushed to.")
    playback_region: StringIn | None = strawberry.field(default=None, description="Where they are played from.")
    status: list[ProbeStatus] | None = strawberry.field(default=None, description="How runs ended: any of these.")
    reason: StringIn | None = strawberry.field(default=None, description="Codes of why they failed.")
    during: TimeRange | None = strawberry.field(default=None, description="When they started.")


WhichRuns = Annotated[ProbeFilter | None, strawberry.argument(description="Which runs.")]


@strawberry.type
class ProbesQuery:
    @strawberry.field(
        extensions=[READ], description="Runs of the prober, newest first, of all times when nothing else is said."
    )
    async def probe_runs(
        self,
        info: Info,
        filter: WhichRuns = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[ProbeRun]:
        context = context_of(info)
        wanted, request = probe_filter(filter, context, Window()), page_request(first, after, last, before)
        page = await probes.runs_page(context.db, wanted, request, wanted_columns(info, "nodes", "edges.node"))
        return connection(
            page, lambda row: encode_cursor(*probes.run_cursor(row)), partial(probes.count_runs, context.db, wanted)
        )

    @strawberry.field(extensions=[READ], description="One run of the prober; null when it is not kept.")
    async def probe_run(
        self,
        info: Info,
        run_id: Annotated[str, strawberry.argument(description="The id that the prober gave it.")],
    ) -> ProbeRun | None:
        found: ProbeRun | None = await run_by_id(info, run_id)
        return found


async def run_by_id(info: Info, run_id: str) -> Any:
    """The run with this id of the prober's; None where there is none."""
    return None if "\0" in run_id else await context_of(info).loader(probes.runs_by_id).load(run_id)


def probe_filter(
    given: ProbeFilter | None, present: Present, default_window: Window | None = None
) -> probes.ProbeFilter:
    """The resolvers' form of a filter; when it names no window, with this one or else the present's."""
    window = given.during.window(present) if given and given.during else default_window or present.default_window
    if given is None:
        return probes.ProbeFilter(window)
    return probes.ProbeFilter(
        window=window,
        streams=values_of(given.stream, "stream"),
        regions=values_of(given.region, "region"),
        ingest_regions=values_of(given.ingest_region, "ingestRegion"),
        playback_regions=values_of(given.playback_region, "playbackRegion"),
        statuses=None if given.status is None else tuple(str(status.value) for status in given.status),
        reasons=values_of(given.reason, "reason"),
    )
