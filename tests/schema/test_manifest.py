"""Manifests as Apollo's and Relay's tools write them, and what is wrong with others."""

from typing import Any

import orjson
import pytest

from schema.manifest import APOLLO, Entry, ManifestError, apollo_manifest, manifest_of, relay_manifest

ENTRIES = [Entry("1a", "query A { a }", "A", "query"), Entry("2b", "mutation B { b }", "B", "mutation")]


def test_a_manifest_of_apollo_is_read_as_it_is_written() -> None:
    written = apollo_manifest(ENTRIES)
    assert orjson.loads(written)["operations"][1] == ENTRIES[1]._asdict()
    assert manifest_of(written, "m.json").entries == ENTRIES


def test_a_map_of_documents_is_read_as_it_is_written() -> None:
    written = relay_manifest(ENTRIES)
    assert orjson.loads(written) == {"1a": "query A { a }", "2b": "mutation B { b }"}
    assert manifest_of(written, "m.json").entries == [Entry(it.id, it.body) for it in ENTRIES]


def test_an_operation_of_apollos_needs_no_name() -> None:
    nameless = orjson.dumps({**APOLLO, "operations": [{"id": "1a", "body": "{ a }", "name": None, "other": 1}]})
    assert manifest_of(nameless, "m.json").entries == [Entry("1a", "{ a }")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{\n"a":\n}', "m.json:3: it is no JSON: "),
        (b"", "m.json:1: it is no JSON: "),
        ([], "m.json: it is neither a manifest of Apollo's nor an object"),
        ({}, "m.json: it has no documents"),
        ({**APOLLO, "operations": []}, "m.json: it has no documents"),
        ({"1a": 7}, "m.json: document 1a: it is no string"),
        ({"": "{ a }"}, "m.json: document : it is no string"),
        ({**APOLLO, "version": 2, "operations": []}, "m.json: only version 1 of the format apollo-persisted-query-"),
        ({"format": "other", "version": 1, "operations": []}, "m.json: only version 1 of the format apollo-persisted-"),
        (APOLLO, "m.json: only version 1 of the format apollo-persisted-query-manifest is known"),
        (
            {**APOLLO, "operations": [{"id": "1a", "body": "{ a }"}, 7]},
            "m.json: operation 2: it needs an id and a body",
        ),
        ({**APOLLO, "operations": [{"id": "", "body": "{ a }"}]}, "m.json: operation 1: it needs an id and a body"),
    ],
)
def test_what_is_no_manifest_is_one_line_that_names_the_file_and_the_place(content: Any, message: str) -> None:
    with pytest.raises(ManifestError) as raised:
        manifest_of(content if isinstance(content, bytes) else orjson.dumps(content), "m.json")
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)
