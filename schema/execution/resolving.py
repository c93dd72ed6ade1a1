"""How the values of a field are found: by attribute, by its function, or as graphql-core does.

What Strawberry puts around each resolver is left away where it does nothing: for fields without arguments, extensions
and handlers of exceptions.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from graphql import GraphQLField, GraphQLResolveInfo, GraphQLSchema, default_field_resolver
from strawberry import Info
from strawberry.types.field import StrawberryField

from schema.execution.columns import FieldColumn

if TYPE_CHECKING:
    from schema.execution.run import Run, Values


class Resolver(Protocol):
    """Finds the values of a field."""

    def values(self, run: "Run", column: FieldColumn) -> "Values":
        """One value for each object of the column's group; an exception where that failed."""


class TypeName:
    """The name of the type."""

    def values(self, run: "Run", column: FieldColumn) -> Sequence[Any]:
        """The same for all."""
        return [column.field.parent_type.name] * len(column.group.sources)


class Attribute:
    """An attribute of what the object is made from."""

    def __init__(self, name: str) -> None:
        self.name = name

    def values(self, run: "Run", column: FieldColumn) -> Sequence[Any]:
        """The attributes."""
        try:
            return column.group.attributes(self.name)
        except Exception:
            return [_called(getattr, source, self.name) for source in column.group.sources]


class Function:
    """A function of the object, and of the request if it wants to know it."""

    def __init__(self, definition: StrawberryField) -> None:
        resolver = definition.base_resolver
        assert resolver is not None
        self._definition = definition
        self._function: Callable[..., Any] = resolver.wrapped_func  # type: ignore[assignment]
        self._takes_source = resolver.self_parameter is not None
        self._info_name = resolver.info_parameter.name if resolver.info_parameter else None

    def values(self, run: "Run", column: FieldColumn) -> Sequence[Any]:
        """What it answers for each."""
        function, name = self._function, self._info_name
        found = []
        for i, source in enumerate(column.group.sources):
            arguments = (source,) if self._takes_source else ()
            try:
                if name:
                    found.append(function(*arguments, **{name: ColumnInfo(run, column, i, self._definition)}))
                else:
                    found.append(function(*arguments))
            except Exception as error:
                found.append(error)
        return found


class Many:
    """A function that finds the values of all objects at once: the `many` in the metadata of a Strawberry field."""

    def __init__(self, many: Callable[[Sequence[Any], Info[Any, Any]], "Values"], field: StrawberryField) -> None:
        self._many = many
        self._field = field

    def values(self, run: "Run", column: FieldColumn) -> "Values":
        """What it answers, or an awaitable of it; each by itself when it fails."""
        try:
            return self._many(column.group.sources, ColumnInfo(run, column, 0, self._field))
        except Exception:
            return Function(self._field).values(run, column)


class Resolve:
    """A resolver of graphql-core."""

    def __init__(self, resolve: Callable[..., Any]) -> None:
        self._resolve = resolve

    def values(self, run: "Run", column: FieldColumn) -> Sequence[Any]:
        """What it answers for each."""
        sources = column.group.sources
        try:
            arguments = column.field.arguments(run.executor.variable_values)
        except Exception as error:
            return [error] * len(sources)
        return [_called(self._resolve, source, run.info(column, i), **arguments) for i, source in enumerate(sources)]


class ColumnInfo(Info[Any, Any]):
    """The Info of one object's field; graphql-core's is only made when somebody wants to know it."""

    def __init__(self, run: "Run", column: FieldColumn, i: int, definition: StrawberryField) -> None:
        self._run = run
        self._column = column
        self._i = i
        self._field = definition

    @cached_property
    def _raw_info(self) -> GraphQLResolveInfo[Any]:  # type: ignore[override]
        return self._run.info(self._column, self._i)

    @property
    def context(self) -> Any:
        """The context of the request."""
        return self._run.context


def resolver_of(schema: GraphQLSchema, field: GraphQLField, name: str) -> Resolver:
    """How the values of this field are found."""
    if name == "__typename":
        return TypeName()
    definition = field.extensions.get("strawberry-definition")
    if isinstance(definition, StrawberryField) and _is_plain(schema, definition):
        resolver = definition.base_resolver
        if many := definition.metadata.get("many"):
            return Many(many, definition)
        if resolver is None and definition.default_resolver is getattr:
            return Attribute(definition.python_name)
        if resolver and not (definition.arguments or resolver.parent_parameter or resolver.root_parameter):
            return Function(definition)
    return Resolve(field.resolve or default_field_resolver)


def _is_plain(schema: GraphQLSchema, definition: StrawberryField) -> bool:
    of = getattr(schema, "_strawberry_schema", None)
    has_own_ways = of is not None and (of.exception_handlers or of.config.info_class is not Info)
    return not (definition.extensions or definition.is_subscription or has_own_ways)


def _called(function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    try:
        return function(*arguments, **named)
    except Exception as error:
        return error
