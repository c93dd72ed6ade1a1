"""Named statements: what a file may hold, and that every one fits the schema."""

import asyncpg
import pytest

from db.statements import STATEMENTS, StatementError, parse

OURS = [statement for name, statement in STATEMENTS.items() if not name.startswith("legacy_")]
ON_PODIUM = [variant for statement in OURS for variant in statement.variants()]


@pytest.mark.parametrize("statement", ON_PODIUM, ids=lambda statement: statement.name)
async def test_a_statement_fits_the_schema(connection: asyncpg.Connection, statement) -> None:
    prepared = await connection.prepare(statement.sql)
    assert len(prepared.get_parameters()) == len(statement.parameters)


def test_pieces_are_filled_in() -> None:
    statements = parse("noun", "-- piece: recent\nat > $1\n-- name: all(since)\nSELECT 1 WHERE {recent};\n")
    assert statements["noun.all"].sql == "SELECT 1 WHERE at > $1"
    assert statements["noun.all"].arguments({"since": 7}) == [7]


def test_a_choice_is_made_among_pieces() -> None:
    pieces = "-- piece: order.up\nORDER BY 1\n-- piece: order.down\nORDER BY 1 DESC\n"
    statement = parse("noun", "-- name: all()\nSELECT 1 {order:up|down}\n" + pieces)["noun.all"]
    assert statement.pick(order="down").sql == "SELECT 1 ORDER BY 1 DESC"
    assert len(list(statement.variants())) == 2
    with pytest.raises(StatementError, match=r"order is one of up\|down, not sideways"):
        statement.pick(order="sideways")


def test_pieces_are_made_of_earlier_ones_and_of_shared_ones() -> None:
    text = (
        "-- piece: lately\nat > $1\n-- piece: wanted\n{lately} AND {mine}\n-- name: all(since)\nSELECT 1 WHERE {wanted}"
    )
    assert parse("noun", text, {"mine": "mine"})["noun.all"].sql == "SELECT 1 WHERE at > $1 AND mine"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("-- piece: a\n1\n-- piece: a\n2", "two pieces a"),
        ("-- piece: a\n{b}\n-- piece: b\n2", "no piece 'b'"),
        ("-- name: all(since)\nSELECT 1", "names"),
        ("-- name: all()\nSELECT $1", "uses"),
        ("-- name: all()\nSELECT {missing}", "no piece 'missing'"),
    ],
)
def test_a_wrong_file_is_refused_when_it_is_read(text: str, message: str) -> None:
    with pytest.raises(StatementError, match=message):
        parse("noun", text)


@pytest.mark.parametrize("given", [{}, {"since": 1, "until": 2}, {"until": 1}])
def test_a_call_names_exactly_the_parameters(given: dict[str, int]) -> None:
    with pytest.raises(StatementError, match="takes"):
        parse("noun", "-- name: all(since)\nSELECT $1")["noun.all"].arguments(given)
