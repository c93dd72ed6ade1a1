"""Whether fields that overlap can be merged: asked once for each set of fields that meet, and not for each pair.

graphql-core compares every two fields with the same response name, and what is below them again for every pair, so that
some hundreds of equal fields keep it busy for seconds. Here, the fields that meet at one place of an answer are one
set: its fields are grouped by response name, each is compared with the first of its group, and what is below a group
is the next set. A set that was looked at is not looked at again, wherever else it meets.
"""

from collections.abc import Hashable, Iterable
from typing import Any, NamedTuple

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    ListValueNode,
    NullValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    StringValueNode,
    VariableNode,
    get_named_type,
    is_leaf_type,
)

MAX_VISITS = 10_000  # of fields: some 15 ms; more where a document has so many fields
_VISITS_PER_FIELD = 4


def may_conflict(schema: GraphQLSchema, document: DocumentNode) -> bool:
    """Whether fields conflict in an operation of a document that is valid otherwise, or too many meet to tell."""
    try:
        return OverlapCheck(schema, document).finds_conflict()
    except Undecided:
        return True


class Undecided(Exception):
    """More fields would have to be visited than may be."""


class _Field(NamedTuple):
    node: FieldNode
    parent: GraphQLNamedType | None
    definition: GraphQLField | None


class _Selection:
    """The fields of one selection set, with those of its inline fragments; equal to itself only."""

    def __init__(self) -> None:
        self.fields: list[_Field] = []


_Meeting = frozenset[_Selection]


class OverlapCheck:
    """One document's check, and how many fields it has visited."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode) -> None:
        self.visits = 0
        self._fields = 0
        self._schema = schema
        self._document = document
        self._fragments = {n.name.value: n for n in document.definitions if isinstance(n, FragmentDefinitionNode)}
        self._collected: dict[int, _Meeting] = {}
        self._calls: dict[int, Hashable] = {}
        self._merged: set[_Meeting] = set()
        self._alike: set[_Meeting] = set()

    def finds_conflict(self) -> bool:
        """Whether any operation has one."""
        return any(
            self._conflicts(self._fields_of(node.selection_set, self._schema.get_root_type(node.operation)))
            for node in self._document.definitions
            if isinstance(node, OperationDefinitionNode)
        )

    def _conflicts(self, meeting: _Meeting) -> bool:
        """Whether any two of these fields, or below them, cannot be merged."""
        if meeting in self._merged:
            return False
        self._merged.add(meeting)
        return any(self._cannot_merge(group) for group in self._by_response_name(meeting))

    def _cannot_merge(self, group: list[_Field]) -> bool:
        if len(group) == 1:
            return self._conflicts(self._below(group))
        parts = _by_parent(group)
        return (
            _differ_in_shape(group)
            or (len(parts) > 1 and self._shapes_conflict(self._below(group)))
            or any(_differ(map(self._call, part)) or self._conflicts(self._below(part)) for part in parts)
        )

    def _shapes_conflict(self, meeting: _Meeting) -> bool:
        """Whether any two of these fields, of objects that are never the same, have answers of different shapes."""
        if meeting in self._alike or meeting in self._merged:
            return False
        self._alike.add(meeting)
        return any(
            _differ_in_shape(group) or self._shapes_conflict(self._below(group))
            for group in self._by_response_name(meeting)
        )

    def _by_response_name(self, meeting: _Meeting) -> Iterable[list[_Field]]:
        groups: dict[str, list[_Field]] = {}
        for selection in meeting:
            self.visits += len(selection.fields)
            for field in selection.fields:
                name = field.node.alias or field.node.name
                groups.setdefault(name.value, []).append(field)
        if self.visits > max(MAX_VISITS, _VISITS_PER_FIELD * self._fields):
            raise Undecided
        return groups.values()

    def _below(self, group: list[_Field]) -> _Meeting:
        return frozenset().union(
            *(
                self._fields_of(node.selection_set, get_named_type(definition.type) if definition else None)
                for node, _, definition in group
                if node.selection_set
            )
        )

    def _fields_of(self, selections: SelectionSetNode, parent: GraphQLNamedType | None) -> _Meeting:
        """The fields of a selection set, fragments spread out."""
        key = id(selections)
        if key not in self._collected:
            self._collected[key] = frozenset()  # for a fragment that spreads itself; it is refused for that
            own, spread = _Selection(), set[_Selection]()
            self._collect(selections, parent, own.fields, spread)
            self._fields += len(own.fields)
            self._collected[key] = frozenset(spread | {own} if own.fields else spread)
        return self._collected[key]

    def _collect(
        self,
        selections: SelectionSetNode,
        parent: GraphQLNamedType | None,
        fields: list[_Field],
        spread: set[_Selection],
    ) -> None:
        for node in selections.selections:
            if isinstance(node, FieldNode):
                fields.append(_Field(node, parent, _definition(parent, node)))
            elif isinstance(node, InlineFragmentNode):
                self._collect(node.selection_set, self._condition(node) or parent, fields, spread)
            elif isinstance(node, FragmentSpreadNode) and (fragment := self._fragments.get(node.name.value)):
                spread |= self._fields_of(fragment.selection_set, self._condition(fragment))

    def _condition(self, node: Any) -> GraphQLNamedType | None:
        return self._schema.get_type(node.type_condition.name.value) if node.type_condition else None

    def _call(self, field: _Field) -> Hashable:
        """What fields must agree on where they can be of the same object: the name and the arguments."""
        node = field.node
        if id(node) not in self._calls:
            self._calls[id(node)] = node.name.value, _pairs(node.arguments)
        return self._calls[id(node)]


def _definition(parent: GraphQLNamedType | None, node: FieldNode) -> GraphQLField | None:
    return parent.fields.get(node.name.value) if isinstance(parent, GraphQLObjectType | GraphQLInterfaceType) else None


def _by_parent(group: list[_Field]) -> list[list[_Field]]:
    """Those that can be of the same object, object type by object type."""
    abstract = [field for field in group if not isinstance(field.parent, GraphQLObjectType)]
    parts: dict[str, list[_Field]] = {}
    for field in group:
        if isinstance(field.parent, GraphQLObjectType):
            parts.setdefault(field.parent.name, [*abstract]).append(field)
    return [*parts.values()] or [abstract]


def _differ_in_shape(group: list[_Field]) -> bool:
    streams = any(directive.name.value == "stream" for field in group for directive in field.node.directives or ())
    return (streams and len(group) > 1) or _differ(_shape(it.definition.type) for it in group if it.definition)


def _shape(type_: Any) -> Hashable:
    """What all types of one response name have in common: their lists, what is never null, and the scalar or enum."""
    if isinstance(type_, GraphQLList | GraphQLNonNull):
        return type(type_), _shape(type_.of_type)
    return type_.name if is_leaf_type(type_) else None


def _differ(values: Iterable[Hashable]) -> bool:
    remaining = iter(values)
    first = next(remaining, None)
    return any(value != first for value in remaining)


def _pairs(nodes: Iterable[Any] | None) -> Hashable:
    """Arguments or fields of an input object, in whatever order."""
    return frozenset((node.name.value, _value(node.value)) for node in nodes or ())


def _value(node: Any) -> Hashable:
    if isinstance(node, VariableNode):
        return type(node), node.name.value
    if isinstance(node, ListValueNode):
        return type(node), tuple(map(_value, node.values))
    if isinstance(node, ObjectValueNode):
        return type(node), _pairs(node.fields)
    if isinstance(node, StringValueNode):
        return type(node), node.value, node.block
    return type(node), None if isinstance(node, NullValueNode) else node.value
