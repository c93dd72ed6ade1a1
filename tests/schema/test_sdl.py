"""The printed schema: reviewed in every diff, and complete."""

from pathlib import Path

from graphql import GraphQLEnumType, GraphQLInputObjectType, GraphQLInterfaceType, GraphQLObjectType

from schema.root import GRAPHQL_SCHEMA, SDL

PRINTED = Path(__file__).parents[2] / "schema" / "schema.graphql"


def test_the_printed_schema_is_the_one_that_is_served() -> None:
    assert PRINTED.read_text() == SDL, "run `make schema` and review the difference"


def test_everything_has_a_description() -> None:
    missing = []
    for name, type_ in GRAPHQL_SCHEMA.type_map.items():
        if name.startswith("__"):
            continue
        missing += [name] if not type_.description else []
        if isinstance(type_, GraphQLEnumType):
            missing += [f"{name}.{value}" for value, it in type_.values.items() if not it.description]
        if isinstance(type_, GraphQLObjectType | GraphQLInputObjectType | GraphQLInterfaceType):
            missing += [f"{name}.{field}" for field, it in type_.fields.items() if not it.description]
        if isinstance(type_, GraphQLObjectType):
            arguments = [(field, arg, it) for field, f in type_.fields.items() for arg, it in f.args.items()]
            missing += [f"{name}.{field}({arg})" for field, arg, it in arguments if not it.description]
    assert missing == []
