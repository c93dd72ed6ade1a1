"""How much an operation may make the server do: the objects that its answer can have, at most or by assumption."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_leaf_type,
)

from resolvers.page import DEFAULT_PAGE, MAX_PAGE

LIST_SIZE = 10  # assumed of a list that is no page, and whose metadata has no `size`
MAX_COMBINATIONS = 100  # of sizes, that the cost of an operation is kept for
INTROSPECTION = {"__schema": 1000, "__type": 100}  # whatever is asked of them, which their depth bounds


class OperationCost:
    """What an operation that fits the schema costs, whatever the values of its variables are.

    It is counted once for each combination of sizes that variables give its pages, and in that each fragment once: so
    it is linear in the size of the document.
    """

    def __init__(self, schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode) -> None:
        self._root = schema.get_root_type(operation.operation)
        self._selections = operation.selection_set
        self._defaults = {n.variable.name.value: n.default_value for n in operation.variable_definitions or ()}
        self._counter = _Counter(schema, document)
        self._names = self._counter.page_variables(self._selections, self._root)
        self._counted: dict[tuple[int | None, ...], int] = {}

    def objects(self, variables: Mapping[str, Any] | None) -> int:
        """The objects that the answer can have."""
        sizes = tuple(self._size(name, variables or {}) for name in self._names)
        if sizes not in self._counted:
            if len(self._counted) >= MAX_COMBINATIONS:
                self._counted.clear()
            of_names = dict(zip(self._names, sizes, strict=True))
            self._counted[sizes] = self._counter.objects(self._selections, self._root, of_names)
        return self._counted[sizes]

    def _size(self, name: str, variables: Mapping[str, Any]) -> int | None:
        return _size(variables[name] if name in variables else self._defaults.get(name))


class _Objects(NamedTuple):
    """The objects below a selection set, whose lists may be those of a page that is not known yet."""

    fixed: int = 0
    per_item: int = 0
    """So many more for each item of the page."""
    assumed: int = 0
    """So many more when it is no page."""

    def of_page(self, size: int | None) -> int:
        """How many they are, on a page of this size or on none."""
        return self.fixed + (self.assumed if size is None else size * self.per_item)


def _sum(counts: Iterable[_Objects]) -> _Objects:
    return _Objects(*map(sum, zip(_Objects(), *counts, strict=True)))


class _Counter:
    def __init__(self, schema: GraphQLSchema, document: DocumentNode) -> None:
        self._schema = schema
        self._fragments = {n.name.value: n for n in document.definitions if isinstance(n, FragmentDefinitionNode)}
        self._counted: dict[str, _Objects] = {}
        self._sizes: dict[str, int | None] = {}

    def objects(self, selections: SelectionSetNode, root: Any, sizes: dict[str, int | None]) -> int:
        """The objects of an operation, with these values of the variables that are sizes of pages."""
        self._counted, self._sizes = {}, sizes
        return self.below(selections, root).of_page(None)

    def page_variables(self, selections: SelectionSetNode, root: Any) -> tuple[str, ...]:
        """The names of those variables."""
        asked: dict[str, int | None] = defaultdict(lambda: None)
        self.objects(selections, root, asked)
        return tuple(asked)

    def below(self, selections: SelectionSetNode | None, parent: Any) -> _Objects:
        """The objects below one of the type `parent`."""
        return _sum(self._of_selection(node, parent) for node in selections.selections) if selections else _Objects()

    def _of_selection(self, node: Any, parent: Any) -> _Objects:
        if isinstance(node, FragmentSpreadNode):
            return self._of_fragment(node.name.value)
        if isinstance(node, InlineFragmentNode):
            of = self._schema.get_type(node.type_condition.name.value) if node.type_condition else parent
            return self.below(node.selection_set, of)
        if isinstance(parent, GraphQLObjectType | GraphQLInterfaceType) and (
            field := parent.fields.get(node.name.value)
        ):
            return self._of_field(node, field)
        return _Objects(fixed=INTROSPECTION.get(node.name.value, 0))

    def _of_field(self, node: FieldNode, field: GraphQLField) -> _Objects:
        named = get_named_type(field.type)
        if is_leaf_type(named):
            return _Objects()
        below = self.below(node.selection_set, named)
        page = self._page(node) if "first" in field.args else None
        if not isinstance(get_nullable_type(field.type), GraphQLList):
            return _Objects(fixed=1 + below.of_page(page))
        item = 1 + below.of_page(None)
        return _Objects(per_item=item, assumed=_assumed(field) * item) if page is None else _Objects(fixed=page * item)

    def _of_fragment(self, name: str) -> _Objects:
        if name not in self._counted:
            fragment = self._fragments[name]
            of = self._schema.get_type(fragment.type_condition.name.value)
            self._counted[name] = self.below(fragment.selection_set, of)
        return self._counted[name]

    def _page(self, node: FieldNode) -> int:
        given = {argument.name.value: argument.value for argument in node.arguments or ()}
        sizes = [self._size(given[name]) for name in ("first", "last") if name in given]
        return max(0, min(max((size for size in sizes if size is not None), default=DEFAULT_PAGE), MAX_PAGE))

    def _size(self, value: Any) -> int | None:
        return self._sizes[value.name.value] if isinstance(value, VariableNode) else _size(value)


def _size(value: Any) -> int | None:
    """The size of a page as a literal or the JSON of a variable has it."""
    if isinstance(value, IntValueNode):
        return int(value.value)
    if isinstance(value, float) and value.is_integer():  # which is an Int in JSON
        return int(value)
    return value if isinstance(value, int) else None


def _assumed(field: GraphQLField) -> int:
    definition = field.extensions.get("strawberry-definition")
    return int(definition.metadata.get("size", LIST_SIZE)) if definition else LIST_SIZE
