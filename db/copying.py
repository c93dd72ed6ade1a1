"""A line over which rows go in by COPY."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self

from db.line import Line
from db.pool import Row, set_codecs
from db.statements import Statement

TIMEOUT_S = 60.0


class CopyLine(Line):
    """A session that writes; after an error that is not the server's, it is lost."""

    @classmethod
    async def open(cls, url: str, name: str) -> Self:
        """A line that is known by this name."""
        line = await cls._connected(url, name, TimeZone="UTC", DateStyle="ISO, MDY", lock_timeout="5000", jit="off")
        await set_codecs(line._connection)
        return line

    @property
    def is_lost(self) -> bool:
        """Whether nothing can be sent any more."""
        return bool(self._connection.is_closed())

    async def fetch(self, statement: Statement, **parameters: Any) -> list[Row]:
        """All rows."""
        sql, values = statement.bound(parameters)
        rows: list[Row] = await self._connection.fetch(sql, *values, timeout=TIMEOUT_S, record_class=Row)
        return rows

    async def fetchval(self, statement: Statement, **parameters: Any) -> Any:
        """The first column of the first row."""
        sql, values = statement.bound(parameters)
        return await self._connection.fetchval(sql, *values, timeout=TIMEOUT_S)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """Committed at the end of the block, rolled back when an error leaves it."""
        async with self._connection.transaction():
            yield

    async def copy(self, table: str, columns: Sequence[str], data: bytes) -> None:
        """Put in rows of a table of podium, in the binary form of COPY."""
        await self._connection.copy_to_table(
            table, schema_name="podium", columns=columns, source=_once(data), format="binary", timeout=TIMEOUT_S
        )


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
