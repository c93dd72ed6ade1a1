"""Says that nodes have sent something, so that answers about them are computed anew."""

import asyncio
from collections.abc import Callable, Collection

from db.statements import ALWAYS_CHANGING

SOON_S = 0.2


class News:
    """Tells of the tables of telemetry `soon_s` after something was stored, once for all that was stored meanwhile.

    Batches are stored many times a second: if each were told, no answer could be given twice.
    """

    def __init__(self, tell: Callable[[Collection[str]], None], soon_s: float = SOON_S) -> None:
        self._tell = tell
        self._soon_s = soon_s
        self._is_due = False

    def stored(self) -> None:
        """A batch is in the database."""
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_later(self._soon_s, self._tell_now)

    def _tell_now(self) -> None:
        self._is_due = False
        self._tell(ALWAYS_CHANGING)
