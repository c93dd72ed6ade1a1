"""The state of alerts between runs and restarts: a file, replaced as a whole, that one prober has at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from prober.alerting import Change, Condition

VERSION = 1


class AlertFileError(Exception):
    """The file cannot be used; the message says why."""


class Pending(msgspec.Struct):
    """What a target has not been told yet."""

    id: str
    target: str
    change: Change


class Book(msgspec.Struct):
    """All that is kept: the condition of each stream that has one, and what is still to be told, the oldest first."""

    version: int = VERSION
    conditions: dict[str, Condition] = msgspec.field(default_factory=dict)
    pending: list[Pending] = msgspec.field(default_factory=list)


class AlertFile:
    """The file, while this process has it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Book:
        """What was kept; an empty book where nothing was."""
        try:
            book = msgspec.json.decode(self._path.read_bytes(), type=Book)
        except FileNotFoundError:
            return Book()
        except (msgspec.DecodeError, OSError) as error:
            raise AlertFileError(f"ALERT_STATE: {self._path} cannot be read: {error}") from None
        if book.version != VERSION:
            raise AlertFileError(f"ALERT_STATE: {self._path} is of another version of podium")
        return book

    def write(self, book: Book) -> None:
        """Replace the file: whoever reads it finds the old state or the new one."""
        part = self._path.with_name(f".{self._path.name}.part")
        with part.open("wb") as file:
            file.write(msgspec.json.encode(book))
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._path)


@contextmanager
def held(path: Path) -> Iterator[AlertFile]:
    """The file for the time of the context; AlertFileError where another prober has it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_name(f".{path.name}.lock").open("wb")
    except OSError as error:
        raise AlertFileError(f"ALERT_STATE: {path}: {error.strerror}") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlertFileError(f"ALERT_STATE: another prober uses {path}") from None
        yield AlertFile(path)
