"""How large a document may be: one pass that counts each fragment once, linear in the size of the document."""

from typing import NamedTuple

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
)

MAX_TOKENS = 1000
MAX_DEPTH = 10
MAX_INTROSPECTION_DEPTH = 15
MAX_ALIASES = 15
MAX_DIRECTIVES = 50


class _Size(NamedTuple):
    depth: int = 0
    introspection_depth: int = 0
    aliases: int = 0
    directives: int = 0


def check_limits(document: DocumentNode) -> list[GraphQLError]:
    """What is too large in a document; counted per operation, with its fragments spread out."""
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    measured: dict[str, _Size] = {}
    errors: list[GraphQLError] = []
    for node in document.definitions:
        if isinstance(node, OperationDefinitionNode):
            errors += _excesses(_measure(node.selection_set, fragments, measured), node)
    return errors


def _excesses(size: _Size, node: OperationDefinitionNode) -> list[GraphQLError]:
    limits = (
        ("depth", size.depth, MAX_DEPTH),
        ("introspection depth", size.introspection_depth, MAX_INTROSPECTION_DEPTH),
        ("number of aliases", size.aliases, MAX_ALIASES),
        ("number of directives", size.directives + len(node.directives or ()), MAX_DIRECTIVES),
    )
    return [
        GraphQLError(f"The {name} is {given}, and at most {limit}.", node, extensions={"code": "TOO_COMPLEX"})
        for name, given, limit in limits
        if given > limit
    ]


def _measure(
    selections: SelectionSetNode | None, fragments: dict[str, FragmentDefinitionNode], measured: dict[str, _Size]
) -> _Size:
    depth = introspection_depth = aliases = directives = 0
    for node in selections.selections if selections else ():
        directives, inner = directives + len(node.directives or ()), _Size()
        if isinstance(node, FragmentSpreadNode):
            inner = _measure_fragment(node.name.value, fragments, measured)
        elif isinstance(node, FieldNode | InlineFragmentNode):
            inner = _measure(node.selection_set, fragments, measured)
        if isinstance(node, FieldNode):
            aliases += node.alias is not None
            if node.name.value.startswith("__"):
                inner = inner._replace(depth=0, introspection_depth=inner.depth + 1)
            else:
                inner = inner._replace(depth=inner.depth + 1)
        depth, introspection_depth = max(depth, inner.depth), max(introspection_depth, inner.introspection_depth)
        aliases, directives = aliases + inner.aliases, directives + inner.directives
    return _Size(depth, introspection_depth, aliases, directives)


def _measure_fragment(name: str, fragments: dict[str, FragmentDefinitionNode], measured: dict[str, _Size]) -> _Size:
    if name not in measured:
        measured[name] = _Size()  # a fragment that spreads itself is refused by validation
        fragment = fragments.get(name)
        measured[name] = _measure(fragment.selection_set if fragment else None, fragments, measured)
    return measured[name]
