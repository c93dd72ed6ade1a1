"""Aggregates by interval: what is told, and when."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from resolvers.telemetry import intervals
from resolvers.telemetry.intervals import Aggregate, AggregateType, Intervals, Weight, measured
from resolvers.telemetry.live_rows import LogRows

START = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def log(ts_s: float, time: Any, *, stored_s: float | None = None, **said: Any) -> Any:
    """A log of so many seconds after the start, stored then unless something else is said."""
    message = orjson.dumps({"msg": "m", "time": time, "name": "n", "target": "t", **said}).decode()
    return SimpleNamespace(ts=at(ts_s), stored_at=at(ts_s if stored_s is None else stored_s), message=message)


def collecting(
    type_: AggregateType = AggregateType.MEAN, interval_s: int = 10, weight: Weight | None = None
) -> Intervals:
    return Intervals(Aggregate(type_, interval_s), weight or Weight())


def told(collected: Intervals, now_s: float | None) -> list[tuple[str, int]]:
    """The seconds of the intervals that are over, and their times."""
    rows = [orjson.loads(row) for row in collected.over(None if now_s is None else at(now_s))]
    return [(row["created_at"].removeprefix("2026-01-01T00:"), row["time"]) for row in rows]


@pytest.mark.parametrize(
    ("type_", "values", "result"),
    [
        (AggregateType.MEAN, [1, 2, 2], 1),
        (AggregateType.MEAN, [-1, -2, -2], -1),
        (AggregateType.MIN, [5, 3, 9], 3),
        (AggregateType.MAX, [5, 3, 9], 9),
        (AggregateType.MEDIAN, [9, 1, 5, 7], 7),
        (AggregateType.MEDIAN, [4], 4),
        (AggregateType.PERCENTILE90, list(range(10, 0, -1)), 10),
        (AggregateType.PERCENTILE90, list(range(1, 10)), 9),
        (AggregateType.MEAN, [2**63 - 1, 2**63 - 1], 2**63 - 1),
        (AggregateType.MEDIAN, [-(2**63)], -(2**63)),
    ],
)
def test_an_aggregate_is_a_whole_number(type_: AggregateType, values: list[int], result: int) -> None:
    collected = collecting(type_)
    collected.add(measured(LogRows([log(1, value) for value in values])))
    assert told(collected, 60) == [("00:00", result)]


def test_an_interval_is_told_when_a_later_one_has_begun() -> None:
    collected = collecting()
    collected.add(measured(LogRows([log(1, 2), log(9.9, 4)])))
    assert told(collected, 9.9) == []
    collected.add(measured(LogRows([log(10, 6)])))
    assert told(collected, 10) == [("00:00", 3)]
    collected.add(measured(LogRows([log(30, 8)])))
    assert told(collected, None) == [("00:10", 6)]


def test_an_interval_is_told_a_moment_after_its_end() -> None:
    collected = collecting()
    collected.add(measured(LogRows([log(1, 2)])))
    assert told(collected, 11.9) == []
    assert told(collected, 12) == [("00:00", 2)]
    assert told(collected, 100) == []


@pytest.mark.parametrize("wrong_by_s", [-86_400 * 365, -5, 5, 86_400 * 365])
def test_the_end_is_by_the_clock_of_the_node(wrong_by_s: float) -> None:
    collected = collecting()
    collected.add(measured(LogRows([log(2, 2, stored_s=3 - wrong_by_s), log(3, 4, stored_s=3 - wrong_by_s)])))
    assert told(collected, 11.9 - wrong_by_s) == []
    assert told(collected, 12 - wrong_by_s) == [("00:00", 3)]


def test_what_was_stored_before_is_told_by_what_comes_later_alone() -> None:
    collected = collecting()
    for second in (1, 11, 12, 21):
        collected.add(measured(LogRows([log(second, second)])))
    assert told(collected, None) == [("00:00", 1), ("00:10", 11)]


def test_what_comes_late_is_a_further_row_of_its_interval() -> None:
    collected = collecting()
    collected.add(measured(LogRows([log(1, 2), log(11, 3)])))
    assert told(collected, 11) == [("00:00", 2)]
    collected.add(measured(LogRows([log(2, 7, stored_s=12)])))
    assert told(collected, 12) == []
    assert told(collected, 23) == [("00:00", 7), ("00:10", 3)]


def test_a_clock_that_is_wrong_once_does_no_lasting_harm() -> None:
    collected = collecting()
    collected.add(measured(LogRows([log(1, 2), log(1e9, 9, stored_s=1)])))
    assert told(collected, 1) == [("00:00", 2)]
    collected.add(measured(LogRows([log(11, 3), log(12, 5)])))
    assert told(collected, 12) == []
    assert told(collected, 22.1)[0] == ("00:10", 4)


def test_each_target_and_name_has_a_row() -> None:
    collected = collecting()
    rows = [log(1, 1), log(1, 3), log(1, 5, name="o"), log(1, 7, target=None), log(1, 9, name=7)]
    collected.add(measured(LogRows(rows)))
    found = [orjson.loads(row) for row in collected.over(at(60))]
    assert [(row["target"], row["name"], row["time"]) for row in found] == [
        (None, "n", 7),
        ("t", "7", 9),
        ("t", "n", 2),
        ("t", "o", 5),
    ]
    assert found[0] == {"created_at": "2026-01-01T00:00:00", "name": "n", "target": None, "time": 7, "values": ""}


@pytest.mark.parametrize("time", ["12", "+12", 12, 12.0, "012"])
def test_a_time_is_a_number_or_a_text(time: Any) -> None:
    assert [found.value for found in measured(LogRows([log(1, time)]))] == [12]


@pytest.mark.parametrize(
    "time", ["", "x", "1.5", 1.5, None, True, [1], {}, 2**63, str(2**63), "9" * 400, 1e300, "\u0661"]
)
def test_what_is_no_whole_number_is_left_out(time: Any) -> None:
    assert measured(LogRows([log(1, time)])) == []


def test_a_message_that_nobody_else_can_read_is_left_out() -> None:
    row = log(1, 1)
    row.message = '{"time": 1, "huge": 1' + "0" * 5000 + "}"
    nested = log(1, 1)
    nested.message = '{"time": 1, "deep": ' + "[" * 5000 + "]" * 5000 + "}"
    wrapped = log(1, 1)
    wrapped.message = '{"id": 1, "payload": {"msg": "m", "time": 5}}'
    assert [found.value for found in measured(LogRows([nested, wrapped, row]))][:1] == [5]


@pytest.mark.parametrize("ts", [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)])
def test_the_first_and_the_last_time_have_intervals_too(ts: datetime) -> None:
    row = log(1, 5)
    row.ts = ts
    collected = collecting(interval_s=10**9)
    collected.add(measured(LogRows([row])))
    collected.add(measured(LogRows([log(1, 1)])))
    assert [orjson.loads(row)["time"] for row in collected.over(at(1e12 / 1e4))]


def test_a_socket_keeps_so_much_and_tells_the_rest_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intervals, "MAX_WEIGHT", 200)
    weight = Weight()
    one, other = collecting(AggregateType.MEDIAN, weight=weight), collecting(AggregateType.MEDIAN, weight=weight)
    one.add(measured(LogRows([log(1, 5)] * 50)))
    assert told(one, 2) == []
    other.add(measured(LogRows([log(1, 7)] * 50)))
    assert told(other, 2) == [("00:00", 7)]
    assert told(one, 2) == []
    one.close()
    assert weight.total == 0
