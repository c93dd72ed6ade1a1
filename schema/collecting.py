"""From files of operations and fragments to a manifest's documents."""

from collections.abc import Iterable, Iterator
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLSyntaxError,
    NameNode,
    Node,
    OperationDefinitionNode,
    SelectionSetNode,
    Source,
    Visitor,
    parse,
    print_ast,
    visit,
)

from schema.manifest import Entry, ManifestError
from schema.operations import Operations
from schema.request import hash_of

_TYPENAME = FieldNode(name=NameNode(value="__typename"))


def collect(operations: Operations, sources: Iterable[Source], *, add_typename: bool = False) -> list[Entry]:
    """Each operation of the sources as a document with the fragments that it needs, in the order of their names.

    The sources have the names of their files. ManifestError has a line for each mistake.
    """
    collection = _Collection()
    for source in sources:
        collection.read(source)
    documents = collection.documents(add_typename=add_typename)
    for document in documents:
        for place, mistake in _mistakes(operations, document):
            collection.note(place, mistake)
    if collection.mistakes:
        raise ManifestError("\n".join(collection.mistakes))
    return [_entry(document) for document in documents]


class _Collection:
    """The operations and fragments of some files, by name, and what is wrong with them."""

    def __init__(self) -> None:
        self.mistakes: dict[str, None] = {}  # an ordered set: a fragment is wrong wherever it is used
        self._operations: dict[str, Any] = {}
        self._fragments: dict[str, Any] = {}

    def read(self, source: Source) -> None:
        try:
            document = parse(source)
        except GraphQLSyntaxError as error:
            self.note(_place(error), error.message)
            return
        for node in document.definitions:
            if isinstance(node, OperationDefinitionNode):
                self._add(node, self._operations)
            elif isinstance(node, FragmentDefinitionNode):
                self._add(node, self._fragments)
            else:
                self.note(_line(node), "only operations and fragments belong here")

    def note(self, place: str, mistake: str) -> None:
        self.mistakes[f"{place}: {mistake}"] = None

    def documents(self, *, add_typename: bool) -> list[DocumentNode]:
        names = sorted(self._operations)
        documents = [DocumentNode(definitions=tuple(self._needed(self._operations[name]))) for name in names]
        return [visit(document, _AddTypename()) for document in documents] if add_typename else documents

    def _add(self, node: OperationDefinitionNode | FragmentDefinitionNode, known: dict[str, Any]) -> None:
        name = node.name.value if node.name else ""
        if not name:
            self.note(_line(node), "the operation needs a name")
        elif name in known:
            self.note(_line(node), f"{name} is the name of {_line(known[name])} already")
        else:
            known[name] = node

    def _needed(self, operation: OperationDefinitionNode) -> list[Any]:
        names = _spread_in(operation)
        looked_at: set[str] = set()
        while new := names & self._fragments.keys() - looked_at:
            looked_at |= new
            names = names.union(*(_spread_in(self._fragments[name]) for name in new))
        return [operation, *(self._fragments[name] for name in sorted(looked_at))]


def _mistakes(operations: Operations, document: DocumentNode) -> Iterator[tuple[str, str]]:
    head = _line(document.definitions[0])
    if errors := operations.errors_of(document):
        yield from ((_place(error) or head, error.message) for error in errors)
    else:  # its tokens are left to be counted
        yield from ((head, error.message) for error in operations.errors_in(print_ast(document)))


def _entry(document: DocumentNode) -> Entry:
    operation: Any = document.definitions[0]
    body = print_ast(document)
    return Entry(hash_of(body), body, operation.name.value, operation.operation.value)


def _spread_in(node: Node) -> set[str]:
    spreads = _Spreads()
    visit(node, spreads)
    return spreads.names


class _Spreads(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def enter_fragment_spread(self, node: FragmentSpreadNode, *_: Any) -> None:
        self.names.add(node.name.value)


class _AddTypename(Visitor):
    """Adds `__typename` to every selection set but that of the operation, as Apollo Client and urql do."""

    def leave_selection_set(self, node: SelectionSetNode, _key: Any, parent: Any, *_: Any) -> Any:
        names = [it.name.value for it in node.selections if isinstance(it, FieldNode)]
        if isinstance(parent, OperationDefinitionNode) or any(name.startswith("__") for name in names):
            return None
        return SelectionSetNode(selections=(*node.selections, _TYPENAME), loc=node.loc)


def _place(error: GraphQLError) -> str:
    return f"{error.source.name}:{error.locations[0].line}" if error.source and error.locations else ""


def _line(node: Node) -> str:
    return f"{node.loc.source.name}:{node.loc.start_token.line}" if node.loc else ""
