"""Leaderboards: ranks, changes and the bound against luck."""

from dataclasses import replace
from datetime import timedelta
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.pool import Database
from resolvers.aggregation import Dimension
from resolvers.filters import StatFilter, Window
from resolvers.results import Result
from resolvers.standings import RankedBy, standings, window_before
from tests.resolvers.conftest import EXAMPLES, Record
from tests.resolvers.plain import NOW, Recorded, groups, matches, records

DAY = timedelta(days=1)
WEEK = StatFilter(Window(NOW - DAY, NOW), job_type="transcoding")


def wilson(share: float, samples: int) -> float:
    """The lower root of (p - share)^2 = z^2 p (1 - p) / samples, which is what the interval is made of."""
    z2 = 1.959963984540054**2
    a, b, c = 1 + z2 / samples, -(2 * share + z2 / samples), share * share
    return (-b - sqrt(max(b * b - 4 * a * c, 0))) / (2 * a)


@EXAMPLES
@given(found=records, job_type=st.sampled_from(("ai", "transcoding")), ranked_by=st.sampled_from(RankedBy))
async def test_standings_equal_a_plain_computation(
    db: Database, record: Record, found: list[Recorded], job_type: str, ranked_by: RankedBy
) -> None:
    await record(found)
    windows = [
        Window(NOW - DAY, NOW),
        Window(NOW - 2 * DAY - timedelta(microseconds=1), NOW - DAY - timedelta(microseconds=1)),
    ]
    scores, values = [], []
    for window in windows:
        wanted = [one for one in found if matches(one, StatFilter(window, job_type))]
        plain = groups(wanted, wanted, (Dimension.ORCHESTRATOR,))
        scores.append({key[0]: group for (_, key), group in plain.items()})
        bound = {o: wilson(min(g["score"], 1), g["samples"]) for o, g in scores[-1].items()}
        chosen = bound if ranked_by is RankedBy.LOWER_BOUND else {o: g["score"] for o, g in scores[-1].items()}
        values.append({o: round(value, 12) for o, value in chosen.items()})

    def rank(orchestrator: str, among: dict[str, float]) -> int:
        return 1 + sum(value > among[orchestrator] for value in among.values())

    answer = await standings(db.read, StatFilter(windows[0], job_type), ranked_by, NOW)
    assert {s.orchestrator: s.rank for s in answer} == {o: rank(o, values[0]) for o in values[0]}
    assert [(s.rank, s.orchestrator) for s in answer] == sorted((s.rank, s.orchestrator) for s in answer)
    for one in answer:
        now, before = scores[0][one.orchestrator], scores[1].get(one.orchestrator)
        assert one.score == pytest.approx(now["score"], rel=1e-9, abs=1e-280)
        assert one.lower_bound == pytest.approx(wilson(min(now["score"], 1), now["samples"]), abs=1e-9)
        assert one.samples == now["samples"]
        if before is None:
            assert (one.rank_change, one.score_change) == (None, None)
        else:
            assert one.rank_change == rank(one.orchestrator, values[1]) - one.rank
            assert one.score_change == pytest.approx(now["score"] - before["score"], abs=1e-9)


async def test_one_lucky_result_does_not_win(db: Database, record: Record) -> None:
    lucky = Recorded(Result("FRA", "0xa", 1.0, 0.01, seg_duration=2.0), NOW)
    steady = [Recorded(Result("FRA", "0xb", 1.0, 0.5, seg_duration=2.0), NOW) for _ in range(200)]
    await record([lucky, *steady])
    by_score = await standings(db.read, WEEK, RankedBy.SCORE, NOW)
    by_bound = await standings(db.read, WEEK, RankedBy.LOWER_BOUND, NOW)
    assert [one.orchestrator for one in by_score] == ["0xa", "0xb"]
    assert [one.orchestrator for one in by_bound] == ["0xb", "0xa"]
    assert by_bound[1].lower_bound == pytest.approx(1 / (1 + 1.959963984540054**2))
    assert by_bound[0].lower_bound > 0.95


async def test_equal_ones_share_a_rank(db: Database, record: Record) -> None:
    rates = {"0xa": 1.0, "0xb": 0.5, "0xc": 0.5, "0xd": 0.1}
    await record([Recorded(Result("FRA", o, rate, 1.0, seg_duration=1.0), NOW) for o, rate in rates.items()])
    answer = await standings(db.read, WEEK, RankedBy.SCORE, NOW)
    assert [(one.rank, one.orchestrator) for one in answer] == [(1, "0xa"), (2, "0xb"), (2, "0xc"), (4, "0xd")]


async def test_a_window_without_an_end_is_compared_as_one_that_ends_now(db: Database, record: Record) -> None:
    await record([Recorded(Result("FRA", "0xa", 1.0, 1.0, seg_duration=1.0), NOW - 1.5 * DAY)] * 2)
    open_ended = replace(WEEK, window=Window(NOW - DAY))
    assert await standings(db.read, open_ended, RankedBy.SCORE, NOW) == []
    assert await standings(db.read, open_ended, RankedBy.SCORE, NOW) == await standings(
        db.read, WEEK, RankedBy.SCORE, NOW
    )


def test_there_is_no_window_before_the_beginning() -> None:
    assert window_before(Window(None, NOW)) is None
    assert window_before(Window(NOW, NOW - DAY)) is None
    assert window_before(Window(NOW - timedelta(days=700_000), NOW)) is None
