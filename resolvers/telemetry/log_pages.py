"""What many nodes have said, page by page, whole or in parts."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from db.pool import Row, Runner
from db.statements import STATEMENTS
from resolvers.errors import InvalidArgument
from resolvers.filters import Window
from resolvers.page import Page, PageRequest, page_of
from resolvers.telemetry.batching import Asked, answered, by_peer

LOGS = STATEMENTS["log_pages.logs"]
COUNT_LOGS = STATEMENTS["log_pages.count_logs"]

START_LENGTH = 128  # of a text, which the columns of a log have
MAX_BYTES = 8 * 1024 * 1024  # of all messages that are read at once, compressed as they are stored
_POINTER = re.compile("(/([^~/]|~[01])*)*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Conditions on logs that all hold; None holds for every log. Both ends of the window, of the node's own time, are
    included.
    """

    msgs: tuple[str, ...] | None = None
    targets: tuple[str, ...] | None = None
    window: Window = Window()  # noqa: RUF009  a value
    is_audit: bool | None = None

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of statements that use `{wanted}`."""
        return {
            "types": _starts(self.msgs),
            "msgs": _whole(self.msgs),
            "target_starts": _starts(self.targets),
            "targets": _whole(self.targets),
            "since": self.window.since,
            "until": self.window.until,
            "is_audit": self.is_audit,
        }


@dataclass(frozen=True, slots=True)
class LogQuestion:
    """Which logs of a node are wanted, and what of each: optional columns by name, and the values at some paths."""

    wanted: LogFilter
    request: PageRequest
    columns: frozenset[str] = frozenset()
    paths: tuple[str, ...] = ()


async def logs(db: Runner, keys: Sequence[Asked]) -> list[Page[Row]]:
    """A page of each node's logs, newest first; the question is a LogQuestion.

    Rows have id, at, stored_at, and of msg, target, level and message (JSON as text) those that are wanted. Where
    values are, `picked` has them, as text of JSON, in the order of `paths`.
    """
    return await answered(keys, partial(_logs, db))


async def count_logs(db: Runner, keys: Sequence[Asked]) -> list[int]:
    """How many logs of each node match; the question is a LogFilter."""
    return await answered(keys, partial(_count_logs, db))


@lru_cache(maxsize=1000)
def path_of(pointer: str) -> str:
    """The keys that a JSON Pointer names, as Postgres writes an array; InvalidArgument if it is none."""
    quoted = [key.replace("\\", "\\\\").replace('"', '\\"') for key in keys_of(pointer)]
    return "{" + ",".join(f'"{key}"' for key in quoted) + "}"


def keys_of(pointer: str) -> list[str]:
    """The keys that a JSON Pointer (RFC 6901) names; InvalidArgument if it is none."""
    if not _POINTER.fullmatch(pointer):
        raise InvalidArgument(f"path: {pointer[:40]!r} is no JSON Pointer, like /state/peerset", field="path")
    return [key.replace("~1", "/").replace("~0", "~") for key in pointer.split("/")[1:]]


async def _logs(db: Runner, peers: list[int], question: LogQuestion) -> list[Page[Row]]:
    request = question.request
    rows = await db.fetch(
        LOGS.pick(question.columns, page="oldest" if request.backwards else "newest"),
        peers=peers,
        **question.wanted.parameters,
        **request.time_and_id,
        paths=question.paths,
        limit=request.size + 1,
        max_bytes=MAX_BYTES,
    )
    if question.columns & {"message", "paths"} and rows and rows[0].bytes > MAX_BYTES:
        raise InvalidArgument(
            f"first: these messages take {rows[0].bytes} bytes, and at most {MAX_BYTES} are read at once",
            hint="ask for fewer of them",
            field="last" if request.backwards else "first",
        )
    return [page_of(those, request) for those in by_peer(rows, peers)]


async def _count_logs(db: Runner, peers: list[int], wanted: LogFilter) -> list[int]:
    rows = await db.fetch(COUNT_LOGS, peers=peers, **wanted.parameters)
    found = {row.peer: row.number for row in rows}
    return [found.get(peer, 0) for peer in peers]


def _starts(texts: tuple[str, ...] | None) -> list[str] | None:
    return None if texts is None else [text[:START_LENGTH] for text in texts]


def _whole(texts: tuple[str, ...] | None) -> tuple[str, ...] | None:
    return texts if texts and any(len(text) >= START_LENGTH for text in texts) else None
