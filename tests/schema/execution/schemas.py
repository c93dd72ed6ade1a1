"""A small schema, of animals, whose fields have no resolvers: what they have is made up."""

from pathlib import Path
from typing import Any

from graphql import GraphQLSchema, build_schema

LITERALS: dict[str, list[Any]] = {"Day": ["mon", "tue", 1, "bad", {"a": 1, "b": [None]}]}


def animals() -> GraphQLSchema:
    """The schema in small.graphql."""
    schema = build_schema(Path(__file__).with_name("small.graphql").read_text())
    day: Any = schema.type_map["Day"]
    day.coerce_output_value = _shown_day
    day.coerce_input_value = _day
    for type_ in schema.type_map.values():
        if hasattr(type_, "resolve_type"):
            type_.resolve_type = _type_name
    return schema


def _type_name(value: Any, *_: Any) -> Any:
    return value._type.name


def _day(value: Any) -> Any:
    if value == "bad":
        raise ValueError("there is no such day")
    return value


def _shown_day(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"no day: {value}")
    return value.upper()
