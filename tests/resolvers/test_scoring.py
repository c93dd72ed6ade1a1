"""Scores, against values computed by hand and recorded from the original."""

from math import exp, inf, isclose, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolvers.scoring import ai_score, transcoding_score

rates = st.floats(0, 1)
seconds = st.floats(0, 1e6)


def test_a_transcoding_score_is_as_the_original_computes_it() -> None:
    assert isclose(transcoding_score(0.5, 2, 2.5).total, 0.2753355179413892, rel_tol=1e-12)
    assert isclose(transcoding_score(0.5, 2, 2.5).round_trip, 0.5506710358827784, rel_tol=1e-12)


def test_a_round_trip_of_zero_scores_nothing() -> None:
    assert transcoding_score(1, 2, 0) == (0, 0)


def test_an_ai_score_is_as_the_original_computes_it() -> None:
    assert isclose(ai_score(0.75, 5, 2.5).total, 0.65 * 0.75 + 0.35 * 0.64, rel_tol=1e-12)


def test_the_median_round_trip_scores_four_fifths() -> None:
    assert isclose(ai_score(1, 3.5, 3.5).round_trip, 0.8)


def test_an_ai_cell_without_any_success_scores_nothing() -> None:
    assert ai_score(0, 0, 2.5) == (1, 0)


@pytest.mark.parametrize("median", [None, 0.0])
def test_without_a_median_the_round_trip_scores_nothing(median: float | None) -> None:
    assert ai_score(0, 0, median) == (0, 0)


@given(rates, seconds, st.floats(0, 1e100))
def test_transcoding_scores_are_fractions(success_rate: float, seg_duration: float, round_trip: float) -> None:
    score = transcoding_score(success_rate, seg_duration, round_trip)
    assert 0 <= score.total <= score.round_trip <= 1


@given(rates, st.floats(0, 1e100), st.floats(min_value=5e-324, max_value=1e100))
def test_ai_scores_are_fractions(success_rate: float, round_trip: float, median: float) -> None:
    score = ai_score(success_rate, round_trip, median)
    assert 0 <= score.round_trip <= 1
    assert 0 <= score.total <= 1 + 1e-12
    ratio = round_trip / median
    assert score.round_trip == (0 if ratio == inf else exp(log(0.8) * ratio))
