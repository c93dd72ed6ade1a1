"""What a client asks, whatever the transport: a document, or the id of one, and what goes with it."""

from hashlib import sha256
from typing import Any, NamedTuple

# The members of a request; others are ignored, as the specification asks.
MEMBERS = ("query", "documentId", "operationName", "variables", "extensions")


class Request(NamedTuple):
    """A request as it came: `query` is empty where `document_id` alone names the document."""

    query: str
    variables: dict[str, Any] | None
    name: str | None
    document_id: str | None = None


def hash_of(document: str) -> str:
    """The SHA-256 that names a document: of its text in UTF-8, as lower-case hexadecimal digits."""
    return sha256(document.encode()).hexdigest()


class InvalidRequest(Exception):
    """The request is none that can be sent; the message says why."""


def request_of(given: Any) -> Request:
    """The request in decoded JSON; InvalidRequest names the member that is wrong."""
    if not isinstance(given, dict):
        raise InvalidRequest("Send one operation as a JSON object.")
    query, variables, name = given.get("query"), given.get("variables"), given.get("operationName")
    document_id = _document_id(given.get("documentId"), given.get("extensions"))
    if not isinstance(query, str | None) or not (query or document_id):
        raise InvalidRequest("query: the document, as a string, is missing.")
    if not isinstance(variables, dict | None):
        raise InvalidRequest("variables: must be an object.")
    if not isinstance(name, str | None):
        raise InvalidRequest("operationName: must be a string.")
    return Request(query or "", variables, name or None, document_id)


def _document_id(given: Any, extensions: Any) -> str | None:
    """The id of the document in either of its places; a SHA-256 is without its prefix."""
    if not isinstance(given, str | None):
        raise InvalidRequest("documentId: must be a string.")
    if not isinstance(extensions, dict | None):
        raise InvalidRequest("extensions: must be an object.")
    document_id = (given or "").removeprefix("sha256:") or None
    persisted = (extensions or {}).get("persistedQuery")
    if persisted is None:
        return document_id
    hash_ = _hash(persisted)
    if document_id not in (None, hash_):
        raise InvalidRequest("documentId: extensions.persistedQuery names another document.")
    return hash_


def _hash(persisted: Any) -> str:
    """What Apollo's automatic persisted queries name a document by: its SHA-256, or its id in a manifest."""
    if not isinstance(persisted, dict):
        raise InvalidRequest("extensions.persistedQuery: must be an object.")
    if persisted.get("version") != 1:
        raise InvalidRequest("extensions.persistedQuery.version: only version 1 is supported.")
    hash_ = persisted.get("sha256Hash")
    if not isinstance(hash_, str) or not hash_:
        raise InvalidRequest("extensions.persistedQuery.sha256Hash: must be a string.")
    return hash_
