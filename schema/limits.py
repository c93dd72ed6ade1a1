"""How large a request may be: counted in one pass that looks at each fragment once, whatever spreads it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    Node,
    OperationDefinitionNode,
    SelectionSetNode,
)

MAX_LINES = 5000  # each error counts them up to its own
_MAX_SHOWN = 2**53 - 1  # figures can have hundreds of digits, and clients read JSON's numbers as floats


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one request may ask for; None where there is no limit."""

    max_document_length: int | None = 1 << 16
    max_tokens: int | None = 1000
    max_depth: int | None = 10
    max_introspection_depth: int | None = 15
    max_aliases: int | None = 15
    max_directives: int | None = 50
    max_cost: int | None = 5000
    max_variable_values: int | None = 50_000
    max_errors: int = 20
    max_batch: int = 0


class _Size(NamedTuple):
    depth: int = 0
    introspection_depth: int = 0
    aliases: int = 0
    directives: int = 0


def check_text(text: str, limits: Limits) -> list[GraphQLError]:
    """What is too large in the text of a document, before it is parsed."""
    lines = 1 + text.count("\n") + text.count("\r") - text.count("\r\n")
    length = "maxDocumentLength", "length of the document"
    return [
        *excess(*length, len(text), limits.max_document_length),
        *excess("maxLines", "number of lines", lines, MAX_LINES),
    ]


def check_variables(variables: Mapping[str, Any] | None, allowed: int | None) -> list[GraphQLError]:
    """Whether variables have too many values: fields of objects and items of lists, wherever they are."""
    count = 0
    waiting: list[Any] = [variables or {}]
    while waiting and allowed is not None:
        container = waiting.pop()
        count += len(container)
        if count > allowed:
            message = f"The variables have more than {allowed} values."
            return [GraphQLError(message, extensions=too_complex("maxVariableValues", allowed))]
        values = container.values() if isinstance(container, Mapping) else container
        waiting += [value for value in values if isinstance(value, dict | list)]
    return []


def check_limits(document: DocumentNode, limits: Limits) -> list[GraphQLError]:
    """What is too large in a document; counted per operation, with its fragments spread out."""
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    measured: dict[str, _Size] = {}
    errors: list[GraphQLError] = []
    for node in document.definitions:
        if isinstance(node, OperationDefinitionNode):
            errors += _excesses(_measure(node.selection_set, fragments, measured), limits, node)
    return errors


def excess(
    limit: str, what: str, actual: int, allowed: int | None, node: Node | None = None, hint: str = ""
) -> list[GraphQLError]:
    """The error about a figure that is above what is allowed, if it is; `limit` is its name in `service`."""
    if allowed is None or actual <= allowed:
        return []
    shown = min(actual, _MAX_SHOWN)
    message = f"The {what} is {shown}, and at most {allowed}{hint}."
    return [GraphQLError(message, node, extensions=too_complex(limit, allowed, actual=shown))]


def too_complex(limit: str, allowed: int | None, **figures: int) -> dict[str, Any]:
    """What programs read of the error about a limit."""
    return {"code": "TOO_COMPLEX", "limit": limit, "allowed": allowed, **figures}


def _excesses(size: _Size, limits: Limits, node: OperationDefinitionNode) -> list[GraphQLError]:
    of_variables = sum(len(variable.directives or ()) for variable in node.variable_definitions or ())
    directives = size.directives + len(node.directives or ()) + of_variables
    introspection = "maxIntrospectionDepth", "introspection depth"
    return [
        *excess("maxDepth", "depth", size.depth, limits.max_depth, node),
        *excess(*introspection, size.introspection_depth, limits.max_introspection_depth, node),
        *excess("maxAliases", "number of aliases", size.aliases, limits.max_aliases, node),
        *excess("maxDirectives", "number of directives", directives, limits.max_directives, node),
    ]


def _measure(
    selections: SelectionSetNode | None, fragments: Mapping[str, FragmentDefinitionNode], measured: dict[str, _Size]
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


def _measure_fragment(name: str, fragments: Mapping[str, FragmentDefinitionNode], measured: dict[str, _Size]) -> _Size:
    if name not in measured:
        measured[name] = _Size()  # a fragment that spreads itself is refused by validation
        if fragment := fragments.get(name):
            size = _measure(fragment.selection_set, fragments, measured)
            measured[name] = size._replace(directives=size.directives + len(fragment.directives or ()))
    return measured[name]
