"""How much an operation may make the server do: the objects that its answer can have, at most or by assumption."""

from collections.abc import Mapping
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
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

MAX_COST = 5000
LIST_SIZE = 10  # assumed of a list that is no page, and whose metadata has no `size`


def check_cost(
    schema: GraphQLSchema,
    document: DocumentNode,
    operation: OperationDefinitionNode,
    variables: Mapping[str, Any] | None,
) -> list[GraphQLError]:
    """What is too dear in an operation that fits the schema; introspection is bounded by its depth."""
    root = schema.get_root_type(operation.operation)
    cost = _Counter(schema, document, operation, variables or {}).objects(operation.selection_set, root, None)
    if cost <= MAX_COST:
        return []
    message = f"The cost is {cost} objects, and at most {MAX_COST}: ask for smaller pages."
    return [GraphQLError(message, operation, extensions={"code": "TOO_COMPLEX"})]


class _Counter:
    def __init__(
        self,
        schema: GraphQLSchema,
        document: DocumentNode,
        operation: OperationDefinitionNode,
        variables: Mapping[str, Any],
    ) -> None:
        self._schema = schema
        self._fragments = {n.name.value: n for n in document.definitions if isinstance(n, FragmentDefinitionNode)}
        defaults = {node.variable.name.value: node.default_value for node in operation.variable_definitions or ()}
        self._variables = {name: _integer(value) for name, value in defaults.items()} | dict(variables)
        self._counted: dict[tuple[str, int | None], int] = {}

    def objects(self, selections: SelectionSetNode | None, parent: Any, page: int | None) -> int:
        """Objects below one of the type `parent`, whose lists are a page of this size."""
        count = 0
        for node in selections.selections if selections else ():
            if isinstance(node, FragmentSpreadNode):
                count += self._of_fragment(node.name.value, page)
            elif isinstance(node, InlineFragmentNode):
                of = self._schema.get_type(node.type_condition.name.value) if node.type_condition else parent
                count += self.objects(node.selection_set, of, page)
            elif isinstance(node, FieldNode) and isinstance(parent, GraphQLObjectType | GraphQLInterfaceType):
                count += self._of_field(node, parent, page)
        return count

    def _of_field(self, node: FieldNode, parent: GraphQLObjectType | GraphQLInterfaceType, page: int | None) -> int:
        field = parent.fields.get(node.name.value)
        if field is None or is_leaf_type(named := get_named_type(field.type)):
            return 0
        own_page = self._page(node) if "first" in field.args else None
        if isinstance(get_nullable_type(field.type), GraphQLList):
            return (own_page or page or _assumed(field)) * (1 + self.objects(node.selection_set, named, None))
        return 1 + self.objects(node.selection_set, named, own_page)

    def _of_fragment(self, name: str, page: int | None) -> int:
        if (name, page) not in self._counted:
            fragment = self._fragments[name]
            of = self._schema.get_type(fragment.type_condition.name.value)
            self._counted[name, page] = self.objects(fragment.selection_set, of, page)
        return self._counted[name, page]

    def _page(self, node: FieldNode) -> int:
        given = {argument.name.value: argument.value for argument in node.arguments or ()}
        sizes = [self._size(given[name]) for name in ("first", "last") if name in given]
        return max(0, min(max((size for size in sizes if size is not None), default=DEFAULT_PAGE), MAX_PAGE))

    def _size(self, value: Any) -> int | None:
        size = self._variables.get(value.name.value) if isinstance(value, VariableNode) else _integer(value)
        if isinstance(size, float) and size.is_integer():  # which is an Int in the JSON of variables
            return int(size)
        return size if isinstance(size, int) else None


def _assumed(field: GraphQLField) -> int:
    definition = field.extensions.get("strawberry-definition")
    return int(definition.metadata.get("size", LIST_SIZE)) if definition else LIST_SIZE


def _integer(value: Any) -> int | None:
    return int(value.value) if isinstance(value, IntValueNode) else None
