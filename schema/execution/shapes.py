"""Shapes: what the values of a column are completed to, by their type in the schema."""

from asyncio import gather
from collections.abc import Callable, Sequence
from functools import partial
from itertools import repeat
from types import NoneType
from typing import TYPE_CHECKING, Any

from graphql import (
    GraphQLAbstractType,
    GraphQLError,
    GraphQLLeafType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    Undefined,
    is_abstract_type,
    is_leaf_type,
)
from graphql.pyutils import inspect, is_async_iterable, is_awaitable, is_iterable

from schema.execution.columns import Column, Group, ItemColumn
from schema.execution.kinds import is_present, may_be_awaitable
from schema.execution.leaves import leaf_columns

if TYPE_CHECKING:
    from schema.execution.plan import Selection
    from schema.execution.run import Run, Waiting

_NULL = {NoneType}

Below = Callable[[GraphQLObjectType], "Selection"]


class Shape:
    """What values are completed to; a null where none may be makes the next larger part null that may."""

    def __init__(self, *, is_nullable: bool) -> None:
        self.is_nullable = is_nullable

    def complete(self, run: "Run", column: Column, values: Sequence[Any], kinds: set[type]) -> "Waiting":
        """Complete values of these types, none of which is awaitable, and put them in place."""
        index = self._present(run, column, values, kinds)
        present = values if len(index) == len(values) else [values[i] for i in index]
        return self._complete_present(run, column, index, present)

    def _complete_present(self, run: "Run", column: Column, index: Sequence[int], values: Sequence[Any]) -> "Waiting":
        raise TypeError(f"{type(self)} completes no values")

    def _present(self, run: "Run", column: Column, values: Sequence[Any], kinds: set[type]) -> Sequence[int]:
        if all(map(is_present, kinds)):
            return range(len(values))
        return [i for i, value in enumerate(values) if self._is_there(run, column, i, value)]

    def _is_there(self, run: "Run", column: Column, i: int, value: Any) -> bool:
        if isinstance(value, Exception):
            run.fail(column, i, value)
            return False
        if value is None or value is Undefined:
            if not self.is_nullable:
                field = column.field
                message = f"Cannot return null for non-nullable field {field.parent_type}.{field.name}."
                run.fail(column, i, TypeError(message))
            return False
        return True


class Leaf(Shape):
    """A scalar or an enum."""

    def __init__(self, type_: GraphQLLeafType, *, is_nullable: bool) -> None:
        super().__init__(is_nullable=is_nullable)
        self._type = type_
        self._columns = leaf_columns(type_)

    def complete(self, run: "Run", column: Column, values: Sequence[Any], kinds: set[type]) -> "Waiting":
        """All values at once, or one by one where any is unusual."""
        completed = self.converted(values, kinds)
        if completed is None:
            completed = [self._one(run, column, i, value) for i, value in enumerate(values)]
        column.fill(completed)
        return []

    def converted(self, values: Sequence[Any], kinds: set[type]) -> Sequence[Any] | None:
        """All values at once; None when there is anything unusual among them."""
        return self._columns.convert(values) if self._are_usual(kinds) else None

    def _are_usual(self, kinds: set[type]) -> bool:
        if self.is_nullable:
            kinds = kinds - _NULL
        if self._columns.kinds is not None:
            return kinds <= self._columns.kinds
        return all(map(is_present, kinds)) and not any(map(may_be_awaitable, kinds))

    def _one(self, run: "Run", column: Column, i: int, value: Any) -> Any:
        if not self._is_there(run, column, i, value):
            return None
        try:
            return run.executor.complete_leaf_value(self._type, value)
        except Exception as error:
            run.fail(column, i, error)
            return None


class Items(Shape):
    """A list."""

    def __init__(self, item: Shape, *, is_nullable: bool) -> None:
        super().__init__(is_nullable=is_nullable)
        self.item = item

    def _complete_present(self, run: "Run", column: Column, index: Sequence[int], values: Sequence[Any]) -> "Waiting":
        if any(map(is_async_iterable, values)):
            return [self._complete_awaited(run, column, index, values)]
        found = [(i, _items(run, column, i, value)) for i, value in zip(index, values, strict=True)]
        return self._complete_lists(run, column, [(i, items) for i, items in found if items is not None])

    def _complete_lists(self, run: "Run", column: Column, lists: Sequence[tuple[int, list[Any]]]) -> "Waiting":
        index = [i for i, _ in lists]
        items = ItemColumn(column, index, [len(list_) for _, list_ in lists], self.item)
        _place(column, index, items.lists)
        return run.complete(items, [item for _, list_ in lists for item in list_])

    async def _complete_awaited(self, run: "Run", column: Column, index: Sequence[int], values: Sequence[Any]) -> None:
        async def items(i: int, value: Any) -> list[Any] | None:
            try:
                return [item async for item in value] if is_async_iterable(value) else _items(run, column, i, value)
            except Exception as error:
                run.fail(column, i, error)
                return None

        found = await gather(*map(items, index, values))
        column.round += 1
        lists = [(i, list_) for i, list_ in zip(index, found, strict=True) if list_ is not None]
        await run.finish(self._complete_lists(run, column, lists))


