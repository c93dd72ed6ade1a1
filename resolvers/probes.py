"""Questions about runs of the prober: pages of them, and the latest of each stream."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from db.pool import Row, Runner
from db.statements import STATEMENTS
from resolvers.filters import Window
from resolvers.page import Page, PageRequest, page_of, to_micros
from resolvers.probe_runs import RUNS_BY_ID

RUNS = STATEMENTS["probes.runs"]
COUNT_RUNS = STATEMENTS["probes.count_runs"]
LATEST_RUNS = STATEMENTS["probes.latest_runs"]


@dataclass(frozen=True, slots=True)
class ProbeFilter:
    """Conditions on runs that all hold; None holds for every run. The window is of when they started."""

    window: Window = Window()  # noqa: RUF009  a value
    streams: tuple[str, ...] | None = None
    regions: tuple[str, ...] | None = None
    ingest_regions: tuple[str, ...] | None = None
    playback_regions: tuple[str, ...] | None = None
    statuses: tuple[str, ...] | None = None
    reasons: tuple[str, ...] | None = None

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of statements that use `{matching_runs}`."""
        return {
            "since": self.window.since,
            "until": self.window.until,
            "streams": self.streams,
            "regions": self.regions,
            "ingest_regions": self.ingest_regions,
            "playback_regions": self.playback_regions,
            "statuses": self.statuses,
            "reasons": self.reasons,
        }

    def matches(self, row: Any) -> bool:
        """The same for a row that is here already: what `{matching_runs}` says."""
        window = self.window
        return (
            (window.since is None or row.started_at >= window.since)
            and (window.until is None or row.started_at <= window.until)
            and all(wanted is None or row[name] in wanted for name, wanted in self._names())
        )

    def _names(self) -> list[tuple[str, tuple[str, ...] | None]]:
        return [
            ("stream", self.streams),
            ("region", self.regions),
            ("ingest_region", self.ingest_regions),
            ("playback_region", self.playback_regions),
            ("status", self.statuses),
            ("reason", self.reasons),
        ]


async def runs_page(
    db: Runner, wanted: ProbeFilter, request: PageRequest, columns: Collection[str] | None = None
) -> Page[Row]:
    """A page of matching runs, newest first; of the optional parts of the statement those that are named, or all."""
    statement = RUNS.pick(columns, page="oldest" if request.backwards else "newest")
    rows = await db.fetch(statement, **wanted.parameters, **_position(request), limit=request.size + 1)
    return page_of(rows, request)


def run_cursor(row: Row) -> list[Any]:
    """Where a run stands: when it started, in microseconds, and its id."""
    return [to_micros(row.started_at), row.id]


async def count_runs(db: Runner, wanted: ProbeFilter) -> int:
    """How many runs match."""
    return int(await db.fetchval(COUNT_RUNS, **wanted.parameters))


async def runs_by_id(db: Runner, ids: Sequence[str]) -> list[Row | None]:
    """The runs with these ids, in their order; None where there is none."""
    found = {row.id: row for row in await db.fetch(RUNS_BY_ID, ids=ids)}
    return [found.get(id_) for id_ in ids]


async def latest_runs(db: Runner) -> list[Row]:
    """The latest run of each stream of which any is kept, by stream."""
    return await db.fetch(LATEST_RUNS)


def _position(request: PageRequest) -> dict[str, Any]:
    match request.cursor:
        case None:
            return {"cursor_at": None, "cursor_id": None}
        case [int(micros), str(id_)] if "\0" not in id_:
            return {"cursor_at": request.time(micros), "cursor_id": id_}
    raise request.foreign_cursor()
