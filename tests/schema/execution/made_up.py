"""Data for any schema: each object has any field that its type has, made up from its seed, right or wrong."""

import asyncio
from collections.abc import AsyncIterator, Callable
from random import Random
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLError,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    is_abstract_type,
)


class Failed(Exception):
    """A failure that was made up."""


class World:
    """What there is: how often something is null, wrong or fails, and whether it comes late."""

    def __init__(self, schema: GraphQLSchema, seed: int, *, defects: float, is_async: bool) -> None:
        self.schema = schema
        self.seed = seed
        self.defects = defects
        self.is_async = is_async

    def root(self) -> "Made":
        """What the operation begins with."""
        assert self.schema.query_type
        return Made(self, self.schema.query_type, f"{self.seed}")

    def value(self, type_: Any, seed: str) -> Any:
        """A value for a field of a type; the same each time."""
        random = Random(seed)
        if random.random() < self.defects / 3:
            raise Failed(f"no {type_}")
        value = self._value(type_, seed, random)
        if self.is_async and random.random() < 0.3:
            return self._late(value)
        return value

    async def _late(self, value: Any) -> Any:
        if isinstance(value, Exception):
            raise value
        return value

    def _value(self, type_: Any, seed: str, random: Random) -> Any:
        chance = random.random()
        if chance < self.defects:
            wrong: list[Callable[[], Any]] = [
                lambda: None,
                lambda: Failed("returned"),
                lambda: GraphQLError("with extensions", extensions={"code": "MADE_UP"}),
                lambda: object,
                lambda: {"not": "this"},
                lambda: float("nan"),
                lambda: 2**40,
                lambda: "text",
            ]
            return random.choice(wrong)()
        if isinstance(type_, GraphQLNonNull):
            return self._value(type_.of_type, seed, random)
        if random.random() < 0.1:
            return None
        if isinstance(type_, GraphQLList):
            return self._list(type_, seed, random)
        if isinstance(type_, GraphQLEnumType):
            return random.choice([value.value for value in type_.values.values()])
        if is_abstract_type(type_):
            type_ = random.choice(self.schema.get_possible_types(type_))
        if isinstance(type_, GraphQLObjectType):
            return Made(self, type_, seed)
        return _scalar(type_.name, random)

    def _list(self, type_: Any, seed: str, random: Random) -> Any:
        items = [self._value(type_.of_type, f"{seed}.{n}", random) for n in range(random.choice((0, 1, 2, 3, 5)))]
        if self.is_async:
            if random.random() < 0.1:
                return self._one_by_one(items)
            items = [self._late(item) if random.random() < 0.1 else item for item in items]
        return tuple(items) if random.random() < 0.2 else items

    async def _one_by_one(self, items: list[Any]) -> AsyncIterator[Any]:
        for item in items:
            await asyncio.sleep(0)
            yield item


class Made:
    """An object of a type."""

    def __init__(self, world: World, type_: GraphQLObjectType, seed: str) -> None:
        self._world = world
        self._type = type_
        self._seed = seed

    def __repr__(self) -> str:
        return f"<{self._type} {self._seed}>"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in self._type.fields:
            raise AttributeError(name)
        return self._world.value(self._type.fields[name].type, f"{self._seed}/{name}")


def _scalar(name: str, random: Random) -> Any:
    match name:
        case "Int":
            return random.choice((0, 1, -5, 2**31 - 1, True, 3.0))
        case "Float":
            return random.choice((0.5, 1e300, -0.0, 3, 1.25, True))
        case "Boolean":
            return random.choice((True, False, 1))
        case "ID":
            return random.choice(("x", 7, "1"))
        case _:
            return random.choice(("a", "b", "ü", ""))
