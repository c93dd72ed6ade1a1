"""What servers are asked side by side: four questions in podium's schema and in PostGraphile's, and their answers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count, zip_longest
from math import isclose
from typing import Any

import orjson

from bench.load import post_request

FIRST_NUMBER = 1_000_000_000  # of as many digits as all that follow, so that all requests have one length
TIMES, ENUMS = {"recordedAt"}, {"jobType"}  # each schema writes these in its own way
TOLERANCE = 1e-9  # means are sums in another order
SCALARS = (
    "recordedAt successRate roundTripTime segDuration segmentsSent segmentsReceived "
    "uploadTime downloadTime transcodeTime modelIsWarm"
)
SHOWN_BYTES = 500
NEWEST = "orderBy: [RECORDED_AT_DESC, ROW_ID_DESC]"

Row = tuple[Any, ...]


class AnswerError(Exception):
    """A server does not answer, or not as the others do: nothing that they do can be compared."""


@dataclass(frozen=True, slots=True)
class Question:
    """A name, what its rows are, and its document for podium's schema and for PostGraphile's.

    The first `compared` values of a row must be the same everywhere, and the order of rows where there is one.
    """

    name: str
    rows: str
    podium: str
    postgraphile: str
    has_window: bool = False
    has_order: bool = True
    compared: int | None = None


QUESTIONS = (
    Question(
        "Q1",
        "regions",
        "query Q1 { regions { code jobType name } }",
        "query Q1 { regions: allRegions(orderBy: CODE_ASC) { nodes { code jobType name } } }",
        has_order=False,
    ),
    Question(
        "Q2",
        "results with 10 fields",
        f"query Q2 {{ stats(first: 1000) {{ nodes {{ {SCALARS} }} }} }}",
        f"query Q2 {{ stats: allResults(first: 1000, {NEWEST}) {{ nodes {{ {SCALARS} }} }} }}",
    ),
    Question(
        "Q3",
        "results, each with its region",
        "query Q3 { stats(first: 100) { nodes { recordedAt successRate roundTripTime region { code name } } } }",
        f"query Q3 {{ stats: allResults(first: 100, {NEWEST}) {{ nodes {{ "
        "recordedAt successRate roundTripTime region: regionByRegionId { code name } } } }",
    ),
    Question(
        "Q4",
        "groups by orchestrator and region, 24 h",
        "query Q4($since: DateTime!, $until: DateTime!) { aggregates(first: 1000, groupBy: [ORCHESTRATOR, REGION], "
        "filter: {jobType: TRANSCODING, during: {since: $since, until: $until}}) "
        "{ nodes { orchestrator { address } region { code } successRate score } } }",
        "query Q4($since: Datetime!, $until: Datetime!) { results: allResults(filter: {modelId: {isNull: true}, "
        "recordedAt: {greaterThanOrEqualTo: $since, lessThanOrEqualTo: $until}}) "
        "{ groups: groupedAggregates(groupBy: [ORCHESTRATOR_ID, REGION_ID]) "
        "{ keys average { successRate roundTripTime } } } }",
        has_window=True,
        has_order=False,
        compared=3,
    ),
)


@dataclass(frozen=True, slots=True)
class Names:
    """The addresses and codes of the ids that PostGraphile groups by."""

    orchestrators: Mapping[int, str] = field(default_factory=dict)
    regions: Mapping[int, str] = field(default_factory=dict)


def requests(document: str, variables: Mapping[str, Any]) -> Iterator[bytes]:
    """The same request for ever, each with another value of a variable that the document does not declare."""
    body = {"query": document, "variables": {**variables, "request": FIRST_NUMBER}}
    before, _, after = post_request("/graphql", orjson.dumps(body)).rpartition(b"%d" % FIRST_NUMBER)
    for number in count(FIRST_NUMBER):
        yield b"%b%d%b" % (before, number, after)


def rows(question: Question, answer: bytes, names: Names) -> list[Row]:
    """The rows of an answer in a form that does not depend on the schema; AnswerError when it reports errors."""
    value = _data(answer)
    while isinstance(value, Mapping):
        (value,) = value.values()
    found = [_named(tuple(_leaves(node)), names)[: question.compared] for node in value]
    return found if question.has_order else sorted(found, key=lambda row: row[:2])


def difference(ours: list[Row], theirs: list[Row]) -> str | None:
    """Where rows differ first; None when they are the same."""
    for number, (our, their) in enumerate(zip_longest(ours, theirs, fillvalue=())):
        if len(our) != len(their) or not all(map(_is_same, our, their)):
            return f"row {number} is {our} and {their}, of {len(ours)} and {len(theirs)} rows"
    return None


def _data(answer: bytes) -> Any:
    try:
        decoded = orjson.loads(answer)
        if "errors" not in decoded:
            return decoded["data"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        pass
    raise AnswerError(f"no answer, but {answer[:SHOWN_BYTES].decode(errors='replace')}")


def _is_same(our: Any, their: Any) -> bool:
    if {type(our), type(their)} <= {int, float}:
        return isclose(our, their, rel_tol=TOLERANCE)
    return type(our) is type(their) and bool(our == their)


def _leaves(value: Any, field: str = "") -> Iterator[Any]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _leaves(item, name)
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    else:
        yield datetime.fromisoformat(value) if field in TIMES else value.upper() if field in ENUMS else value


def _named(row: Row, names: Names) -> Row:
    # Only the keys of groups are digits in a string.
    if not (isinstance(row[0], str) and row[0].isdigit()):
        return row
    return (names.orchestrators[int(row[0])], names.regions[int(row[1])], *row[2:])
