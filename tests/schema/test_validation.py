"""Documents that are made to keep a server busy: read soon, whatever they are, and refused with a reason."""

from dataclasses import replace

import pytest
from graphql import DocumentNode, GraphQLError, parse, validate

from schema.limits import Limits
from schema.root import GRAPHQL_SCHEMA
from schema.validation import DocumentReader
from tests.harness import Running, calls_of

LIMITS = Limits()
READER = DocumentReader(GRAPHQL_SCHEMA, limits=LIMITS, introspection=True)
FILL = 1 << 16
# What reading a document may take at most: calls of functions, some 50 ms of them.
MAX_CALLS = 600_000


def numbered(count: int, text: str) -> str:
    return " ".join(text.replace("#", str(i)) for i in range(count))


def in_all(before: str, fill: str, after: str) -> str:
    """A document that is filled up to the length that is allowed."""
    return before + fill * ((FILL - len(before + after)) // len(fill)) + after


def many_lines(document: str) -> str:
    """A document that begins late, so that each error looks for its line."""
    return "\n" * (4999 - document.count("\n")) + document


EQUAL = " stats { nodes { orchestrator { address } } }"
LONG = "AggregateConnectionOrchestratorFilter"
HOSTILE = {
    "equal fields": "{" + " regions { code }" * 248 + "}",
    "equal leaves": "{" + " __typename" * 990 + "}",
    "equal fields, nested": "{" + EQUAL * 90 + "}",
    "equal fields in equal fields": "{" + (" regions {" + " code" * 27 + "}") * 33 + "}",
    "equal fields of a subscription": "subscription {" + " statRecorded { id }" * 240 + "}",
    "a conflict at the end": "{" + " regions { code }" * 245 + " regions(jobType: AI) { code } }",
    "a conflict at the end, nested": "{" + EQUAL * 85 + " stats { nodes { orchestrator { address: id } } } }",
    "conflicts only": "{" + numbered(100, "stats(first: #) { totalCount }") + "}",
    "conflicts, late": many_lines("{" + numbered(100, "stats(first: #) { totalCount }") + "}"),
    "fragments side by side": "{" + numbered(110, "...F#") + "}" + numbered(110, "fragment F# on Query { __typename }"),
    "operations times fragments": numbered(70, "query Q# { ...F0 }")
    + "".join(f" fragment F{i} on Query {{ ...F{i + 1} }}" for i in range(70))
    + " fragment F70 on Query { __typename }",
    "operations times variables": numbered(45, "query Q#($a: Int) { ...F }")
    + " fragment F on Query { stats(filter: { region: { in: ["
    + "$a " * 200
    + "] } }) { totalCount } }",
    "cycles": "{ ...F0 }" + numbered(18, " fragment F# on Query { " + numbered(18, "...F#") + " }"),
    "inline fragments": "{ node(id: 1) {" + " ... on Stat { id } ... on Region { id }" * 80 + "} }",
    "unknown fields": "{" + numbered(200, "orchestratorz#") + "}",
    "unknown fields, late": many_lines("{" + numbered(200, "a#") + "}"),
    "unknown types": "{" + numbered(150, f"... on {LONG}# {{ a }}") + "}",
    "unknown types, long": "{" + numbered(150, f"... on {LONG * 11}# {{ a }}") + "}",
    "unknown arguments": "{ stats(" + numbered(150, "orderBx#: 1") + ") { totalCount } }",
    "unknown input fields": "{ stats(filter: {" + numbered(300, "roundTripTimz#: 1") + "}) { totalCount } }",
    "unknown enum values": "{" + numbered(14, "a#: aggregates(orderBy: SAMPLES_DESX#) { totalCount }") + "}",
    "long names": "{" + numbered(990, "a" * 60 + "#") + "}",
    "one long name": in_all("{ ", "a", " }"),
    "operations of one name, late": many_lines(" ".join(["query Q { __typename }"] * 190)),
    "variables of one name, late": many_lines("query (" + "$v: Int " * 240 + ") { __typename }"),
    "nested lists": "{ stats(filter: " + "[" * 190 + "1" + "]" * 190 + ") { totalCount } }",
    "nested objects": "{ stats(filter: " + "{a:" * 180 + "1" + "}" * 180 + ") { totalCount } }",
    "wrong values": in_all("{ stats(filter: { region: { in: [", "1" * 66 + " ", "] } }) { totalCount } }"),
    "a long integer": in_all("{ stats(first: ", "1", ") { totalCount } }"),
    "a long number": in_all("{ stats(filter: { successRate: { max: 0.", "1", "} }) { totalCount } }"),
    "a long string": in_all('{ node(id: "', "a", '") { id } }'),
    "a string of escapes": in_all('{ node(id: "', "\\n", '") { id } }'),
    "a block string": in_all('{ node(id: """', "a" * 15 + "\n", '""") { id } }'),
    "a string without end": in_all('{ node(id: "', "a", ""),
    "a long duration": in_all('{ stats(filter: { during: { last: "', "1h", '" } }) { totalCount } }'),
    "a long enum value": in_all('{ aggregates(orderBy: "', "a", '") { totalCount } }'),
    "a long comment": in_all("{ __typename #", "a", "\n}"),
    "short comments": in_all("{ __typename ", "#" * 14 + "\n", "}"),
    "commas": in_all("", ",", "{ __typename }"),
}


def read(document: str, limits: Limits = LIMITS) -> list[GraphQLError]:
    return DocumentReader(GRAPHQL_SCHEMA, limits=limits, introspection=True).read(document)[1]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_document_is_read_soon(name: str) -> None:
    assert len(HOSTILE[name]) <= FILL
    assert calls_of(lambda: READER.read(HOSTILE[name])) < MAX_CALLS


@pytest.mark.parametrize("name", [name for name in HOSTILE if name.startswith("equal")])
def test_what_is_only_long_is_valid(name: str) -> None:
    document, errors = READER.read(HOSTILE[name])
    assert isinstance(document, DocumentNode)
    assert errors == []


@pytest.mark.parametrize(
    "query",
    [
        "{ regions { code } regions(jobType: AI) { code } }",
        "{ stats { nodes { x: id } } stats { nodes { x: jobType } } }",
        "{ a: regions { x } a: b }",
    ],
)
def test_conflicts_are_told_in_graphql_cores_words(query: str) -> None:
    expected = validate(GRAPHQL_SCHEMA, parse(query))
    assert any("conflict because" in error.message for error in expected)
    assert sorted(error.message for error in read(query)) == sorted(error.message for error in expected)


def test_too_many_overlaps_with_a_conflict_are_refused() -> None:
    (error,) = read(HOSTILE["a conflict at the end"])
    assert error.message == "Too many fields overlap to tell which ones conflict."
    assert error.extensions == {"code": "TOO_COMPLEX"}


def test_there_are_no_more_errors_than_may_be() -> None:
    assert len(read("{" + numbered(100, "a#") + "}")) == 20
    assert len(read("{" + numbered(100, "a#") + "}", replace(LIMITS, max_errors=3))) == 3


@pytest.mark.parametrize(
    ("document", "extensions"),
    [
        ("{ __typename }" + " " * FILL, {"limit": "maxDocumentLength", "allowed": FILL, "actual": FILL + 14}),
        ("{ __typename }" + "\r\n" * 5000, {"limit": "maxLines", "allowed": 5000, "actual": 5001}),
        ("{ __typename }" + "\r" * 5000, {"limit": "maxLines", "allowed": 5000, "actual": 5001}),
        ("{" + " a" * 1000 + "}", {"limit": "maxTokens", "allowed": 1000}),
        ("{" + " ... {" * 300 + "a" + "}" * 301, {}),
    ],
)
def test_what_is_too_large_to_be_parsed_is_refused_for_that(document: str, extensions: dict[str, object]) -> None:
    (error,) = read(document)
    assert error.extensions == {"code": "TOO_COMPLEX", **extensions}


def test_comments_are_no_tokens() -> None:
    assert read("{ __typename" + " # again and again\n" * 2000 + "}") == []


async def test_variables_have_a_bound(running: Running) -> None:
    query = "query ($f: StatFilter) { stats(filter: $f) { totalCount } }"
    many = {"region": {"in": ["FRA"] * 49_998}}
    (error,) = (await running.answer(query, f=many))["errors"]
    assert error["extensions"] == {"code": "TOO_COMPLEX", "limit": "maxVariableValues", "allowed": 50_000}
    many["region"]["in"].pop()
    (error,) = (await running.answer(query, f=many))["errors"]
    assert error["extensions"]["code"] == "INVALID_ARGUMENT"
