"""Logs on their way to those who listen: read once, and brought into each form once, for all of them."""

from collections.abc import Callable, Hashable, Sequence
from datetime import datetime
from functools import cached_property
from operator import attrgetter
from typing import Any, NamedTuple, TypeVar

import orjson

from db.pool import Row

MAX_TYPE_LENGTH = 128  # characters of msg that the column type holds
LAST_ID = 2**63 - 1

Form = TypeVar("Form")


class Position(NamedTuple):
    """How far logs were read, in the order in which they were stored."""

    stored_at: datetime
    id: int = LAST_ID


class Pair(NamedTuple):
    """What somebody listens to: what a node says with this `msg`, or with any, where that is None."""

    peer_id: str
    msg: str | None

    @property
    def type(self) -> str | None:
        """What the column type has of them."""
        return None if self.msg is None else self.msg[:MAX_TYPE_LENGTH]


class LogRows:
    """Logs of one pair, the oldest by the node's clock first. A form that many listeners need is made once."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = sorted(rows, key=attrgetter("ts"))
        self._forms: dict[Hashable, Any] = {}

    def form(self, key: Hashable, make: Callable[["LogRows"], Form]) -> Form:
        """What `make` makes of the logs, made at the first time for each key."""
        if key not in self._forms:
            self._forms[key] = make(self)
        form: Form = self._forms[key]
        return form

    @cached_property
    def said(self) -> list[Any]:
        """What each of them says, without its wrapping: an object, mostly."""
        return [_said(row.message) for row in self.rows]

    def stored_since(self, at: datetime) -> "LogRows":
        """Those that were stored then or later."""
        if all(row.stored_at >= at for row in self.rows):
            return self
        return LogRows([row for row in self.rows if row.stored_at >= at])

    def said_after(self, at: datetime) -> "LogRows":
        """Those that are from after that, by the node's clock."""
        if not self.rows or self.rows[0].ts > at:
            return self
        return LogRows([row for row in self.rows if row.ts > at])

    def with_msg(self, msg: str | None) -> "LogRows":
        """Those with this msg, where it may be longer than what was compared."""
        if msg is None or len(msg) < MAX_TYPE_LENGTH:
            return self
        return LogRows([row for row, said in zip(self.rows, self.said, strict=True) if member(said, "msg") == msg])


def member(said: Any, name: str) -> Any:
    """A member of what a log says; None where it has none."""
    return said.get(name) if isinstance(said, dict) else None


def _said(message: str) -> Any:
    try:
        whole = orjson.loads(message)
    except orjson.JSONDecodeError:  # numbers that Postgres takes and nothing else does
        return None
    is_wrapped = isinstance(whole, dict) and "msg" not in whole and "payload" in whole
    return whole["payload"] if is_wrapped else whole
