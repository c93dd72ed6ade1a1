"""What is wrong with a stream at a moment, whether it is so wrong that the run is over, and what a whole run was."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from prober.limits import Limits
from prober.problems import Problem
from prober.run import Reason
from prober.tally import Tally

LEAST_SHARE = 0.95
LEAST_FOR_SPEED = 3


@dataclass(frozen=True, slots=True)
class RenditionView:
    """A rendition at a moment. `quiet_since`: when it last had something new, or should have begun to."""

    name: str
    is_listed: bool
    quiet_since: float
    target_s: float
    playlist_problem: Problem | None
    segment_problem: Problem | None


@dataclass(frozen=True, slots=True)
class View:
    """A stream at a moment; times are of one clock, and `first_at` is None until the first segment was there.

    `absent` are the renditions that should be listed and are not, `strangers` those that are and should not.
    """

    now: float
    started_at: float
    first_at: float | None
    master_problem: Problem | None
    well_since: float
    absent: Collection[str]
    strangers: Collection[str]
    renditions: Sequence[RenditionView]


def present_problem(view: View, limits: Limits) -> Problem | None:
    """What is wrong now, once the stream has begun."""
    if view.first_at is None:
        return None
    if problem := view.master_problem or (_absence(view) if _away_s(view) > limits.absence_s / 2 else None):
        return problem
    for rendition in view.renditions:
        if rendition.is_listed and (problem := rendition.playlist_problem or rendition.segment_problem):
            return Problem(problem.reason, f"{rendition.name}: {problem.detail}")
    return _stall(view, limits, share=0.5)


def fatal_problem(view: View, limits: Limits, wait_s: float) -> Problem | None:
    """What makes it useless to go on."""
    seen = [view.master_problem, *(rendition.playlist_problem for rendition in view.renditions)]
    refused = next((problem for problem in seen if problem and problem.reason is Reason.ADDRESS_REFUSED), None)
    if refused or view.first_at is None:
        return refused or (_no_first_segment(view, wait_s) if view.now - view.started_at >= wait_s else None)
    if _away_s(view) >= limits.absence_s and (problem := view.master_problem or _absence(view)):
        return problem
    return _stall(view, limits, share=1.0)


def last_problem(view: View, limits: Limits) -> Problem | None:
    """What is wrong with a stream at the end of its time, although not for so long that it would have ended it."""
    return _stall(view, limits, share=0.5)


def verdict(tallies: Sequence[Tally]) -> Problem | None:
    """Why a run that came to its end is a failure, if it is one."""
    for tally in tallies:
        if tally.received < LEAST_SHARE * tally.expected:
            return _missed(tally)
        if tally.received >= LEAST_FOR_SPEED and tally.download_s > tally.content_s:
            detail = f"{tally.name}: {tally.download_s:.1f} s to download {tally.content_s:.1f} s"
            return Problem(Reason.TOO_SLOW, detail)
    return None


def of_segment(problem: Problem) -> Problem:
    """What it means for a run that a segment could not be had, whose reasons are told as a playlist's."""
    if problem.reason is Reason.TIMEOUT:
        return Problem(Reason.TOO_SLOW, problem.detail)
    kept = {Reason.SEGMENTS_CORRUPT, Reason.TOO_LARGE, Reason.ADDRESS_REFUSED}
    return problem if problem.reason in kept else Problem(Reason.SEGMENTS_MISSED, problem.detail)


def _missed(tally: Tally) -> Problem:
    ((reason, _),) = tally.missed.most_common(1)
    return Problem(reason, f"{tally.name}: {tally.received} of {tally.expected} segments received")


def _no_first_segment(view: View, wait_s: float) -> Problem:
    told = [
        *(rendition.segment_problem for rendition in view.renditions),
        *(rendition.playlist_problem for rendition in view.renditions),
        view.master_problem,
    ]
    problem = next((problem for problem in told if problem), None)
    return problem or Problem(Reason.NO_FIRST_SEGMENT, f"no segment within {wait_s:g} s")


def _away_s(view: View) -> float:
    """For how long the master playlist has not listed what it should."""
    return view.now - max(view.well_since, view.first_at or 0.0)


def _absence(view: View) -> Problem | None:
    if not view.absent:
        return None
    absent, strangers = ", ".join(sorted(view.absent)), ", ".join(sorted(view.strangers))
    if len(view.strangers) >= len(view.absent):
        return Problem(Reason.RENDITION_RENAMED, f"{absent} not listed, but {strangers}")
    return Problem(Reason.RENDITION_MISSING, f"{absent} not listed")


def _stall(view: View, limits: Limits, share: float) -> Problem | None:
    """A rendition that is listed and has had nothing new for a share of what is allowed."""
    for rendition in view.renditions:
        quiet_s = view.now - max(rendition.quiet_since, view.first_at or 0.0)
        if rendition.is_listed and quiet_s >= share * max(limits.stall_s, 3 * rendition.target_s):
            stalled = Problem(Reason.STALLED, f"nothing new for {quiet_s:.1f} s")
            problem = rendition.playlist_problem or stalled
            return Problem(problem.reason, f"{rendition.name}: {problem.detail}")
    return None
