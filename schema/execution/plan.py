"""What an operation asks: selections of fields, worked out once for a document, and executed often."""

from collections.abc import Awaitable, Iterator, Sequence
from enum import Enum
from types import NoneType
from typing import Any

from cachetools import LRUCache
from graphql import (
    BooleanValueNode,
    DirectiveNode,
    DocumentNode,
    EnumValueNode,
    ExecutionResult,
    Executor,
    FieldNode,
    FloatValueNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLField,
    GraphQLObjectType,
    GraphQLSchema,
    IntValueNode,
    Node,
    NullValueNode,
    OperationDefinitionNode,
    OperationType,
    StringValueNode,
    VariableNode,
    default_field_resolver,
    default_type_resolver,
)
from graphql.execution.collect_fields import (
    FieldDetailsList,
    FragmentDetails,
    GroupedFieldSet,
    collect_fields,
    collect_subfields,
)
from graphql.execution.values import VariableValues, get_argument_values

from schema.execution.resolving import Attribute, Resolver, resolver_of
from schema.execution.run import Run
from schema.execution.shapes import Shape, shape_of

MAX_VARIANTS = 8  # of one operation, by what @skip and @include say

_LITERAL = (BooleanValueNode, EnumValueNode, FloatValueNode, IntValueNode, NullValueNode, StringValueNode)
_CONDITIONS = {"skip", "include"}


class Plan:
    """How to execute one operation of a valid document; what its @skip and @include say makes variants of it."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode) -> None:
        self.schema = schema
        self.operation = operation
        definitions = [node for node in document.definitions if isinstance(node, FragmentDefinitionNode)]
        self.fragments = {node.name.value: node for node in definitions}
        self.fragment_details = {name: FragmentDetails(node) for name, node in self.fragments.items()}
        directives = list(_directives([*definitions, operation]))
        self.conditions = sorted({name for node in directives for name in _variables(node)})
        self.is_covered = (
            operation.operation is not OperationType.MUTATION  # whose fields run one after the other
            and all(node.name.value in _CONDITIONS for node in directives)
            and not any(node.variable_definitions for node in definitions)
        )
        self._variants: LRUCache[tuple[bool, ...], Selection] = LRUCache(MAX_VARIANTS)

    def execute(
        self, roots: Sequence[Any], context: Any, variables: VariableValues
    ) -> list[ExecutionResult] | Awaitable[list[ExecutionResult]]:
        """The answers for these roots: one for a query, the events of a subscription else."""
        executor: Executor[Any] = Executor(
            self.schema,
            self.fragments,
            self.fragment_details,
            roots[0],
            context,
            self.operation,
            variables,
            default_field_resolver,
            default_type_resolver,
            default_field_resolver,
        )
        return Run(executor, roots).execute(self._selection(variables))

    def covers(self, variables: VariableValues) -> bool:
        """Whether this can be executed here; graphql-core executes everything."""
        return self.is_covered and all(isinstance(variables.coerced.get(name), bool) for name in self.conditions)

    def _selection(self, variables: VariableValues) -> "Selection":
        key = tuple(variables.coerced[name] for name in self.conditions)
        selection = self._variants.get(key)
        if selection is None:
            selection = self._variants[key] = self._selected(dict(zip(self.conditions, key, strict=True)))
        return selection

    def _selected(self, conditions: dict[str, bool]) -> "Selection":
        root = self.schema.get_root_type(self.operation.operation)
        assert root is not None  # the document is valid
        variables = VariableValues({}, conditions)
        fields = collect_fields(self.schema, self.fragment_details, variables, root, self.operation)
        return Selection(self, variables, root, fields.grouped_field_set)


class Selection:
    """The fields that are selected of objects of one type."""

    def __init__(
        self, plan: Plan, conditions: VariableValues, type_: GraphQLObjectType, fields: GroupedFieldSet
    ) -> None:
        self.plan = plan
        self.conditions = conditions
        self.type = type_
        self.fields = [Field(self, position, key, details) for position, (key, details) in enumerate(fields.items())]
        self.template: dict[str, Any] = dict.fromkeys(field.key for field in self.fields)

    def below(self, type_: GraphQLObjectType, details: FieldDetailsList) -> "Selection":
        """What these nodes of one field select of objects of a type."""
        plan = self.plan
        fields = collect_subfields(plan.schema, plan.fragment_details, self.conditions, plan.operation, type_, details)
        return Selection(plan, self.conditions, type_, fields.grouped_field_set)


class Field:
    """A field of a selection: how its values are found, and what shape they have."""

    def __init__(self, selection: Selection, position: int, key: str, details: FieldDetailsList) -> None:
        self.position = position
        self.key = key
        self.details = details
        self.nodes: list[FieldNode] = [detail.node for detail in details]
        self.name = self.nodes[0].name.value
        self.parent_type = selection.type
        schema = selection.plan.schema
        definition = schema.get_field(selection.type, self.name)
        assert definition is not None  # the document is valid
        self.definition: GraphQLField = definition
        self.constant = _constant_arguments(definition, self.nodes[0])
        self.resolver: Resolver = resolver_of(schema, definition, self.name, self.constant)
        self.attribute = self.resolver.name if isinstance(self.resolver, Attribute) else None
        self.memory: dict[Any, Any] = {}  # of what resolvers work out from the document alone
        self.shape: Shape = shape_of(definition.type, lambda type_: selection.below(type_, details))

    def arguments(self, variables: VariableValues) -> dict[str, Any]:
        """The values of its arguments; GraphQLError when one is missing or wrong after all."""
        if self.constant is not None:
            return self.constant
        return get_argument_values(self.definition, self.nodes[0], variables)


def _constant_arguments(definition: GraphQLField, node: FieldNode) -> dict[str, Any] | None:
    """The values of arguments that are the same for each request, and that nobody can change; None for others."""
    if not definition.args:
        return {}
    if not all(isinstance(argument.value, _LITERAL) for argument in node.arguments or ()):
        return None
    try:
        values = get_argument_values(definition, node, VariableValues({}, {}))
    except GraphQLError:
        return None  # each request is told so
    return values if all(map(_is_constant, values.values())) else None


def _is_constant(value: Any) -> bool:
    return isinstance(value, str | int | float | Enum | NoneType)


def _directives(nodes: Sequence[Node]) -> Iterator[DirectiveNode]:
    for node in nodes:
        yield from getattr(node, "directives", None) or ()
        selections = getattr(node, "selection_set", None)
        if selections:
            yield from _directives(selections.selections)


def _variables(node: DirectiveNode) -> Iterator[str]:
    for argument in node.arguments or ():
        if isinstance(argument.value, VariableNode):
            yield argument.value.name.value
