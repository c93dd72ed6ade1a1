"""Fields that overlap: decided as graphql-core decides, and with bounded work."""

from collections.abc import Iterable
from typing import Any

import pytest
from graphql import (
    DocumentNode,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    Node,
    OverlappingFieldsCanBeMergedRule,
    Visitor,
    build_schema,
    get_named_type,
    is_leaf_type,
    parse,
    validate,
    visit,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schema.overlaps import MAX_VISITS, OverlapCheck, Undecided, may_conflict

PETS = build_schema("""
  enum Kind { BIG SMALL }
  input Where { kind: Kind, near: [Int] }
  interface Being { name: String, friend(where: Where, first: Int): Being, age: Int }
  interface Pet implements Being { name: String, friend(where: Where, first: Int): Pet, age: Int, tags: [String] }
  type Dog implements Pet & Being {
    name: String, friend(where: Where, first: Int): Dog, age: Int, tags: [String], size: Int, owner: Person
  }
  type Cat implements Pet & Being {
    name: String, friend(where: Where, first: Int): Pet, age: Int, tags: [String!]!, size: Kind, owner: [Person]
  }
  type Person implements Being {
    name: String, friend(where: Where, first: Int): Being, age: Int!, any: Any, size: Int, owner: Person!
  }
  union Any = Dog | Cat | Person
  type Query { being: Being, pet(first: Int): Pet, any(where: Where): Any, dog: Dog }
""")
TYPES = [PETS.type_map[name] for name in ("Being", "Pet", "Dog", "Cat", "Person", "Any")]
ALIASES = st.sampled_from((*[""] * 16, "name: ", "age: ", "size: ", "friend: "))
VALUES = {
    "first": ("1", "1", "2", "$n"),
    "where": ("$w", "{kind: BIG}", "{near: [1], kind: BIG}", "{kind: BIG, near: [1]}", "{near: [1, $n]}", "null"),
}


@st.composite
def documents(draw: Any) -> str:
    """A document whose fragments are all spread, somewhere; the later ones by the earlier ones."""
    conditions = draw(st.lists(st.sampled_from(TYPES), max_size=4))
    spread: set[int] = set()

    def selections(parent: GraphQLNamedType, first: int, depth: int) -> str:
        return "{ " + " ".join(selection(parent, first, depth) for _ in range(draw(st.integers(1, 4)))) + " }"

    def selection(parent: GraphQLNamedType, first: int, depth: int) -> str:
        kind = draw(st.integers(0, 9))
        if kind < 3 and depth:
            of = draw(st.sampled_from((None, *TYPES)))
            return f"... {f'on {of} ' if of else ''}{selections(of or parent, first, depth - 1)}"
        if kind < 5 and first < len(conditions):
            spread.add(number := draw(st.integers(first, len(conditions) - 1)))
            return f"...F{number}"
        return field(parent, first, depth)

    def field(parent: GraphQLNamedType, first: int, depth: int) -> str:
        fields = parent.fields if isinstance(parent, GraphQLObjectType | GraphQLInterfaceType) else {}
        usable = [name for name, it in fields.items() if depth or is_leaf_type(get_named_type(it.type))]
        if not usable or draw(st.integers(0, 15)) == 0:
            return f"{draw(ALIASES)}__typename"
        name = draw(st.sampled_from(usable))
        named = get_named_type(fields[name].type)
        below = "" if is_leaf_type(named) else selections(named, first, depth - 1)
        return f"{draw(ALIASES)}{name}{arguments(fields[name].args)} {below}"

    def arguments(described: Iterable[str]) -> str:
        given = [
            f"{name}: {draw(st.sampled_from(VALUES[name]))}" for name in described if draw(st.integers(0, 14)) == 0
        ]
        return f"({', '.join(draw(st.permutations(given)))})" if given else ""

    query = PETS.query_type
    assert query
    operation = selections(query, 0, 4)
    fragments = [f"fragment F{i} on {of} {selections(of, i + 1, 2)}" for i, of in enumerate(conditions)]
    unused = " ".join(f"...F{i}" for i in range(len(conditions)) if i not in spread)
    return f"query ($n: Int, $w: Where) {operation[:-1]} {unused} }} {' '.join(fragments)}"


def conflicts(query: str, schema: Any = PETS) -> bool:
    """What graphql-core says."""
    return validate(schema, parse(query), [OverlappingFieldsCanBeMergedRule]) != []


@settings(max_examples=400, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(documents())
def test_it_decides_as_graphql_core_does(query: str) -> None:
    assert may_conflict(PETS, parse(query)) == conflicts(query)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("{ pet { name } pet { name age } }", False),
        ("{ pet { x: name } pet { x: age } }", True),
        ("{ pet { x: age x: name } }", True),
        ("{ pet(first: 1) { name } pet(first: 2) { name } }", True),
        ("{ any(where: {kind: BIG, near: [1]}) { x } any(where: {near: [1], kind: BIG}) { x } }", False),
        ('{ pet { friend(where: {kind: BIG}) { name } friend(where: {kind: "BIG"}) { name } } }', True),
        ("{ pet { ... on Dog { x: name } ... on Cat { x: name } } }", False),
        ("{ pet { ... on Dog { x: friend(first: 1) { name } } ... on Cat { x: friend(first: 2) { name } } } }", False),
        ("{ pet { x: age ... on Dog { x: size } ... on Cat { x: age } } }", True),
        ("{ pet { ... on Dog { size } ... on Cat { size } } }", True),
        ("{ pet { ... on Dog { owner { name } } ... on Cat { owner { name } } } }", True),
        ("{ pet { ... on Dog { f: friend { x: size } } ... on Cat { f: friend { x: age } } } }", False),
        ("{ pet { ... on Dog { f: friend { x: size } } ... on Cat { f: friend { x: name } } } }", True),
        ("{ pet { ...A ...B } } fragment A on Pet { friend { x: age } } fragment B on Pet { friend { x: y } }", True),
        ("{ a: pet { ...A } b: pet { ...A x: name } } fragment A on Pet { name }", False),
        ("{ a: pet { ...A x: age } b: pet { ...A x: name } } fragment A on Pet { name }", False),
        ("{ none { x } none { x: y } }", True),
        ("{ ...A ...B } fragment A on Query { pet { name } ...B } fragment B on Query { pet { age } ...A }", False),
    ],
)  # fmt: skip
def test_what_can_be_merged(query: str, expected: bool) -> None:
    assert may_conflict(PETS, parse(query)) == conflicts(query) == expected