class Objects(Shape):
    """An object."""

    def __init__(self, type_: GraphQLObjectType, below: Below, *, is_nullable: bool) -> None:
        super().__init__(is_nullable=is_nullable)
        self._type = type_
        self._below = below
        self._selection: Selection | None = None

    def _complete_present(self, run: "Run", column: Column, index: Sequence[int], values: Sequence[Any]) -> "Waiting":
        is_type_of = self._type.is_type_of
        if is_type_of is None or not values:
            return self._complete_objects(run, column, index, values)
        info = run.info(column, index[0])
        belong = _called_with_each(is_type_of, values, info)
        if belong == [True] * len(values):
            return self._complete_objects(run, column, index, values)
        complete = partial(self._complete_those, run, column, index, values)
        return [run.complete_later(column, belong, complete)] if any(map(is_awaitable, belong)) else complete(belong)

    def _complete_those(
        self, run: "Run", column: Column, index: Sequence[int], values: Sequence[Any], belong: Sequence[Any]
    ) -> "Waiting":
        fitting = []
        for i, value, answer in zip(index, values, belong, strict=True):
            if isinstance(answer, Exception):
                run.fail(column, i, answer)
            elif not answer:
                message = f"Expected value of type '{self._type}' but got: {inspect(value)}."
                run.fail(column, i, GraphQLError(message, column.field.nodes))
            else:
                fitting.append((i, value))
        return self._complete_objects(run, column, [i for i, _ in fitting], [value for _, value in fitting])

    def _complete_objects(self, run: "Run", column: Column, index: Sequence[int], values: Sequence[Any]) -> "Waiting":
        if self._selection is None:
            self._selection = self._below(self._type)
        group = Group(self._selection, values, column, index)
        _place(column, index, group.objects)
        return run.resolve(group)


class Abstract(Shape):
    """An object whose type is known by its value only: of an interface, or a union."""

    def __init__(self, type_: GraphQLAbstractType, below: Below, *, is_nullable: bool) -> None:
        super().__init__(is_nullable=is_nullable)
        self._type = type_
        self._below = below
        self._objects: dict[str, Objects] = {}

    def _complete_present(self, run: "Run", column: Column, index: Sequence[int], values: Sequence[Any]) -> "Waiting":
        if not values:
            return []
        resolve_type = self._type.resolve_type or run.executor.type_resolver
        info = run.info(column, index[0])
        names = _called_with_each(resolve_type, values, info, self._type)
        complete = partial(self._complete_named, run, column, index, values)
        return [run.complete_later(column, names, complete)] if any(map(is_awaitable, names)) else complete(names)

    def _complete_named(
        self, run: "Run", column: Column, index: Sequence[int], values: Sequence[Any], names: Sequence[Any]
    ) -> "Waiting":
        by_type: dict[str, list[tuple[int, Any]]] = {}
        for i, value, name in zip(index, values, names, strict=True):
            if self._is_valid(run, column, i, value, name):
                by_type.setdefault(name, []).append((i, value))
        waiting: Waiting = []
        for name, those in by_type.items():
            objects = self._objects_of(run, name)
            waiting += objects._complete_present(run, column, [i for i, _ in those], [value for _, value in those])
        return waiting

    def _is_valid(self, run: "Run", column: Column, i: int, value: Any, name: Any) -> bool:
        if isinstance(name, str) and name in self._objects:
            return True
        try:
            if isinstance(name, Exception):
                raise name
            run.executor.ensure_valid_runtime_type(name, self._type, column.field.details, run.info(column, i), value)
        except Exception as error:
            run.fail(column, i, error)
            return False
        return True

    def _objects_of(self, run: "Run", name: str) -> Objects:
        if name not in self._objects:
            type_ = run.executor.schema.get_type(name)
            assert isinstance(type_, GraphQLObjectType)
            self._objects[name] = Objects(type_, self._below, is_nullable=self.is_nullable)
        return self._objects[name]


def shape_of(type_: GraphQLOutputType, below: Below, *, is_nullable: bool = True) -> Shape:
    """The shape of values of a type; `below` answers what is selected of objects of a type."""
    if isinstance(type_, GraphQLNonNull):
        return shape_of(type_.of_type, below, is_nullable=False)
    if isinstance(type_, GraphQLList):
        return Items(shape_of(type_.of_type, below), is_nullable=is_nullable)
    if is_leaf_type(type_):
        return Leaf(type_, is_nullable=is_nullable)
    if is_abstract_type(type_):
        return Abstract(type_, below, is_nullable=is_nullable)
    assert isinstance(type_, GraphQLObjectType)
    return Objects(type_, below, is_nullable=is_nullable)


def _place(column: Column, index: Sequence[int], made: Sequence[Any]) -> None:
    if isinstance(index, range):  # of all values
        column.fill(made)
    else:
        for i, value in zip(index, made, strict=True):
            column.put(i, value)


def _items(run: "Run", column: Column, i: int, value: Any) -> list[Any] | None:
    try:
        if not is_iterable(value):
            field = column.field
            message = f"Expected Iterable, but did not find one for field '{field.parent_type}.{field.name}'."
            raise GraphQLError(message)
        return list(value)
    except Exception as error:
        run.fail(column, i, error)
        return None


def _called_with_each(function: Callable[..., Any], values: Sequence[Any], *more: Any) -> Sequence[Any]:
    try:
        return list(map(function, values, *map(repeat, more)))
    except Exception:
        return [_called(function, value, *more) for value in values]


def _called(function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except Exception as error:
        return error
