"""When each orchestrator was last tested, and what is missing: why it has no score."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import groupby
from operator import attrgetter

from db.pool import Row, Runner
from db.statements import STATEMENTS
from resolvers.filters import StatFilter, Window
from resolvers.rollups import EVER, cut, read_state

COVERAGE = STATEMENTS["leaderboard.coverage"]


class CoverageStatus(StrEnum):
    """What is known of one kind of test of one orchestrator."""

    SCORED = "scored"
    FAILING = "failing"
    NOT_LATELY = "not_lately"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class CoverageCell:
    """One region, kind of job, pipeline and model; `last_at` looks back beyond the window, None is never."""

    region: str
    job_type: str
    pipeline: str | None
    model: str | None
    status: CoverageStatus
    samples: int
    last_at: datetime | None


@dataclass(frozen=True, slots=True)
class Coverage:
    """One orchestrator, by address, with every kind of test that anybody had in the window or it ever had itself."""

    orchestrator: str
    cells: list[CoverageCell]


async def coverage(db: Runner, orchestrator: str | None, window: Window, now: datetime, limit: int) -> list[Coverage]:
    """The coverage of one orchestrator, known or not, or of the first ones by address."""
    wanted = StatFilter(Window(window.since, window.until or now))
    state = await read_state(db)
    parts = cut(wanted.window, (), state)
    rows = await db.fetch(
        COVERAGE.pick(parts.names, ever="rolled_up" if state.complete_since == EVER else "recorded"),
        **await wanted.parameters(db),
        **parts.parameters,
        addresses=None if orchestrator is None else [orchestrator.lower()],
        limit=limit,
    )
    if orchestrator is not None and not rows:
        return [Coverage(orchestrator.lower(), [])]
    grouped = groupby(rows, key=attrgetter("orchestrator"))
    return [Coverage(address, [_cell(row) for row in cells]) for address, cells in grouped]


def _cell(row: Row) -> CoverageCell:
    return CoverageCell(row.region, row.job_type, row.pipeline, row.model, _status(row), row.samples, row.last_at)


def _status(row: Row) -> CoverageStatus:
    if row.samples:
        return CoverageStatus.SCORED if row.any_success else CoverageStatus.FAILING
    return CoverageStatus.NOT_LATELY if row.last_at else CoverageStatus.NEVER
