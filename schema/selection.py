"""What a client selects below a field, so that its resolver reads no more than that."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from graphql import FieldNode, FragmentSpreadNode, GraphQLField, GraphQLResolveInfo, get_named_type
from strawberry import Info

from schema.execution.resolving import ColumnInfo


def wanted_columns(info: Info, *paths: str) -> frozenset[str]:
    """The columns of what is selected at these paths below the field, like `edges.node`: those that a field's metadata
    name as its `columns`, or the one of its name. What @skip and @include say is not looked at: some may be too many.
    """
    memory = info.memory if isinstance(info, ColumnInfo) else {}
    if paths not in memory:
        memory[paths] = frozenset(_wanted(info._raw_info, paths))
    wanted: frozenset[str] = memory[paths]
    return wanted


def _wanted(raw: GraphQLResolveInfo[Any], paths: Sequence[str]) -> set[str]:
    wanted: set[str] = set()
    for path in paths:
        nodes: list[FieldNode] = list(raw.field_nodes)
        type_: Any = get_named_type(raw.return_type)
        for step in path.split("."):
            nodes = [node for node in _selected(nodes, raw) if node.name.value == step]
            type_ = get_named_type(type_.fields[step].type)
        for node in _selected(nodes, raw):
            wanted.update(_columns(type_.fields.get(node.name.value)))
    return wanted


def _columns(field: GraphQLField | None) -> Iterable[str]:
    definition = field.extensions.get("strawberry-definition") if field else None
    if definition is None:
        return ()
    own = () if definition.base_resolver else (definition.python_name,)
    columns: Iterable[str] = definition.metadata.get("columns", own)
    return columns


def _selected(nodes: Iterable[Any], info: GraphQLResolveInfo[Any]) -> Iterator[FieldNode]:
    for node in nodes:
        for selection in node.selection_set.selections if node.selection_set else ():
            if isinstance(selection, FieldNode):
                yield selection
            elif isinstance(selection, FragmentSpreadNode):
                yield from _selected([info.fragments[selection.name.value]], info)
            else:
                yield from _selected([selection], info)
