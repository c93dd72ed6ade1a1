"""How large a document may be, and how what it costs is counted."""

import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest
from graphql import (
    DocumentNode,
    GraphQLError,
    OperationDefinitionNode,
    build_schema,
    get_introspection_query,
    parse,
    validate,
)

from schema.cost import MAX_COMBINATIONS, OperationCost
from schema.limits import Limits, check_limits
from schema.root import GRAPHQL_SCHEMA
from tests.harness import Running, StartGateway, calls_of

PAGE = (Path(__file__).parents[2] / "docs" / "graphql.md").read_text(encoding="utf-8")
COST_ROW = re.compile(r"^\| `(.+)` \| (\d+) \|", re.MULTILINE)
LIMITS = Limits()
UNLIMITED = Limits(**{field.name: None for field in fields(Limits) if field.name != "max_errors"})
LISTS = build_schema("""
  interface Node { a(first: Int): Page b(first: Int): Page }
  type Item implements Node { a(first: Int): Page b(first: Int): Page id: ID list: [Item] }
  type Page { nodes: [Item!]! total: Int }
  type Query { a(first: Int): Page b(first: Int): Page item: Item }
""")


class Figure(NamedTuple):
    """What an error says of a limit."""

    limit: str
    allowed: int
    actual: int


def excesses(document: str, limits: Limits = LIMITS) -> list[Figure]:
    return [figure(error) for error in check_limits(parse(document), limits)]


def figure(error: GraphQLError) -> Figure:
    extensions = dict(error.extensions or {})
    assert extensions.pop("code") == "TOO_COMPLEX"
    assert str(extensions["actual"]) in error.message
    assert str(extensions["allowed"]) in error.message
    return Figure(**extensions)


def operation_of(document: DocumentNode) -> OperationDefinitionNode:
    return next(node for node in document.definitions if isinstance(node, OperationDefinitionNode))


def cost(query: str, variables: dict[str, Any] | None = None, schema: Any = LISTS) -> int:
    document = parse(query)
    assert validate(schema, document) == []
    return OperationCost(schema, document, operation_of(document)).objects(variables)


def test_a_usual_document_passes() -> None:
    assert excesses("{ stats(first: 1) { nodes { orchestrator { address } } } }") == []


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ("{ a " * 11 + "}" * 11, Figure("maxDepth", 10, 11)),
        ("{ __schema { " + "a { " * 15 + "b" + "}" * 17, Figure("maxIntrospectionDepth", 15, 17)),
        ("{ " + " ".join(f"a{i}: b" for i in range(16)) + " }", Figure("maxAliases", 15, 16)),
        ("{ a " + "@skip(if: false) " * 51 + "}", Figure("maxDirectives", 50, 51)),
        ("query " + "@a " * 51 + "{ a }", Figure("maxDirectives", 50, 51)),
        ("query ($x: Int" + " @a" * 51 + ") { a }", Figure("maxDirectives", 50, 51)),
        ("{ ...F ...F } fragment F on T " + "@a " * 26 + "{ a }", Figure("maxDirectives", 50, 52)),
        (
            "{ ...F } fragment F on Query { x: a ...G } fragment G on Query { " + "y: b " * 15 + "}",
            Figure("maxAliases", 15, 16),
        ),
        ("{ a { b { ...F } } } fragment F on T { " + "c { " * 9 + "d" + " }" * 10, Figure("maxDepth", 10, 12)),
    ],
)
def test_what_is_too_large_is_named_with_its_figures(document: str, expected: Figure) -> None:
    assert excesses(document) == [expected]


@pytest.mark.parametrize("name", ["depth", "introspection_depth", "aliases", "directives"])
def test_each_limit_can_be_set_and_switched_off(name: str) -> None:
    document = "{ x: a @skip(if: false) { b @skip(if: false) { c } } y: __schema { d { e } } }"
    camel = "max" + name.title().replace("_", "")
    sizes = {"depth": 3, "introspection_depth": 3, "aliases": 2, "directives": 2}
    at_limit = replace(UNLIMITED, **{f"max_{name}": sizes[name]})
    assert excesses(document, UNLIMITED) == excesses(document, at_limit) == []
    (found,) = excesses(document, replace(UNLIMITED, **{f"max_{name}": sizes[name] - 1}))
    assert found == Figure(camel, sizes[name] - 1, sizes[name])


