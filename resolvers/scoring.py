"""Scores: functions of a cell's mean success rate and round trip, as the original leaderboard computes them.

All rates and scores are fractions, all times seconds.
"""

from math import exp, log
from typing import NamedTuple

_AI_WEIGHT_SUCCESS = 0.65
_AI_WEIGHT_ROUND_TRIP = 0.35
_AI_SCORE_AT_MEDIAN = 0.8


class Score(NamedTuple):
    """How good a cell is: `total` combines the success rate with `round_trip`."""

    round_trip: float
    total: float


def transcoding_score(success_rate: float, seg_duration: float, round_trip_time: float) -> Score:
    """Real time counts: 1 - e^(-segment duration / round trip), 0 for a round trip of 0, times the success rate."""
    round_trip = 1 - exp(-seg_duration / round_trip_time) if round_trip_time else 0.0
    return Score(round_trip, success_rate * round_trip)


def ai_score(success_rate: float, round_trip_time: float, median: float | None) -> Score:
    """Others count: 0.8 at the median round trip of the model's successful results, more below it.

    0 where the model has no median, that is no successful result; the total is 0 without any success.
    """
    round_trip = exp(log(_AI_SCORE_AT_MEDIAN) * (round_trip_time / median)) if median else 0.0
    total = _AI_WEIGHT_SUCCESS * success_rate + _AI_WEIGHT_ROUND_TRIP * round_trip if success_rate else 0.0
    return Score(round_trip, total)
