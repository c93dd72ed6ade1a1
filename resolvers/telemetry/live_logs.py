"""Logs as they are told to those who subscribe: the columns of pages of logs, taken from what was read for all."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from resolvers.telemetry.live_rows import LogRows, member
from resolvers.telemetry.log_pages import keys_of, path_of

_INDEX = re.compile(r"[+-]?\d{1,9}", re.ASCII)
_ABSENT = object()


@dataclass(frozen=True, slots=True)
class LiveLog:
    """A log with the columns that pages of logs have; `message` and what `picked` has are JSON as text."""

    id: int
    at: datetime
    stored_at: datetime
    msg: str | None
    target: str | None
    level: str | None
    message: str
    paths: Sequence[str]
    picked: Sequence[str | None]


def live_logs(pointers: Sequence[str]) -> Callable[[LogRows], list[LiveLog]]:
    """What makes them, with the values at these JSON Pointers; InvalidArgument where one is none."""
    paths = [path_of(pointer) for pointer in pointers]
    keys = [keys_of(pointer) for pointer in pointers]

    def make(rows: LogRows) -> list[LiveLog]:
        return [_live_log(row, said, paths, keys) for row, said in zip(rows.rows, rows.said, strict=True)]

    return make


def _live_log(row: Any, said: Any, paths: Sequence[str], keys: Sequence[Sequence[str]]) -> LiveLog:
    return LiveLog(
        id=row.id,
        at=row.ts,
        stored_at=row.stored_at,
        msg=_text(member(said, "msg")),
        target=_text(member(said, "target")),
        level=_text(member(said, "level")),
        message=row.message,
        paths=paths,
        picked=[_picked(said, of) for of in keys],
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str | None) else json.dumps(value, ensure_ascii=False)  # as Postgres writes it


def _picked(value: Any, keys: Sequence[str]) -> str | None:
    for key in keys:
        value = _below(value, key)
        if value is _ABSENT:
            return None
    return _json(value)


def _below(value: Any, key: str) -> Any:
    if isinstance(value, dict):
        return value.get(key, _ABSENT)
    if isinstance(value, list) and _INDEX.fullmatch(key) and -len(value) <= int(key) < len(value):
        return value[int(key)]
    return _ABSENT


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