def test_every_operation_is_measured() -> None:
    deep = "{ a " * 11 + "}" * 11
    assert len(excesses(f"query A {deep} query B {deep}")) == 2


def test_a_fragment_that_spreads_itself_ends() -> None:
    assert excesses("{ ...F } fragment F on T { a ...F }") == []


def test_figures_beyond_what_json_can_hold_are_cut() -> None:
    document = "{ ...F0 } " + "".join(f"fragment F{i} on T {{ ...F{i + 1} ...F{i + 1} }} " for i in range(80))
    assert excesses(document + "fragment F80 on T { x: a }") == [Figure("maxAliases", 15, 2**53 - 1)]


# Fragments that each spread the next twice: what a naive count takes 2^n steps for.
BOMBS = {
    "as they are": "...NEXT ...NEXT",
    "below inline fragments": "... on Item { ...NEXT } ... { ...NEXT }",
    "below one field": "a { nodes { ...NEXT } } a { nodes { ...NEXT } }",
    "below different fields": "a { nodes { ...NEXT } } b { nodes { ...NEXT } }",
    "below different pages": "x: a(first: SIZE) { nodes { ...NEXT } } list { ...NEXT }",
    "and the one after it": "a { nodes { ...NEXT } } list { ...AFTER }",
}


def bomb(name: str, levels: int) -> DocumentNode:
    fragments = [
        f"fragment F{i} on Item {{ {BOMBS[name]} }}".replace("NEXT", f"F{i + 1}")
        .replace("AFTER", f"F{min(i + 2, levels)}")
        .replace("SIZE", str(i))
        for i in range(levels)
    ]
    return parse(f"{{ item {{ ...F0 }} }} {' '.join(fragments)} fragment F{levels} on Item {{ id }}")


def pages(levels: int) -> DocumentNode:
    """Fragments in a chain, which many pages of different sizes begin."""
    roots = " ".join(f"... {{ a(first: {i}) {{ ...F0 }} }}" for i in range(levels))
    chain = " ".join(f"fragment F{i} on Page {{ nodes {{ id }} ...F{i + 1} }}" for i in range(levels))
    return parse(f"{{ {roots} }} {chain} fragment F{levels} on Page {{ total }}")


@pytest.mark.parametrize("name", BOMBS)
def test_every_bomb_is_measured_and_counted_in_proportion_to_its_text(name: str) -> None:
    def work(levels: int) -> int:
        document = bomb(name, levels)
        operation = operation_of(document)
        return calls_of(
            lambda: (check_limits(document, UNLIMITED), OperationCost(LISTS, document, operation).objects({}))
        )

    assert work(40) < 2.2 * work(20) < 20_000


def test_many_pages_of_one_fragment_are_counted_in_proportion_to_the_text() -> None:
    def work(levels: int) -> int:
        document = pages(levels)
        return calls_of(lambda: OperationCost(LISTS, document, operation_of(document)).objects({}))

    assert work(60) < 2.2 * work(30) < 20_000


COSTS = {match[1]: int(match[2]) for match in COST_ROW.finditer(PAGE)}


@pytest.mark.parametrize("query", COSTS)
def test_the_documented_cost_is_the_counted_one(query: str) -> None:
    assert cost(query, schema=GRAPHQL_SCHEMA) == COSTS[query]


def test_there_are_documented_costs() -> None:
    assert len(COSTS) > 10


@pytest.mark.parametrize(
    ("query", "variables", "expected"),
    [
        ("{ a(first: 3) { nodes { id } } }", {}, 4),
        ("{ a { nodes { id } } }", {}, 101),
        ("{ a(first: 0) { nodes { id } } }", {}, 1),
        ("{ a(first: 3) { ...P } } fragment P on Page { nodes { id } ... { nodes { list { id } } } }", {}, 1 + 3 + 33),
        ("{ item { ...N } } fragment N on Node { a(first: 2) { nodes { list { a(first: 5) { nodes { id } } } } } }",
         {}, 1 + 1 + 2 * (1 + 10 * (1 + 1 + 5))),
        ("query ($n: Int) { a(first: $n) { nodes { id } } }", {"n": 7.0}, 8),
        ("query ($n: Int) { a(first: $n) { nodes { id } } }", {"n": None}, 101),
        ("query ($n: Int) { a(first: $n) { nodes { id } } }", {"n": "7"}, 101),
        ("query ($n: Int = 6) { a(first: $n) { nodes { id } } }", {}, 7),
        ("query ($n: Int = null) { a(first: $n) { nodes { id } } }", {}, 101),
        ("query ($n: Int) { a(first: $n) { nodes { id } } }", {}, 101),
        ("query ($n: Int) { a(first: $n) { nodes { id } } }", {"n": 10**9}, 1001),
        ("query ($n: Int) { a(first: $n) { nodes { id } } }", {"n": -5}, 1),
    ],
)  # fmt: skip
def test_a_page_multiplies_what_is_below_it(query: str, variables: dict[str, Any], expected: int) -> None:
    assert cost(query, variables) == expected


