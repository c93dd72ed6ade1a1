"""Named statements: what a file may hold, that every one fits the schema, and what is known of each."""

import re
from typing import Any

import asyncpg
import pytest

from db.statements import ALWAYS_CHANGING, STATEMENTS, TABLES, Statement, StatementError, parse

OURS = [statement for name, statement in STATEMENTS.items() if not name.startswith("legacy_")]
ON_PODIUM = [variant for statement in OURS for variant in statement.variants()]
WRITING = [statement for statement in OURS if statement.written]
# The tables and views of podium, each with a lock of the transaction if it has one: Postgres takes them when it reads a
# statement, whether that is executed or not.
LOCKS = """
SELECT c.relname, l.mode FROM pg_class AS c LEFT JOIN pg_locks AS l ON l.relation = c.oid AND l.pid = pg_backend_pid()
WHERE c.relnamespace = 'podium'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm') AND NOT c.relispartition
"""
# No answer is made of these, or none that is kept; and roll-ups change with the results that they are made of.
ROLL_UPS = {"hourly_rollups", "daily_rollups"}
UNANNOUNCED = {
    "idempotency_keys",
    "imported_viewers",
    "imports",
    "rollup_state",
    "kept_round_trips",
    *ROLL_UPS,
    *ALWAYS_CHANGING,
}
# Their tables are not seen from outside: those that make partitions change no row, drop_results_partitions announces
# what it does, nobody needs to hear of dropped logs, reported_peers and decide_streams read none.
FUNCTIONS = {
    *("create_results_partitions", "drop_results_partitions", "create_peer_log_partitions"),
    *("drop_peer_log_partitions", "reported_peers", "decide_streams"),
}


def by_name(statement: Statement) -> str:
    """The name, for the test's id."""
    return statement.name


@pytest.mark.parametrize("statement", OURS, ids=by_name)
async def test_a_statement_fits_the_schema(connection: asyncpg.Connection, statement: Statement) -> None:
    for variant in statement.variants():
        sql, values = variant.bound(dict.fromkeys(statement.parameters, ...))
        assert len((await connection.prepare(sql)).get_parameters()) == len(values)


@pytest.mark.parametrize("statement", OURS, ids=by_name)
async def test_a_statement_fits_the_schema_without_conditions(
    connection: asyncpg.Connection, statement: Statement
) -> None:
    given: dict[str, Any] = dict.fromkeys(statement.parameters, ...)
    nothing = dict.fromkeys(statement.parameters)
    for variant in statement.variants():
        for bound in (nothing, *({**given, name: None} for name in given), *({**nothing, name: ...} for name in given)):
            sql, values = variant.bound(bound)
            prepared = await connection.prepare(sql)
            assert len(prepared.get_parameters()) == len(values)


async def test_the_tables_are_those_of_the_schema(connection: asyncpg.Connection) -> None:
    found = {row["relname"] for row in await connection.fetch(LOCKS)} - {"schema_migrations"}
    assert found == TABLES, "name the tables that are new, and those of a view in each statement that reads it"


async def test_the_tables_of_a_statement_are_those_that_postgres_finds_in_it(connection: asyncpg.Connection) -> None:
    for statement in OURS:
        locked: set[tuple[str, str]] = set()
        for variant in statement.variants():
            async with connection.transaction():
                await connection.prepare(variant.bound(dict.fromkeys(statement.parameters, ...))[0])
                locked.update((name, mode) for name, mode in await connection.fetch(LOCKS) if mode)
        assert {table for table, _ in locked} == statement.tables, statement.name
        assert {table for table, mode in locked if mode == "RowExclusiveLock"} == statement.written, statement.name


def test_no_statement_hides_tables_in_a_function() -> None:
    called = {name for statement in ON_PODIUM for name in re.findall(r"podium\.(\w+)\(", statement.sql)}
    assert called == FUNCTIONS, "a statement must name what its function reads and writes: a CTE that reads no row does"


@pytest.mark.parametrize("statement", WRITING, ids=by_name)
def test_what_is_written_is_announced(statement: Statement) -> None:
    announced = set(" ".join(re.findall(r"pg_notify\('podium_changes', '([a-z_ ]+)'\)", statement.sql)).split())
    assert announced - UNANNOUNCED == statement.written - UNANNOUNCED


@pytest.mark.parametrize("statement", [s for s in OURS if s.tables & ROLL_UPS and not s.written], ids=by_name)
def test_an_answer_made_of_roll_ups_is_made_of_results_too(statement: Statement) -> None:
    assert "results" in statement.tables, "results alone are announced: it would be kept when they change"


@pytest.mark.parametrize("statement", [s for s in OURS if s.tables and not s.written], ids=by_name)
def test_what_is_read_depends_on_tables_and_parameters_alone(statement: Statement) -> None:
    assert not re.search(r"(?i)\b(now\(|\w*_timestamp\(|timeofday|random|current_|localtime|nextval)", statement.sql)


def test_conditions_on_what_is_not_given_are_left_out() -> None:
    sql = "SELECT 1 WHERE ($1::text IS NULL OR (a, b) = ($1, ($2))) AND ($3::int[] IS NULL OR c = ANY ($3)) LIMIT $4"
    statement = parse("noun", f"-- name: all(a, b, c, limit)\n{sql}")["noun.all"]
    given = {"a": "x", "b": 2, "c": None, "limit": 9}
    assert statement.bound(given) == (
        "SELECT 1 WHERE ($1::text IS NULL OR (a, b) = ($1, ($2))) AND TRUE LIMIT $3",
        ["x", 2, 9],
    )
    assert statement.bound({**given, "a": None, "b": None, "c": [1]}) == (
        "SELECT 1 WHERE TRUE AND ($1::int[] IS NULL OR c = ANY ($1)) LIMIT $2",
        [[1], 9],
    )
    assert statement.bound(dict.fromkeys(given)) == ("SELECT 1 WHERE TRUE AND TRUE LIMIT $1", [None])


def test_parts_are_left_out_unless_they_are_wanted() -> None:
    text = "-- name: all()\nSELECT a{?b , b}{?c , c.c} FROM t {?c JOIN c ON c.id = t.id}"
    statement = parse("noun", text)["noun.all"]
    assert statement.pick().sql == "SELECT a, b, c.c FROM t JOIN c ON c.id = t.id"
    assert statement.pick(["b", "unknown"]).sql == "SELECT a, b FROM t "
    assert statement.pick([]).sql == "SELECT a FROM t "
    assert {variant.sql for variant in statement.variants()} == {
        "SELECT a, b, c.c FROM t JOIN c ON c.id = t.id",
        "SELECT a FROM t ",
        "SELECT a, b FROM t ",
        "SELECT a, c.c FROM t JOIN c ON c.id = t.id",
    }


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
