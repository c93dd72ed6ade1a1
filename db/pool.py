"""Connections to Postgres: the pools, their codecs and timeouts, and how a statement is run."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn, Protocol

import asyncpg
import orjson

from db.statements import Statement

ACQUIRE_TIMEOUT_S = 1.5


class Row(asyncpg.Record):
    """A row whose columns are attributes too, so that it needs no copy into an object."""

    __slots__ = ()

    @classmethod
    def __columns__(cls, rows: Sequence["Row"]) -> dict[str, tuple[Any, ...]]:
        """The columns of rows of one statement by name, which is faster than one attribute after the other."""
        return dict(zip(rows[0].keys(), zip(*rows, strict=True), strict=True))

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


class PoolExhausted(Exception):
    """No connection became free in time."""


class Runner(Protocol):
    """Runs statements, each with its parameters by name."""

    async def fetch(self, statement: Statement, **parameters: Any) -> list[Row]:
        """All rows."""

    async def fetchrow(self, statement: Statement, **parameters: Any) -> Row | None:
        """The first row, None where there is none."""

    async def fetchval(self, statement: Statement, **parameters: Any) -> Any:
        """The first column of the first row."""


class Connection:
    """Runs statements on one connection, and notes the tables that they write."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.written: frozenset[str] = frozenset()

    async def fetch(self, statement: Statement, **parameters: Any) -> list[Row]:
        """All rows."""
        self.written |= statement.written
        sql, values = statement.bound(parameters)
        rows: list[Row] = await self._connection.fetch(sql, *values)
        return rows

    async def fetchrow(self, statement: Statement, **parameters: Any) -> Row | None:
        """The first row, None where there is none."""
        self.written |= statement.written
        sql, values = statement.bound(parameters)
        row: Row | None = await self._connection.fetchrow(sql, *values)
        return row

    async def fetchval(self, statement: Statement, **parameters: Any) -> Any:
        """The first column of the first row."""
        self.written |= statement.written
        sql, values = statement.bound(parameters)
        return await self._connection.fetchval(sql, *values)


@dataclass(frozen=True, slots=True)
class PoolOptions:
    """What a pool needs to know beside its connection URL; times in seconds."""

    size: int
    timeout_s: float
    application_name: str = "podium"
    pooled_by_pgbouncer: bool = False
    # Optional filters fold away only in plans made for their values; what always runs the same way keeps its plan.
    for_questions: bool = False


def ignore(tables: frozenset[str]) -> None:
    """Tell nobody."""


class Pool:
    """A pool of connections to one server; `translate` turns driver errors into the product's own.

    `wrote` is told of tables that may have changed, before whoever changed them goes on.
    """

    def __init__(
        self,
        url: str,
        options: PoolOptions,
        translate: Callable[[Exception], Exception],
        wrote: Callable[[frozenset[str]], None] = ignore,
    ) -> None:
        self._pool = asyncpg.create_pool(
            url,
            min_size=0,
            max_size=options.size,
            timeout=ACQUIRE_TIMEOUT_S,
            command_timeout=options.timeout_s + 0.5,
            statement_cache_size=0 if options.pooled_by_pgbouncer else 256,
            record_class=Row,
            init=set_codecs,
            reset=_leave_as_it_is,
            server_settings=_server_settings(options),
        )
        self._translate = translate
        self._wrote = wrote

    async def open(self) -> None:
        """Connect once, so that a wrong address or password shows at the start."""
        try:
            await self._pool
            async with self._pool.acquire():
                pass
        except Exception as error:
            self._raise(error)

    async def close(self) -> None:
        """Close all connections, the busy ones after 5 seconds."""
        try:
            await asyncio.wait_for(self._pool.close(), 5)
        except TimeoutError:
            self._pool.terminate()

    @property
    def size(self) -> int:
        """Open connections."""
        return int(self._pool.get_size())

    @property
    def idle(self) -> int:
        """Open connections that nobody uses."""
        return int(self._pool.get_idle_size())

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """One connection, for several statements; free again at the end of the block."""
        try:
            connection = await self._acquire()
            try:
                yield connection
            finally:
                await self._release(connection)
        except Exception as error:
            self._raise(error)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """One transaction: committed at the end of the block, rolled back when an error leaves it."""
        async with self.connection() as connection, connection._connection.transaction():
            yield connection

    async def fetch(self, statement: Statement, **parameters: Any) -> list[Row]:
        """All rows."""
        # A question is mostly one statement: this does what `connection` does, without its generator.
        try:
            connection = await self._acquire()
            try:
                return await connection.fetch(statement, **parameters)
            finally:
                await self._release(connection)
        except Exception as error:
            self._raise(error)

    async def fetchrow(self, statement: Statement, **parameters: Any) -> Row | None:
        """The first row, None where there is none."""
        async with self.connection() as connection:
            return await connection.fetchrow(statement, **parameters)

    async def fetchval(self, statement: Statement, **parameters: Any) -> Any:
        """The first column of the first row."""
        async with self.connection() as connection:
            return await connection.fetchval(statement, **parameters)

    def _raise(self, error: Exception) -> NoReturn:
        translated = self._translate(error)
        if translated is error:
            raise error
        raise translated from error

    async def _acquire(self) -> Connection:
        try:
            return Connection(await self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S))
        except TimeoutError as error:
            raise PoolExhausted(f"no connection within {ACQUIRE_TIMEOUT_S} s") from error

    async def _release(self, connection: Connection) -> None:
        # Any transaction has ended by now; one that failed may have been committed all the same.
        if connection.written:
            self._wrote(connection.written)
        await self._pool.release(connection._connection)


