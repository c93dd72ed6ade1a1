"""What is wrong with a stream, at a moment and with a whole run."""

from collections import Counter
from dataclasses import replace

import pytest

from prober.judge import RenditionView, View, fatal_problem, last_problem, present_problem, verdict
from prober.limits import Limits
from prober.problems import Problem
from prober.run import Reason
from prober.tally import Tally

LIMITS = Limits()
NOW = 1000.0
HTTP = Problem(Reason.PLAYLIST_HTTP_ERROR, "HTTP status 500")
GOOD = RenditionView(
    name="a", is_listed=True, quiet_since=NOW - 1, target_s=2.0, playlist_problem=None, segment_problem=None
)
WELL = View(
    now=NOW,
    started_at=NOW - 60,
    first_at=NOW - 50,
    master_problem=None,
    well_since=NOW - 1,
    absent=(),
    strangers=(),
    renditions=[GOOD, replace(GOOD, name="b")],
)


def _with(**changes: object) -> View:
    return replace(WELL, renditions=[GOOD, replace(GOOD, name="b", **changes)])  # type: ignore[arg-type]


def test_nothing_is_wrong_with_a_stream_that_is_well() -> None:
    assert present_problem(WELL, LIMITS) is fatal_problem(WELL, LIMITS, 120) is last_problem(WELL, LIMITS) is None


@pytest.mark.parametrize(
    ("view", "reason"),
    [
        (replace(WELL, master_problem=HTTP), Reason.PLAYLIST_HTTP_ERROR),
        (_with(playlist_problem=HTTP), Reason.PLAYLIST_HTTP_ERROR),
        (_with(segment_problem=Problem(Reason.SEGMENTS_CORRUPT, "")), Reason.SEGMENTS_CORRUPT),
        (_with(quiet_since=NOW - 6), Reason.STALLED),
        (replace(WELL, absent=["b"], well_since=NOW - 6), Reason.RENDITION_MISSING),
    ],
)
def test_what_is_wrong_at_once_is_not_the_end_of_a_run(view: View, reason: Reason) -> None:
    problem = present_problem(view, LIMITS)
    assert problem
    assert problem.reason is reason
    assert fatal_problem(view, LIMITS, 120) is None


@pytest.mark.parametrize(
    ("view", "reason"),
    [
        (replace(WELL, master_problem=HTTP, well_since=NOW - 11), Reason.PLAYLIST_HTTP_ERROR),
        (_with(playlist_problem=HTTP, quiet_since=NOW - 11), Reason.PLAYLIST_HTTP_ERROR),
        (_with(quiet_since=NOW - 11), Reason.STALLED),
        (replace(WELL, absent=["b"], well_since=NOW - 11), Reason.RENDITION_MISSING),
        (replace(WELL, absent=["b"], strangers=["c"], well_since=NOW - 11), Reason.RENDITION_RENAMED),
        (replace(WELL, first_at=None, master_problem=Problem(Reason.ADDRESS_REFUSED, "")), Reason.ADDRESS_REFUSED),
    ],
)
def test_what_lasts_is(view: View, reason: Reason) -> None:
    problem = fatal_problem(view, LIMITS, 120)
    assert problem
    assert problem.reason is reason


def test_long_segments_may_take_their_time() -> None:
    view = _with(quiet_since=NOW - 20, target_s=10.0)
    assert fatal_problem(view, LIMITS, 120) is None


def test_before_the_first_segment_everything_is_waited_for() -> None:
    waiting = replace(WELL, first_at=None, master_problem=HTTP, well_since=NOW - 60)
    assert present_problem(waiting, LIMITS) is fatal_problem(waiting, LIMITS, 61) is None
    assert fatal_problem(waiting, LIMITS, 59) == HTTP
    nothing = fatal_problem(replace(waiting, master_problem=None), LIMITS, 59)
    assert nothing
    assert nothing.reason is Reason.NO_FIRST_SEGMENT


def test_renditions_have_their_time_from_the_first_segment_on() -> None:
    view = replace(_with(quiet_since=NOW - 60), first_at=NOW - 2, absent=["c"], well_since=NOW - 60)
    assert present_problem(view, LIMITS) is fatal_problem(view, LIMITS, 120) is None


@pytest.mark.parametrize(
    ("tally", "reason"),
    [
        (Tally("a", received=95, missed=Counter({Reason.SEGMENTS_CORRUPT: 5})), None),
        (Tally("a", received=94, missed=Counter({Reason.SEGMENTS_CORRUPT: 6})), Reason.SEGMENTS_CORRUPT),
        (Tally("a", missed=Counter({Reason.SEGMENTS_MISSED: 2, Reason.TOO_SLOW: 3})), Reason.TOO_SLOW),
        (Tally("a", received=3, download_s=6.1, durations_s=[2.0] * 3), Reason.TOO_SLOW),
        (Tally("a", received=3, download_s=5.9, durations_s=[2.0] * 3), None),
        (Tally("a"), None),
    ],
)
def test_a_whole_run_needs_95_percent_of_each_rendition_in_time(tally: Tally, reason: Reason | None) -> None:
    problem = verdict([Tally("b", received=10, declared_s=[2.0] * 10), tally])
    assert (problem.reason if problem else None) is reason
