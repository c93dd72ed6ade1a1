"""How the values of a field are found: by attribute, by its function, or as graphql-core does.

What Strawberry puts around each resolver is left away where it does nothing: for fields without arguments, extensions
and handlers of exceptions. Arguments that are the same for each request are converted once.
"""

from collections.abc import Callable, Sequence
from functools import cached_property, partial, reduce
from typing import TYPE_CHECKING, Any, Protocol

from graphql import GraphQLField, GraphQLResolveInfo, GraphQLSchema, default_field_resolver
from strawberry import Info
from strawberry.extensions.field_extension import build_field_extension_resolvers
from strawberry.types.arguments import convert_arguments
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


class Call:
    """A function with arguments, the same for each request, behind the extensions of its field."""

    def __init__(self, definition: StrawberryField, arguments: dict[str, Any]) -> None:
        resolver = definition.base_resolver
        assert resolver is not None
        self._definition = definition
        self._arguments = arguments
        self._function: Callable[..., Any] = resolver.wrapped_func  # type: ignore[assignment]
        self._takes_source = resolver.self_parameter is not None
        self._info_name = resolver.info_parameter.name if resolver.info_parameter else None
        extensions: Sequence[Any] = build_field_extension_resolvers(definition)
        self._call = reduce(lambda next_, extension: partial(extension, next_), extensions, self._call_function)

    def values(self, run: "Run", column: FieldColumn) -> Sequence[Any]:
        """What it answers for each."""
        call, definition, arguments = self._call, self._definition, self._arguments
        return [
            _called(call, source, ColumnInfo(run, column, i, definition), **arguments)
            for i, source in enumerate(column.group.sources)
        ]

    def _call_function(self, source: Any, info: Info[Any, Any], **arguments: Any) -> Any:
        if self._info_name:
            arguments[self._info_name] = info
        return self._function(source, **arguments) if self._takes_source else self._function(**arguments)


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

    @property
    def field_name(self) -> str:
        """The name of the field in the schema."""
        return self._column.field.name

    @property
    def memory(self) -> dict[Any, Any]:
        """For what is worked out from the document alone: it is the same for each request."""
        return self._column.field.memory


def resolver_of(schema: GraphQLSchema, field: GraphQLField, name: str, constant: dict[str, Any] | None) -> Resolver:
    """How the values of this field are found; `constant` are its arguments where they are always the same."""
    if name == "__typename":
        return TypeName()
    definition = field.extensions.get("strawberry-definition")
    if isinstance(definition, StrawberryField) and _is_without_own_ways(schema, definition):
        if found := _quick(definition):
            return found
        arguments = _converted(schema, definition, constant)
        if arguments is not None and _is_callable(definition):
            return Call(definition, arguments)
    return Resolve(field.resolve or default_field_resolver)


def _quick(definition: StrawberryField) -> Resolver | None:
    if not definition.extensions:
        resolver = definition.base_resolver
        if many := definition.metadata.get("many"):
            return Many(many, definition)
        if resolver is None and definition.default_resolver is getattr:
            return Attribute(definition.python_name)
        if resolver and not (definition.arguments or resolver.parent_parameter or resolver.root_parameter):
            return Function(definition)
    return None


def _is_without_own_ways(schema: GraphQLSchema, definition: StrawberryField) -> bool:
    of = getattr(schema, "_strawberry_schema", None)
    has_own_ways = of is not None and (of.exception_handlers or of.config.info_class is not Info)
    return not (definition.is_subscription or has_own_ways)


def _is_callable(definition: StrawberryField) -> bool:
    resolver = definition.base_resolver
    return resolver is not None and not (resolver.parent_parameter or resolver.root_parameter)


def _converted(
    schema: GraphQLSchema, definition: StrawberryField, constant: dict[str, Any] | None
) -> dict[str, Any] | None:
    """The arguments as the function takes them; None where that depends on the request, or fails, as it then will."""
    if constant is None:
        return None
    converter = schema._strawberry_schema.schema_converter  # type: ignore[attr-defined]
    registry, config = converter.scalar_registry, converter.config
    try:
        arguments = convert_arguments(constant, definition.arguments, scalar_registry=registry, config=config)
        return reduce(lambda given, extension: extension.map_arguments(given), definition.extensions, arguments)
    except Exception:
        return None


def _called(function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    try:
        return function(*arguments, **named)
    except Exception as error:
        return error
