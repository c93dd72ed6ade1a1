"""How large a document may be."""

from time import perf_counter

import pytest
from graphql import parse

from schema.limits import check_limits
from tests.harness import Running


def excesses(document: str) -> list[str]:
    return [error.message for error in check_limits(parse(document))]


def test_a_usual_document_passes() -> None:
    assert excesses("{ stats(first: 1) { nodes { orchestrator { address } } } }") == []


@pytest.mark.parametrize(
    ("document", "what"),
    [
        ("{ a " * 11 + "}" * 11, "depth is 11"),
        ("{ " + "__schema { " * 1 + "a { " * 15 + "b" + "}" * 17, "introspection depth is 17"),
        ("{ " + " ".join(f"a{i}: b" for i in range(16)) + " }", "number of aliases is 16"),
        ("{ a " + "@skip(if: false) " * 51 + "}", "number of directives is 51"),
        ("query " + "@a " * 51 + "{ a }", "number of directives is 51"),
        ("{ ...F } fragment F on Query { x: a ...G } fragment G on Query { " + "y: b " * 15 + "}", "aliases is 16"),
        ("{ a { b { ...F } } } fragment F on T { " + "c { " * 9 + "d" + " }" * 10, "depth is 12"),
    ],
)
def test_what_is_too_large_is_named(document: str, what: str) -> None:
    (message,) = excesses(document)
    assert what in message


def test_every_operation_is_measured() -> None:
    deep = "{ a " * 11 + "}" * 11
    assert len(excesses(f"query A {deep} query B {deep}")) == 2


def test_fragments_that_spread_each_other_twice_are_measured_at_once() -> None:
    bomb = "{ ...F0 } " + " ".join(
        f"fragment F{i} on T {{ x: a {{ ...F{i + 1} }} y: a {{ ...F{i + 1} }} }}" for i in range(20)
    )
    began = perf_counter()
    messages = excesses(bomb + " fragment F20 on T { b }")
    assert perf_counter() - began < 0.05
    assert any("aliases is 2097150" in message for message in messages)


def test_a_fragment_that_spreads_itself_ends() -> None:
    assert excesses("{ ...F } fragment F on T { a ...F }") == []


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        ("{ x: stats(first: -100000) @skip(if: true) { nodes { id } } stats(first: 1000) { nodes { @FIELDS } } }", {}),
        ("query ($n: Int) { stats(first: $n) { nodes { @FIELDS } } }", {"n": 1000.0}),
        ("query ($n: Int = 1000) { stats(last: $n) { nodes { @FIELDS } } }", {}),
        ("{ series(bucket: DAY) { points { roundTripTime { p50 } uploadTime { p50 } @TIMES } } }", {}),
    ],
)
async def test_what_is_too_dear_is_refused_however_it_is_said(
    running: Running, query: str, variables: dict[str, float]
) -> None:
    fields = {"@FIELDS": "orchestrator { id } region { id } errors { errorCode }"}
    fields |= {"@TIMES": "downloadTime { p50 } transcodeTime { p50 }"}
    for name, text in fields.items():
        query = query.replace(name, text)
    (error,) = (await running.answer(query, **variables))["errors"]
    assert error["extensions"]["code"] == "TOO_COMPLEX"


async def test_the_series_of_a_request_have_a_bound_together(running: Running) -> None:
    one = 'series(bucket: FIVE_MINUTES, filter: { during: { last: "20d" } }) { label }'
    (error,) = (await running.answer(f"{{ a: {one} b: {one} }}"))["errors"]
    assert error["extensions"] == {"code": "INVALID_ARGUMENT", "field": "bucket"}
