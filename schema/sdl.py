"""The order of the printed schema: alphabetical, as linters and differences want it; what is served keeps its own."""

import re
from dataclasses import replace
from typing import Any

from graphql import (
    EnumTypeDefinitionNode,
    FieldDefinitionNode,
    InputObjectTypeDefinitionNode,
    InterfaceTypeDefinitionNode,
    Node,
    ObjectTypeDefinitionNode,
    Visitor,
    parse,
    print_ast,
    visit,
)

_MEMBERS: dict[type[Node], str] = {
    ObjectTypeDefinitionNode: "fields",
    InterfaceTypeDefinitionNode: "fields",
    InputObjectTypeDefinitionNode: "fields",
    EnumTypeDefinitionNode: "values",
    FieldDefinitionNode: "arguments",
}
_DESCRIBED_MEMBER = re.compile(r'([^{(])\n( +"""(?s:.*?)""")|( +"""(?s:.*?)""")')


def alphabetical(sdl: str) -> str:
    """The same schema with fields, arguments and enum values in alphabetical order, a blank line between them."""
    printed = print_ast(visit(parse(sdl, no_location=True), _Sorting()))
    return _DESCRIBED_MEMBER.sub(lambda found: found[3] or f"{found[1]}\n\n{found[2]}", printed) + "\n"


class _Sorting(Visitor):
    def leave(self, node: Any, *_: Any) -> Any:
        name = _MEMBERS.get(type(node))
        if name is None:
            return node
        members = getattr(node, name) or ()
        return replace(node, **{name: tuple(sorted(members, key=lambda member: member.name.value))})
