"""What a client selects below a field, so that its resolver reads no more than that."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from graphql import FieldNode, FragmentSpreadNode, GraphQLField, GraphQLResolveInfo, get_argument_values, get_named_type
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


def wanted_values(info: Info, field: str, argument: str, *paths: str) -> tuple[Any, ...]:
    """The values of an argument of a field, wherever it is selected at these paths below the field, each once."""
    raw = info._raw_info
    nodes = [(node, type_.fields[field]) for node, type_ in _below(raw, paths) if node.name.value == field]
    return tuple(dict.fromkeys(get_argument_values(of, node, raw.variable_values)[argument] for node, of in nodes))


def _wanted(raw: GraphQLResolveInfo[Any], paths: Sequence[str]) -> set[str]:
    return {column for node, type_ in _below(raw, paths) for column in _columns(type_.fields.get(node.name.value))}


def _below(raw: GraphQLResolveInfo[Any], paths: Sequence[str]) -> Iterator[tuple[FieldNode, Any]]:
    """What is selected at these paths, with the type that it is selected of; the path of the field itself is empty."""
    for path in paths:
        nodes: list[FieldNode] = list(raw.field_nodes)
        type_: Any = get_named_type(raw.return_type)
        for step in path.split(".") if path else ():
            nodes = [node for node in _selected(nodes, raw) if node.name.value == step]
            type_ = get_named_type(type_.fields[step].type)
        yield from ((node, type_) for node in _selected(nodes, raw))


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
