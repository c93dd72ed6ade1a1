"""A line that can hold the lock of whoever leads among the gateways of a database."""

from typing import Self

from db.line import ANSWER_TIMEOUT_S, Line
from db.statements import STATEMENTS

TRY_LEADERSHIP = STATEMENTS["server.try_leadership"]
# Of a leader whose machine has gone without a word, the server notices it, and frees the lock, after 4 s.
KEEPALIVES = {"tcp_keepalives_idle": "2", "tcp_keepalives_interval": "1", "tcp_keepalives_count": "2"}


class LeadershipLine(Line):
    """Holds the lock from the first time that `try_to_lead` says so until it is lost or closed."""

    @classmethod
    async def open(cls, url: str, name: str) -> Self:
        """A line that holds nothing yet."""
        return await cls._connected(url, name, **KEEPALIVES)

    async def try_to_lead(self) -> bool:
        """Take the lock if nobody has it."""
        taken: bool = await self._connection.fetchval(TRY_LEADERSHIP.sql, timeout=ANSWER_TIMEOUT_S)
        return taken
