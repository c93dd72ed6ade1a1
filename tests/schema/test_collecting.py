"""A manifest's documents, collected from files."""

from hashlib import sha256

import pytest
from graphql import Source, build_schema, parse, print_ast, validate

from schema.collecting import collect
from schema.limits import Limits
from schema.manifest import Entry, ManifestError
from schema.operations import Operations

SCHEMA = build_schema("""
  interface Node { id: ID }
  type Item implements Node { id: ID next: Item }
  type Query { item(id: ID): Item node: Node count: Int }
  type Mutation { add: Item }
""")
OPERATIONS = Operations(SCHEMA, limits=Limits(max_depth=5, max_tokens=60))
FRAGMENTS = (
    "fragment One on Item { id ...Two }\nfragment Two on Item { next { ...Three } }\nfragment Three on Item { id }"
)


def collected(*files: str, add_typename: bool = False) -> list[Entry]:
    sources = [Source(text, f"{name}.graphql") for name, text in zip("abcdef", files, strict=False)]
    return collect(OPERATIONS, sources, add_typename=add_typename)


def mistakes(*files: str) -> list[str]:
    with pytest.raises(ManifestError) as raised:
        collected(*files)
    return str(raised.value).splitlines()


def test_each_operation_has_the_fragments_that_it_needs_whatever_their_file() -> None:
    queries = "query Z { item { ...Two } }\nmutation A { add { ...Three ...One } }"
    first, last = collected(queries, FRAGMENTS, "fragment Unused on Item { id }")
    assert (first.name, first.type, last.name, last.type) == ("A", "mutation", "Z", "query")
    definitions = [[node.name.value for node in parse(entry.body).definitions] for entry in (first, last)]  # type: ignore[attr-defined]
    assert definitions == [["A", "One", "Three", "Two"], ["Z", "Three", "Two"]]


def test_a_document_is_printed_canonically_and_named_by_its_hash() -> None:
    (entry,) = collected('# why\nquery A($id:ID="x"){count,item(id:$id){id}}\n')
    assert entry.body == 'query A($id: ID = "x") {\n  count\n  item(id: $id) {\n    id\n  }\n}'
    assert entry.id == sha256(entry.body.encode()).hexdigest()
    assert print_ast(parse(entry.body)) == entry.body


def test_the_order_of_files_and_of_what_is_in_them_does_not_matter() -> None:
    one, other = "query A { item { ...One } }", "query B { count }"
    assert collected(one, other, FRAGMENTS) == collected("\n".join(reversed(FRAGMENTS.splitlines())), f"{other} {one}")


def test_typenames_are_added_where_apollo_client_adds_them() -> None:
    query = "query A { item { ...F } node { ... on Item { x: id } __typename } __schema { types { name } } }"
    (entry,) = collected(f"{query} fragment F on Item {{ id }}", add_typename=True)
    expected = """query A { item { ...F __typename } node { ... on Item { x: id __typename } __typename }
      __schema { types { name __typename } __typename } } fragment F on Item { id __typename }"""
    assert entry.body == print_ast(parse(expected))
    assert validate(SCHEMA, parse(entry.body)) == []


def test_everything_that_is_wrong_is_named_with_its_file_and_line() -> None:
    found = mistakes(
        "query A {\n  nothing\n  ...None\n}\nquery A { count }\n\n{ count }",
        "query B { item { ...Wrong } }\nquery C { item { ...Wrong } }",
        "\nfragment Wrong on Item {\n  id\n  none\n}\nfragment Wrong on Item { id }",
        "query D {",
        "type T { a: Int }\nquery E($unused: Int) { count }",
    )
    assert sorted(found) == [
        "a.graphql:2: Cannot query field 'nothing' on type 'Query'.",
        "a.graphql:3: Unknown fragment 'None'.",
        "a.graphql:5: A is the name of a.graphql:1 already",
        "a.graphql:7: the operation needs a name",
        "c.graphql:4: Cannot query field 'none' on type 'Item'.",
        "c.graphql:6: Wrong is the name of c.graphql:2 already",
        "d.graphql:1: Syntax Error: Expected Name, found <EOF>.",
        "e.graphql:1: only operations and fragments belong here",
        "e.graphql:2: Variable '$unused' is never used in operation 'E'.",
    ]


def test_fragments_that_spread_each_other_are_refused() -> None:
    (found,) = mistakes("query A { item { ...F } }\nfragment F on Item { ...G }", "fragment G on Item { ...F }")
    assert found.startswith(("a.graphql:2: Cannot spread fragment", "b.graphql:1: Cannot spread fragment"))


def test_what_the_server_would_refuse_as_too_large_is_refused() -> None:
    deep = "query A { item { next { next { next { next { id } } } } } }"
    assert mistakes(f"\n{deep}") == ["a.graphql:2: The depth is 6, and at most 5."]
    (found,) = mistakes("\n\nquery A {" + " count" * 100 + " }")
    assert found.startswith("a.graphql:3: Syntax Error: Document contains more than 60 tokens")
    hidden = Operations(SCHEMA, limits=Limits(), introspection=False)
    with pytest.raises(ManifestError, match=r"a:1: GraphQL introspection has been disabled"):
        collect(hidden, [Source("query A { __schema { types { name } } }", "a")])


def test_fragments_alone_make_no_document() -> None:
    assert collected(FRAGMENTS) == []
