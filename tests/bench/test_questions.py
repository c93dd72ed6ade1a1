"""What servers are asked side by side: answers in different schemas are compared by their values."""

from itertools import islice

import orjson
import pytest
from graphql import parse, validate

from bench.questions import QUESTIONS, AnswerError, Names, Question, difference, requests, rows
from schema.root import GRAPHQL_SCHEMA

Q1, Q2, Q3, Q4 = QUESTIONS
NAMES = Names({7: "0xa", 8: "0xb"}, {1: "FRA", 2: "LON"})
NO_NAMES = Names()


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.name)
def test_podium_has_what_is_asked_of_it(question: Question) -> None:
    assert not validate(GRAPHQL_SCHEMA, parse(question.podium))


def test_requests_differ_in_a_number_and_not_in_length() -> None:
    first, second = islice(requests("{ regions { code } }", {"since": "2026-11-24"}), 2)
    assert len(first) == len(second)
    head, _, body = second.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    asked, before = orjson.loads(body), orjson.loads(first.partition(b"\r\n\r\n")[2])
    assert asked["query"] == before["query"] == "{ regions { code } }"
    assert asked["variables"]["since"] == "2026-11-24"
    assert asked["variables"]["request"] == before["variables"]["request"] + 1


def test_names_of_enums_and_the_order_of_what_has_none_do_not_matter() -> None:
    podium = {"regions": [region("FRA", "AI"), region("FRA", "TRANSCODING"), region("LON", "TRANSCODING")]}
    postgraphile = {
        "regions": {"nodes": [region("FRA", "transcoding"), region("FRA", "ai"), region("LON", "transcoding")]}
    }
    found = rows(Q1, answer(podium), NO_NAMES)
    assert found[0] == ("FRA", "AI", "City")
    assert difference(found, rows(Q1, answer(postgraphile), NO_NAMES)) is None


def test_times_are_equal_however_they_are_written() -> None:
    podium, postgraphile = (
        rows(Q2, answer({"stats": {"nodes": [{"recordedAt": text, "successRate": 1}]}}), NO_NAMES)
        for text in ("2026-11-24T13:59:32.381760Z", "2026-11-24T13:59:32.38176+00:00")
    )
    assert difference(podium, postgraphile) is None


def test_the_order_of_results_matters() -> None:
    one, two = ({"recordedAt": f"2026-11-24T00:00:0{second}Z", "successRate": 1} for second in (1, 2))
    ours, theirs = (rows(Q3, answer({"stats": {"nodes": nodes}}), NO_NAMES) for nodes in ([one, two], [two, one]))
    assert "row 0" in str(difference(ours, theirs))


def test_groups_are_compared_by_names_and_by_what_both_compute() -> None:
    podium = {"nodes": [group("0xa", "LON", 0.5, 0.25), group("0xb", "FRA", 1, 0.7)]}
    postgraphile = {
        "groups": [{"keys": ["8", "1"], "average": means(1.0)}, {"keys": ["7", "2"], "average": means(0.5)}]
    }
    found = rows(Q4, answer({"aggregates": podium}), NAMES)
    assert found == [("0xa", "LON", 0.5), ("0xb", "FRA", 1)]
    assert difference(found, rows(Q4, answer({"results": postgraphile}), NAMES)) is None


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(0.5, 0.5 + 1e-12), (1, 1.0), (None, None), (True, True), ("FRA", "FRA")],
)
def test_values_that_are_the_same(ours: object, theirs: object) -> None:
    assert difference([(ours,)], [(theirs,)]) is None


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(0.5, 0.5 + 1e-6), (1, True), (0, None), (1, "1"), ("FRA", "fra")],
)
def test_values_that_are_not_the_same(ours: object, theirs: object) -> None:
    assert difference([(ours,)], [(theirs,)])


def test_missing_rows_and_values_are_differences() -> None:
    assert difference([(1,)], [(1,), (2,)]) == "row 1 is () and (2,), of 1 and 2 rows"
    assert difference([(1, 2)], [(1,)])


@pytest.mark.parametrize(
    "content",
    [
        b'{"data": {"regions": []}, "errors": [{"message": "no"}]}',
        b"Internal Server Error",
        b'{"message": "no"}',
        b"[]",
    ],
)
def test_what_is_no_answer_is_shown(content: bytes) -> None:
    with pytest.raises(AnswerError, match="no"):
        rows(Q1, content, NO_NAMES)


def answer(data: object) -> bytes:
    """The body of an answer without errors."""
    return orjson.dumps({"data": data})


def region(code: str, job_type: str) -> dict[str, str]:
    """A region as a schema shows it."""
    return {"code": code, "jobType": job_type, "name": "City"}


def group(address: str, code: str, success_rate: float, score: float) -> dict[str, object]:
    """A group as podium shows it."""
    names = {"orchestrator": {"address": address}, "region": {"code": code}}
    return {**names, "successRate": success_rate, "score": score}


def means(success_rate: float) -> dict[str, float]:
    """What PostGraphile computes of a group."""
    return {"successRate": success_rate, "roundTripTime": 0.3}
