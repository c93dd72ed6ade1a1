"""The printed schema: reviewed in every diff, complete, and as graphql-schema-linter and Relay want it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from graphql import (
    EnumTypeDefinitionNode,
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    build_schema,
    get_named_type,
    is_specified_directive,
    is_specified_scalar_type,
    parse,
)

from schema.root import GRAPHQL_SCHEMA, SDL

PRINTED = Path(__file__).parents[2] / "schema" / "schema.graphql"


def _places(schema: GraphQLSchema) -> Iterator[tuple[str, Any]]:
    """Every type, field, argument, enum value and directive that is ours, by where it is."""
    for name, type_ in schema.type_map.items():
        if name.startswith("__") or is_specified_scalar_type(type_):
            continue
        yield name, type_
        if isinstance(type_, GraphQLEnumType):
            yield from ((f"{name}.{value}", it) for value, it in type_.values.items())
        if isinstance(type_, GraphQLObjectType | GraphQLInputObjectType | GraphQLInterfaceType):
            yield from ((f"{name}.{field}", it) for field, it in type_.fields.items())
        if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType):
            arguments = [(field, arg, it) for field, f in type_.fields.items() for arg, it in f.args.items()]
            yield from ((f"{name}.{field}({arg})", it) for field, arg, it in arguments)
    yield from ((f"@{it.name}", it) for it in schema.directives if not is_specified_directive(it))


def test_the_printed_schema_is_the_one_that_is_served() -> None:
    assert PRINTED.read_text() == SDL, "run `make schema` and review the difference"
    printed = dict(_places(build_schema(SDL)))
    served = dict(_places(GRAPHQL_SCHEMA))
    assert printed.keys() == served.keys()
    assert {place: it.description for place, it in printed.items()} == {p: it.description for p, it in served.items()}


def test_what_is_served_keeps_the_order_that_people_read_in() -> None:
    distribution = GRAPHQL_SCHEMA.type_map["Distribution"]
    assert isinstance(distribution, GraphQLObjectType)
    assert list(distribution.fields)[:3] == ["mean", "min", "max"]


def test_everything_has_a_description() -> None:
    assert [place for place, it in _places(GRAPHQL_SCHEMA) if not it.description] == []


def test_descriptions_are_sentences() -> None:
    texts = {place: it.description for place, it in _places(GRAPHQL_SCHEMA)}
    assert [place for place, text in texts.items() if text[0] != text[0].upper()] == []
    assert [place for place, text in texts.items() if text[-1] not in ".?"] == []


def test_what_is_deprecated_says_what_replaces_it() -> None:
    reasons = {place: getattr(it, "deprecation_reason", None) for place, it in _places(GRAPHQL_SCHEMA)}
    deprecated = {place: reason for place, reason in reasons.items() if reason is not None}
    assert "Aggregate.totalScore" in deprecated
    assert [place for place, reason in deprecated.items() if "Use " not in reason] == []


def test_members_are_in_alphabetical_order() -> None:
    for definition in parse(SDL).definitions:
        is_enum = isinstance(definition, EnumTypeDefinitionNode)
        members = [member.name.value for member in getattr(definition, "values" if is_enum else "fields", None) or ()]
        assert members == sorted(members), definition


def test_every_type_is_used() -> None:
    roots = {"Query", "Mutation", "Subscription"}
    used = {get_named_type(it.type).name for _, it in _places(GRAPHQL_SCHEMA) if hasattr(it, "type")}
    used |= {get_named_type(arg.type).name for it in GRAPHQL_SCHEMA.directives for arg in it.args.values()}
    used |= {member.name for it in GRAPHQL_SCHEMA.type_map.values() for member in getattr(it, "types", ())}
    ours = {place for place, _ in _places(GRAPHQL_SCHEMA) if "." not in place and "@" not in place}
    assert ours - used - roots == set()


def test_connections_are_relays() -> None:
    types = GRAPHQL_SCHEMA.type_map
    connections = [name for name in types if name.endswith("Connection")]
    assert connections
    for name in connections:
        fields = types[name].fields  # type: ignore[attr-defined]
        assert str(fields["pageInfo"].type) == "PageInfo!"
        edge = get_named_type(fields["edges"].type)
        assert isinstance(edge, GraphQLObjectType)
        assert str(fields["edges"].type) == f"[{edge.name}!]!"
        assert {"node", "cursor"} <= edge.fields.keys()
    for place, it in _places(GRAPHQL_SCHEMA):
        if "." in place and hasattr(it, "args") and get_named_type(it.type).name in connections:
            arguments = {argument: str(its.type) for argument, its in it.args.items()}
            expected = {"first": "Int", "last": "Int", "after": "String", "before": "String"}
            assert expected.items() <= arguments.items(), place
