"""Manifests: the documents that clients may use by their ids, as Apollo and as Relay write them."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import orjson

APOLLO = {"format": "apollo-persisted-query-manifest", "version": 1}


class ManifestError(Exception):
    """A manifest, or what one is made of, cannot be used; each line names a place and says what is wrong there."""


class Entry(NamedTuple):
    """A document of a manifest, with the name and the type of its operation where they are told."""

    id: str
    body: str
    name: str = ""
    type: str = ""


class Manifest(NamedTuple):
    """Documents, and the name of their file for those who read of a mistake in it."""

    file: str
    entries: Sequence[Entry]


def manifest_of(content: bytes, file: str) -> Manifest:
    """The manifest with this content, in either form; ManifestError when it is none."""
    try:
        given = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise ManifestError(f"{file}:{error.lineno}: it is no JSON: {error.msg}") from None
    try:
        entries = list(_entries(given))
    except ValueError as error:
        raise ManifestError(f"{file}: {error}") from None
    if not entries:
        raise ManifestError(f"{file}: it has no documents")
    return Manifest(file, entries)


def _entries(given: Any) -> Iterator[Entry]:
    if not isinstance(given, dict):
        raise ValueError("it is neither a manifest of Apollo's nor an object of documents by their ids")
    if "format" not in given:
        yield from (_relay_entry(id_, body) for id_, body in given.items())
        return
    if {name: given.get(name) for name in APOLLO} != APOLLO or not isinstance(given.get("operations"), list):
        raise ValueError(f"only version {APOLLO['version']} of the format {APOLLO['format']} is known")
    yield from (_apollo_entry(place, operation) for place, operation in enumerate(given["operations"], 1))


def _apollo_entry(place: int, operation: Any) -> Entry:
    match operation:
        case {"id": str(id_), "body": str(body)} if id_:
            return Entry(id_, body, str(operation.get("name") or ""), str(operation.get("type") or ""))
    raise ValueError(f"operation {place}: it needs an id and a body, both strings")


def _relay_entry(id_: str, body: Any) -> Entry:
    if not isinstance(body, str) or not id_:
        raise ValueError(f"document {id_}: it is no string")
    return Entry(id_, body)


def apollo_manifest(entries: Sequence[Entry]) -> bytes:
    """The form of Apollo's tools; clients find the id of an operation by its name."""
    operations = [{"id": it.id, "name": it.name, "type": it.type, "body": it.body} for it in entries]
    return _printed({**APOLLO, "operations": operations})


def relay_manifest(entries: Sequence[Entry]) -> bytes:
    """The form of Relay's compiler and of graphql-codegen: documents by their ids."""
    return _printed({it.id: it.body for it in entries})


def _printed(manifest: dict[str, Any]) -> bytes:
    return orjson.dumps(manifest, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