def test_a_streamed_field_is_not_merged() -> None:
    query = "{ pet { tags @stream(initialCount: 1) tags } }"
    assert may_conflict(PETS, parse(query))
    assert conflicts(query)


def spreads(width: int, below: str) -> str:
    fragments = " ".join(f"fragment F{i} on Being {{ friend {{ {below} }} }}" for i in range(width))
    return f"{{ being {{ {' '.join(f'...F{i}' for i in range(width))} }} }} {fragments}"


def levels(depth: int, body: str) -> str:
    fragments = " ".join(f"fragment F{i} on Being {{ {body.replace('NEXT', f'...F{i + 1}')} }}" for i in range(depth))
    return f"{{ being {{ ...F0 }} }} {fragments} fragment F{depth} on Being {{ name }}"


HEAVY = {
    "equal fields": "{" + " pet { name age }" * 160 + "}",
    "equal leaves": "{ dog {" + " name" * 900 + "} }",
    "equal fields with arguments": "{" + " any(where: {near: [1, 2], kind: BIG}) { __typename }" * 50 + "}",
    "as many fields as would be too many visits": "{ dog {" + " name" * MAX_VISITS * 2 + "} }",
    "equal fields, nested": "{" + " pet { friend { friend { friend { name } } } }" * 60 + "}",
    "fragments side by side": spreads(60, "name"),
    "fragments in a chain": levels(80, "name friend { age } NEXT"),
    "a chain below one field": levels(80, "friend { NEXT } friend { age }"),
    "a bomb": levels(80, "NEXT NEXT"),
    "a bomb below one field": levels(40, "friend { NEXT } friend { NEXT }"),
    "a bomb below two fields": levels(40, "friend { NEXT } ... on Pet { f: friend { NEXT } }"),
    "a bomb of inline fragments": levels(40, "... on Dog { NEXT } ... on Being { NEXT }"),
    "object types beside their interface": "{ pet {"
    + " friend { name } ... on Dog { friend { name } } ... on Cat { friend { age } }" * 40
    + "} }",
}


@pytest.mark.parametrize("name", HEAVY)
def test_a_field_is_visited_few_times_wherever_it_is_spread(name: str) -> None:
    document = parse(HEAVY[name])
    check = OverlapCheck(PETS, document)
    assert not check.finds_conflict()
    assert check.visits < 4 * fields_of(document)


def fields_of(document: DocumentNode) -> int:
    """How many fields are written in a document."""
    written: list[Node] = []

    class Count(Visitor):
        def enter_field(self, node: Node, *_: Any) -> None:
            written.append(node)

    visit(document, Count())
    return len(written)


def meetings(depth: int) -> str:
    """Fragments that meet in another set for each way through two fields: as the states of automata do."""
    loop = levels(depth, "friend { NEXT ...G0 } ... on Pet { f: friend { NEXT } }")
    chain = " ".join(
        f"fragment G{i} on Being {{ friend {{ ...G{i + 1} }} ... on Pet {{ f: friend {{ ...G{i + 1} }} }} }}"
        for i in range(depth)
    )
    return f"{loop} {chain} fragment G{depth} on Being {{ name }}"


def test_too_many_different_meetings_are_left_undecided() -> None:
    few, many = (OverlapCheck(PETS, parse(meetings(depth))) for depth in (5, 20))
    assert not few.finds_conflict()
    with pytest.raises(Undecided):
        many.finds_conflict()
    assert MAX_VISITS < many.visits < MAX_VISITS + 1000
    assert may_conflict(PETS, parse(meetings(20)))