class Reads(Runner, Protocol):
    """Where to read: a pool, or those of db/routing.py."""

    async def open(self) -> None:
        """Connect."""

    async def close(self) -> None:
        """Close all connections."""

    @property
    def size(self) -> int:
        """Open connections."""

    @property
    def idle(self) -> int:
        """Open connections that nobody uses."""


@dataclass(frozen=True, slots=True)
class Database:
    """Where to write and where to read; both may be one pool. `direct` leads past a pgbouncer, where there is one."""

    write: Pool
    read: Reads
    direct: Pool | None = None

    @property
    def beside_writers(self) -> Pool:
        """Sessions on the primary with the login of those that are kept, so that these can be looked at."""
        return self.direct or self.write

    async def open(self) -> None:
        """Connect."""
        await self.write.open()
        if self.read is not self.write:
            await self.read.open()
        if self.direct:
            await self.direct.open()

    async def close(self) -> None:
        """Close all connections."""
        await self.write.close()
        if self.read is not self.write:
            await self.read.close()
        if self.direct:
            await self.direct.close()


def _server_settings(options: PoolOptions) -> dict[str, str]:
    # Texts of times are read in this form only, and in this time zone they need no conversion. Spelled as the server
    # reports them: where it differs, pgbouncer sets them anew in each transaction.
    always = {"application_name": options.application_name, "TimeZone": "UTC", "DateStyle": "ISO, MDY"}
    # pgbouncer refuses other start-up parameters; there, deploy/roles.sql sets the same on the roles.
    if options.pooled_by_pgbouncer:
        return always
    return always | {
        "statement_timeout": str(round(options.timeout_s * 1000)),
        "lock_timeout": "2000",
        "idle_in_transaction_session_timeout": "10000",
        "plan_cache_mode": "force_custom_plan" if options.for_questions else "auto",
        "jit": "off",
    }


async def set_codecs(connection: Any) -> None:
    """Let a connection of the driver read and write times and JSON as podium does."""
    # Python reads a text in 0.04 µs; the driver needs 0.3 µs for a time in binary.
    await connection.set_type_codec(
        "timestamptz", schema="pg_catalog", format="text", encoder=_encode_time, decoder=datetime.fromisoformat
    )
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", format="binary", encoder=_encode_jsonb, decoder=_decode_jsonb
    )


async def _leave_as_it_is(connection: Any) -> None:
    # The driver would reset the session after every use, a round trip each; nothing here changes it.
    pass


def _encode_time(time: datetime) -> str:
    if time.tzinfo is None:
        raise ValueError(f"{time} is without an offset")
    return time.isoformat()


def _encode_jsonb(text: bytes) -> bytes:
    # Given as encoded JSON, because a list among the values of an array would count as a further dimension.
    # Version 1 of the binary form is one byte before the text.
    return b"\x01" + text


def _decode_jsonb(data: bytes) -> Any:
    return orjson.loads(data[1:])