def test_tools_can_ask_for_the_schema_but_not_for_many_of_it() -> None:
    tools = get_introspection_query(input_value_deprecation=True)
    assert excesses(tools) == []
    assert cost(tools, schema=GRAPHQL_SCHEMA) < 5000 < cost(f"{{ {schemas(6)} }}", schema=GRAPHQL_SCHEMA)


def schemas(number: int) -> str:
    return " ".join(f"a{i}: __schema {{ types {{ name }} }}" for i in range(number))


def test_a_default_that_no_page_has_is_not_looked_at() -> None:
    huge = "9" * 5000  # more digits than Python reads
    query = f"query ($id: ID! = {huge}) {{ node(id: $id) {{ id }} }}"
    assert cost(query, {}, GRAPHQL_SCHEMA) == 1


def test_the_cost_is_that_of_the_variables_at_hand() -> None:
    document = parse("query ($n: Int, $m: Int = 2) { a(first: $n) { nodes { b(first: $m, last: $n) { total } id } } }")
    costs = OperationCost(LISTS, document, operation_of(document))
    for n in range(2 * MAX_COMBINATIONS):
        assert costs.objects({"n": n, "m": 1, "x": []}) == costs.objects({"n": n, "m": [1]}) == 1 + 2 * n
    assert calls_of(lambda: costs.objects({"n": n, "m": 1})) < 20


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


async def test_the_documented_refusal_is_the_real_one(running: Running) -> None:
    documented = orjson.loads(re.findall(r"^(\{\"errors\":\[\{\"message\":\"The cost.*?)^```", PAGE, re.M | re.S)[0])
    assert await running.answer("{ stats(first: 1000) { nodes { errors { errorCode } } } }") == documented


TOO_MUCH = {
    "tokens": "{ " + "__typename " * 30 + "}",
    "depth": "{ stats { nodes { region { code } } } }",
    "introspection_depth": "{ __schema { queryType { name } } }",
    "aliases": "{ a: __typename b: __typename c: __typename }",
    "directives": "{ __typename @skip(if: true) a: __typename @skip(if: true) }",
    "cost": "{ regions { code } }",
    "errors": "{ a b c d }",
}


async def test_all_limits_are_settings_and_shown(start_gateway: StartGateway) -> None:
    given = {"tokens": 31, "depth": 3, "introspection_depth": 2, "aliases": 2, "directives": 1, "cost": 9, "errors": 3}
    running = await start_gateway(**{f"max_{name}": value for name, value in given.items()})
    names = {name: "max" + name.title().replace("_", "") for name in given}
    shown = await running.ask(f"{{ service {{ limits {{ {' '.join(names.values())} }} }} }}")
    assert shown["service"]["limits"] == {names[name]: value for name, value in given.items()}
    for name, query in TOO_MUCH.items():
        errors = (await running.answer(query))["errors"]
        assert len(errors) == (3 if name == "errors" else 1)
        assert name == "errors" or errors[0]["extensions"]["limit"] == names[name]


async def test_limits_can_be_switched_off(start_gateway: StartGateway) -> None:
    without = {f"max_{name}": "none" for name in TOO_MUCH if name != "errors"}
    running = await start_gateway(**without)
    assert (await running.ask("{ service { limits { maxTokens maxCost } } }"))["service"]["limits"] == {
        "maxTokens": None,
        "maxCost": None,
    }
    codes = '"FRA" ' * 1000
    await running.ask(f"{{ stats(filter: {{ region: {{ in: [{codes}] }} }}) {{ totalCount }} }}")
    await running.ask("{ stats(first: 1000) { nodes { errors { errorCode } } } }")
