"""Scalars and enums: how whole columns of them are checked and converted.

A converter gets the values of a column, and answers their form in JSON; None when there is anything unusual among them,
which is then converted value by value, as graphql-core does.
"""

from collections.abc import Callable, Sequence
from math import isfinite
from typing import Any, NamedTuple

from graphql import (
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLFloat,
    GraphQLID,
    GraphQLInt,
    GraphQLLeafType,
    GraphQLString,
)
from graphql.type import GRAPHQL_MAX_INT, GRAPHQL_MIN_INT

Converter = Callable[[Sequence[Any]], Sequence[Any] | None]


class LeafColumns(NamedTuple):
    """How columns of one leaf type are converted: values of these types, or of any if None."""

    kinds: frozenset[type] | None
    convert: Converter


def leaf_columns(type_: GraphQLLeafType) -> LeafColumns:
    """How columns of this type are converted."""
    if isinstance(type_, GraphQLEnumType):
        return LeafColumns(None, lambda values: _each_kind(type_.coerce_output_value, values))
    if built_in := _BUILT_IN.get(id(type_)):
        return built_in
    coerce = type_.coerce_output_value
    # A function that is faster for many values at once says so: its `many` answers the same for a list, with None for
    # None, or None for the list when it cannot.
    return LeafColumns(None, getattr(coerce, "many", None) or (lambda values: _each(coerce, values)))


def _as_they_are(values: Sequence[Any]) -> Sequence[Any]:
    return values


def _finite(values: Sequence[Any]) -> Sequence[Any] | None:
    # One that is not finite makes the sum so; the sum of huge ones may be, too, and then they are looked at one by one.
    return values if isfinite(sum(values if None not in values else filter(None, values))) else None


def _integers(values: Sequence[Any]) -> Sequence[Any] | None:
    numbers = values if None not in values else [value for value in values if value is not None]
    fits = not numbers or (min(numbers) >= GRAPHQL_MIN_INT and max(numbers) <= GRAPHQL_MAX_INT)
    return values if fits else None


def _each(convert: Callable[[Any], Any], values: Sequence[Any]) -> Sequence[Any] | None:
    try:
        converted = [None if value is None else convert(value) for value in values]
    except Exception:
        return None
    return converted if _same_nulls(values, converted) else None


def _each_kind(convert: Callable[[Any], Any], values: Sequence[Any]) -> Sequence[Any] | None:
    try:
        table = {value: None if value is None else convert(value) for value in set(values)}
        converted = [table[value] for value in values]
    except Exception:
        return None
    return converted if _same_nulls(values, converted) else None


def _same_nulls(values: Sequence[Any], converted: Sequence[Any]) -> bool:
    return None not in converted or all(
        value is None for value, made in zip(values, converted, strict=True) if made is None
    )


_BUILT_IN = {
    id(GraphQLString): LeafColumns(frozenset({str}), _as_they_are),
    id(GraphQLID): LeafColumns(frozenset({str}), _as_they_are),
    id(GraphQLBoolean): LeafColumns(frozenset({bool}), _as_they_are),
    id(GraphQLInt): LeafColumns(frozenset({int}), _integers),
    id(GraphQLFloat): LeafColumns(frozenset({float}), _finite),
}
