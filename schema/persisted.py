"""Documents that clients name instead of sending them: those that they have sent before."""

from collections.abc import Callable
from sys import getsizeof
from typing import Protocol

from cachetools import LRUCache
from graphql import GraphQLError

from schema.operations import Operation, Operations, Refused
from schema.request import InvalidRequest, Request, hash_of
from schema.trace import Trace

# Apollo's clients know these codes and messages: at the first they send the document, at the second no hash any more.
NOT_FOUND = {"code": "PERSISTED_QUERY_NOT_FOUND"}
NOT_SUPPORTED = {"code": "PERSISTED_QUERY_NOT_SUPPORTED"}
OVERHEAD_BYTES = 400  # of a document that is kept, beside its text: its hash, and its place in the store


class Documents(Protocol):
    """Which documents are executed, and how they are named."""

    def __len__(self) -> int:
        """How many can be named."""

    @property
    def bytes(self) -> int:
        """How much memory their texts take."""

    def prepare(self, request: Request, trace: Trace) -> Operation:
        """The operation that is meant; Refused when it cannot be executed, InvalidRequest when nothing can be meant."""


class PersistedDocuments:
    """Automatic persisted queries: a document is kept when it comes with its SHA-256, and then that names it.

    Only what could be executed is kept, the most recently used of it, in `max_bytes`. With 0, nothing is.
    """

    def __init__(self, operations: Operations, max_bytes: int, report: Callable[..., None]) -> None:
        self._operations = operations
        self._report = report
        self._kept: LRUCache[str, str] = LRUCache(max_bytes, _size)

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def bytes(self) -> int:
        """How much memory they take."""
        return int(self._kept.currsize)

    def prepare(self, request: Request, trace: Trace) -> Operation:
        """The operation that is meant, of a document that was sent now or is kept."""
        if request.document_id is None:
            return self._operations.prepare(request, trace)
        if not request.query:
            return self._operations.prepare(request._replace(query=self._find(request.document_id)), trace)
        if request.document_id != hash_of(request.query):
            raise InvalidRequest("query: its SHA-256 is not the one that came with it.")
        operation = self._operations.prepare(request, trace)
        self._keep(request.document_id, request.query)
        return operation

    def _find(self, document_id: str) -> str:
        if not self._kept.maxsize:
            raise Refused([GraphQLError("PersistedQueryNotSupported", extensions=NOT_SUPPORTED)])
        text = self._kept.get(document_id)
        self._report("persisted_document", outcome="miss" if text is None else "hit")
        if text is None:
            raise Refused([GraphQLError("PersistedQueryNotFound", extensions=NOT_FOUND)])
        return text

    def _keep(self, document_id: str, text: str) -> None:
        if document_id not in self._kept and _size(text) <= self._kept.maxsize:
            self._kept[document_id] = text
            self._report("persisted_document", outcome="kept")


def _size(text: str) -> int:
    return getsizeof(text) + OVERHEAD_BYTES
