"""Only the documents of a manifest: the strict way of naming them."""

from collections.abc import Callable, Iterator, Sequence
from sys import getsizeof

from graphql import GraphQLError

from schema.manifest import Entry, Manifest, ManifestError
from schema.operations import Operation, Operations, Refused
from schema.request import Request, hash_of
from schema.trace import Trace

NOT_ALLOWED = {
    "code": "DOCUMENT_NOT_ALLOWED",
    "hint": "name one by its id, or have this one added to the manifest: docs/documents.md",
}


class AllowedDocuments:
    """Executes what is in a manifest, named by its id or its SHA-256, or sent as it is there to the letter.

    ManifestError when a document of it cannot be executed, or an id means two of them.
    """

    def __init__(self, operations: Operations, manifest: Manifest, report: Callable[..., None]) -> None:
        self._operations = operations
        self._report = report
        entries = manifest.entries
        if mistakes := [f"{manifest.file}: {mistake}" for mistake in _mistakes(operations, entries)]:
            raise ManifestError("\n".join(mistakes))
        self._texts = {it.body: it.body for it in entries}
        self._by_id = {hash_of(it.body): it.body for it in entries}
        self._by_id |= {it.id.removeprefix("sha256:"): it.body for it in entries}

    def __len__(self) -> int:
        return len(self._texts)

    @property
    def bytes(self) -> int:
        """How much memory their texts take."""
        return sum(map(getsizeof, self._texts))

    def prepare(self, request: Request, trace: Trace) -> Operation:
        """The operation that is meant, of a document of the manifest; Refused for any other."""
        named = self._by_id.get(request.document_id) if request.document_id else self._texts.get(request.query)
        if named is None or request.query not in ("", named):
            self._report("persisted_document", outcome="refused")
            raise Refused([GraphQLError("This document is none of the manifest's.", extensions=NOT_ALLOWED)])
        self._report("persisted_document", outcome="hit")
        return self._operations.prepare(request._replace(query=named), trace)


def _mistakes(operations: Operations, entries: Sequence[Entry]) -> Iterator[str]:
    bodies: dict[str, str] = {}
    for entry in entries:
        document = f"document {' '.join(filter(None, (entry.name, f'({entry.id})')))}"
        if bodies.setdefault(entry.id, entry.body) != entry.body:
            yield f"{document}: another one has the same id"
        for error in operations.errors_in(entry.body):
            line = f", line {error.locations[0].line}" if error.locations else ""
            yield f"{document}{line}: {error.message}"
