"""Who is first: ranks, their change against the window before, and a bound that keeps luck from winning."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from math import sqrt

from db.pool import Runner
from resolvers import leaderboard
from resolvers.aggregation import Aggregate, Dimension
from resolvers.filters import StatFilter, Window

# The normal quantile of a two-sided interval of 95 %.
_Z = 1.959963984540054
_MICROSECOND = timedelta(microseconds=1)


class RankedBy(StrEnum):
    """What ranks follow."""

    SCORE = "score"
    LOWER_BOUND = "lower_bound"


@dataclass(frozen=True, slots=True)
class Standing:
    """An orchestrator's place in a window; the changes are against the window before, None when it was not there.

    Scores, rates and the bound are fractions, `round_trip_time` the mean in seconds; a positive `rank_change` is a
    climb.
    """

    rank: int
    orchestrator: str
    score: float
    lower_bound: float
    samples: int
    success_rate: float
    round_trip_score: float
    round_trip_time: float
    rank_change: int | None
    score_change: float | None


async def standings(db: Runner, wanted: StatFilter, ranked_by: RankedBy, now: datetime) -> list[Standing]:
    """All orchestrators with matching results, the best first; equal ones share a rank, and follow their addresses.

    The window before that of a window without an end is as long as this one is `now`; before one without a beginning
    there is none.
    """
    present = await leaderboard.aggregates(db, wanted, (Dimension.ORCHESTRATOR,))
    before: dict[str | None, tuple[int, Aggregate]] = {}
    if (window := window_before(Window(wanted.window.since, wanted.window.until or now))) is not None:
        groups = await leaderboard.aggregates(db, replace(wanted, window=window), (Dimension.ORCHESTRATOR,))
        before = {group.key.orchestrator: (rank, group) for rank, group in ranked(groups, ranked_by)}
    return [_standing(rank, group, before.get(group.key.orchestrator)) for rank, group in ranked(present, ranked_by)]


def window_before(window: Window) -> Window | None:
    """The window of the same length that ends just before; None without a beginning, or at the beginning of time."""
    if window.since is None or window.until is None or window.until < window.since:
        return None
    try:
        return Window(window.since - (window.until - window.since) - _MICROSECOND, window.since - _MICROSECOND)
    except OverflowError:
        return None


def ranked(groups: Sequence[Aggregate], ranked_by: RankedBy) -> list[tuple[int, Aggregate]]:
    """Groups with their ranks, 1 for the best; after two that share a rank, the next one is left out."""
    # Rounded, because the order in which Postgres adds makes the last digits differ.
    values = [round(group.score if ranked_by is RankedBy.SCORE else lower_bound(group), 12) for group in groups]
    ordered = sorted(zip(values, groups, strict=True), key=lambda item: (-item[0], item[1].key.orchestrator or ""))
    places: list[tuple[int, Aggregate]] = []
    for position, (value, group) in enumerate(ordered):
        is_tie = position > 0 and value == ordered[position - 1][0]
        places.append((places[-1][0] if is_tie else position + 1, group))
    return places


def lower_bound(group: Aggregate) -> float:
    """The lower end of the 95 % Wilson score interval of a group's score, taken as a share of its samples.

    E. B. Wilson, Probable inference, the law of succession, and statistical inference, J. Am. Stat. Assoc. 22 (1927),
    209-212. No value between 0 and 1 varies more than one that is either, so the bound errs to the safe side.
    """
    score, samples = min(max(group.score, 0.0), 1.0), group.samples
    centre = score + _Z * _Z / (2 * samples)
    margin = _Z * sqrt(score * (1 - score) / samples + _Z * _Z / (4 * samples * samples))
    return max(0.0, (centre - margin) / (1 + _Z * _Z / samples))


def _standing(rank: int, group: Aggregate, before: tuple[int, Aggregate] | None) -> Standing:
    return Standing(
        rank=rank,
        orchestrator=group.key.orchestrator or "",
        score=group.score,
        lower_bound=lower_bound(group),
        samples=group.samples,
        success_rate=group.success_rate,
        round_trip_score=group.round_trip_score,
        round_trip_time=group.round_trip_time,
        rank_change=before[0] - rank if before else None,
        score_change=group.score - before[1].score if before else None,
    )
