"""A database that something is imported from: read and never written, and told from every other one."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from db.pool import Connection, Pool, PoolExhausted, PoolOptions, Row
from db.statements import STATEMENTS

BEGIN_READ_ONLY = STATEMENTS["legacy_database.begin_read_only"]
LIFT_LIMITS = STATEMENTS["legacy_database.lift_limits"]
DATABASE = STATEMENTS["legacy_database.database"]
TABLES = STATEMENTS["legacy_database.tables"]

# Nothing is set when a connection starts, which a pgbouncer on the way would refuse; `lift_limits` does it later.
_OPTIONS = PoolOptions(size=1, timeout_s=86_400, application_name="podium import", pooled_by_pgbouncer=True)
_WIDER_TYPES = {"integer": "bigint", "character varying": "text"}


class ImportFailed(Exception):
    """The import cannot go on; the message is one line: what is wrong, and what to do."""


@asynccontextmanager
async def open_database(url: str) -> AsyncIterator[Pool]:
    """The database at a connection URL; ImportFailed when it cannot be read, now or later."""
    pool = Pool(url, _OPTIONS, _failure)
    try:
        await pool.open()
        yield pool
    finally:
        await pool.close()


@asynccontextmanager
async def reading(pool: Pool) -> AsyncIterator[Connection]:
    """A transaction that sees one state of the database, and may take its time."""
    async with pool.transaction() as connection:
        await connection.fetch(BEGIN_READ_ONLY)
        await connection.fetch(LIFT_LIMITS)
        yield connection


async def identity(pool: Pool) -> str:
    """What tells the database from others, copies of it included: taken for another one, it would be read in part."""
    try:
        row = await _database(pool, by="identifier")
    except ImportFailed:  # the server does not say, or not to us
        row = await _database(pool, by="address")
    return f"{row.server}/{row.name}.{row.oid}"


async def tables(pool: Pool, names: Iterable[str]) -> list[Row]:
    """Those of these tables that there are: name, oid and column_types."""
    async with reading(pool) as connection:
        return await connection.fetch(TABLES, names=list(names))


def has_columns(table: Row, wanted: Mapping[str, str]) -> bool:
    """Whether a table has these columns; wider types do as well."""
    found: dict[str, str] = table.column_types
    return all(found.get(name) in (type_, _WIDER_TYPES.get(type_, type_)) for name, type_ in wanted.items())


async def _database(pool: Pool, by: str) -> Any:
    async with reading(pool) as connection:
        return await connection.fetchrow(DATABASE.pick(server=by))


def _failure(error: Exception) -> Exception:
    if not isinstance(error, asyncpg.PostgresError | asyncpg.InterfaceError | OSError | PoolExhausted | ValueError):
        return error
    said = " ".join(str(error).split()) or "it does not answer"
    denied = isinstance(error, asyncpg.InsufficientPrivilegeError)
    advice = "let its user SELECT from all tables" if denied else "check its URL"
    return ImportFailed(f"cannot read the legacy database ({said}): {advice}, and run the import again")
