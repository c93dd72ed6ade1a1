"""One execution: columns are resolved and completed, what has to be awaited is awaited, failures become errors."""

from asyncio import gather
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from graphql import ExecutionResult, Executor, GraphQLError, GraphQLResolveInfo, located_error
from graphql.pyutils import is_awaitable

from schema.execution.columns import Column, FieldColumn, Group
from schema.execution.kinds import may_be_awaitable
from schema.execution.shapes import Leaf

if TYPE_CHECKING:
    from schema.execution.plan import Field, Selection

Waiting = list[Awaitable[None]]
Values = Sequence[Any] | Awaitable[Sequence[Any]]


class Failure(NamedTuple):
    """A value that is not there, and why."""

    column: Column
    i: int
    error: Exception

    @property
    def order(self) -> tuple[int, tuple[int, ...]]:
        """When graphql-core would have met it: it completes what there is in the order of the answer, and then what
        was awaited.
        """
        return self.column.round, self.column.position(self.i)


class Run:
    """One execution of a plan; graphql-core's executor does in it what is rare."""

    def __init__(self, executor: Executor[Any], roots: Sequence[Any]) -> None:
        self.executor = executor
        self.context = executor.context_value
        self._roots = roots
        self._failures: list[Failure] = []

    def execute(self, selection: "Selection") -> list[ExecutionResult] | Awaitable[list[ExecutionResult]]:
        """The answers for all roots."""
        group = Group(selection, self._roots, None, range(len(self._roots)))
        waiting = self.resolve(group)
        return self._awaited(waiting, group) if waiting else self._results(group)

    def resolve(self, group: Group) -> Waiting:
        """Find and complete the fields of all objects of a group; what is to be awaited for that."""
        waiting: Waiting = []
        for field in group.selection.fields:
            if not _are_filled(group, field):
                column = FieldColumn(group, field)
                waiting += self.complete(column, field.resolver.values(self, column))
        return waiting

    def complete(self, column: Column, values: Values) -> Waiting:
        """Complete the values of a column, one for each of its places; an exception is a value that failed."""
        if not isinstance(values, list | tuple) and isinstance(values, Awaitable):
            return [self._complete_found(column, values)]
        kinds = set(map(type, values))
        if any(map(may_be_awaitable, kinds)) and any(map(is_awaitable, values)):
            return [self.complete_later(column, values, partial(self._complete_settled, column))]
        return column.shape.complete(self, column, values, kinds)

    def fail(self, column: Column, i: int, error: Exception) -> None:
        """Note that a value is not there; its place stays null."""
        self._failures.append(Failure(column, i, error))

    def info(self, column: Column, i: int) -> GraphQLResolveInfo[Any]:
        """What graphql-core tells a resolver about the field of this column, for one of its objects."""
        field = column.field
        info = self.executor.build_resolve_info(field.definition, field.nodes, field.parent_type, column.path(i))
        return info if len(self._roots) == 1 else info._replace(root_value=self._roots[column.position(i)[0]])

    async def finish(self, waiting: Waiting) -> None:
        """Await all of these at once."""
        if len(waiting) == 1:
            await waiting[0]
        elif waiting:
            await gather(*waiting)

    async def _complete_found(self, column: Column, found: Awaitable[Sequence[Any]]) -> None:
        try:
            values = await found
        except Exception as error:
            values = [error] * column.size
        column.round += 1
        await self.finish(self.complete(column, values))

    async def complete_later(
        self, column: Column, awaited: Sequence[Any], complete: Callable[[Sequence[Any]], Waiting]
    ) -> None:
        """Complete a column when these values are there, of which some are awaited; what fails is an exception."""
        settled = list(awaited)
        index = [i for i, value in enumerate(awaited) if is_awaitable(value)]
        for i, value in zip(index, await _settled([awaited[i] for i in index]), strict=True):
            settled[i] = value
        column.round += 1
        await self.finish(complete(settled))

    def _complete_settled(self, column: Column, values: Sequence[Any]) -> Waiting:
        return column.shape.complete(self, column, values, set(map(type, values)))

    async def _awaited(self, waiting: Waiting, group: Group) -> list[ExecutionResult]:
        await self.finish(waiting)
        return self._results(group)

    def _results(self, group: Group) -> list[ExecutionResult]:
        if not self._failures:
            return [ExecutionResult(data, None) for data in group.objects]
        return self._results_with_errors(group)

    def _results_with_errors(self, group: Group) -> list[ExecutionResult]:
        data: list[dict[str, Any] | None] = list(group.objects)
        errors: list[list[GraphQLError]] = [[] for _ in data]
        nulled: set[tuple[int, int]] = set()
        for column, i, error in sorted(self._failures, key=lambda failure: failure.order):
            root = column.position(i)[0]
            place = _nullable_place(column, i)
            if data[root] is None or any((id(above), j) in nulled for above, j in _places_from(place)):
                continue  # it is a part of what is null already
            errors[root].append(located_error(error, column.field.nodes, column.path(i).as_list()))
            if place is None:
                data[root] = None
            else:
                place[0].put(place[1], None)
                nulled.add((id(place[0]), place[1]))
        return [ExecutionResult(*result) for result in zip(data, [list_ or None for list_ in errors], strict=True)]


def _are_filled(group: Group, field: "Field") -> bool:
    """Whether the values of a field are attributes, all of them usual ones, and so in place: most columns are that."""
    if field.attribute is None or not isinstance(field.shape, Leaf):
        return False
    try:
        values = group.attributes(field.attribute)
    except Exception:
        return False
    completed = field.shape.converted(values, set(map(type, values)))
    if completed is None:
        return False
    group.fill(field.key, completed)
    return True


def _nullable_place(column: Column, i: int) -> tuple[Column, int] | None:
    """The smallest part of the answer around a value that may be null; None where that is the whole answer."""
    place: tuple[Column, int] | None = (column, i)
    while place is not None and not place[0].shape.is_nullable:
        place = place[0].above(place[1])
    return place


def _places_from(place: tuple[Column, int] | None) -> list[tuple[Column, int]]:
    places = []
    while place is not None:
        places.append(place)
        place = place[0].above(place[1])
    return places


async def _settled(awaitables: Sequence[Awaitable[Any]]) -> Sequence[Any]:
    if len(awaitables) == 1:
        try:
            return [await awaitables[0]]
        except Exception as error:
            return [error]
    values = await gather(*awaitables, return_exceptions=True)
    for value in values:
        if isinstance(value, BaseException) and not isinstance(value, Exception):
            raise value  # somebody has cancelled it
    return values
