"""Pages of long lists: their bounds, and cursors that stay right while rows arrive."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar

import orjson

from resolvers.errors import InvalidArgument

DEFAULT_PAGE = 100
MAX_PAGE = 1000
MAX_ID = 2**63
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which part of a list is wanted: `first` after a cursor, or `last` before one."""

    size: int
    cursor: Sequence[Any] | None
    backwards: bool

    def foreign_cursor(self) -> InvalidArgument:
        """What to raise when the cursor is none of the list, or of its order; it names the argument."""
        name = "before" if self.backwards else "after"
        return InvalidArgument(f"{name}: this is no cursor of this list and order", field=name)

    def time(self, micros: int) -> datetime:
        """A time in the cursor."""
        try:
            return from_micros(micros)
        except OverflowError:
            raise self.foreign_cursor() from None

    @property
    def time_and_id(self) -> dict[str, Any]:
        """The parameters of a statement that pages by time and id: where the page begins."""
        match self.cursor:
            case None:
                return {"cursor_at": None, "cursor_id": None}
            case [int(micros), int(id_)] if abs(id_) < MAX_ID:
                return {"cursor_at": self.time(micros), "cursor_id": id_}
        raise self.foreign_cursor()


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """A part of a list, in the list's order, and whether there is more on either side."""

    items: list[Item]
    has_next: bool
    has_previous: bool


def page_request(first: int | None, after: str | None, last: int | None, before: str | None) -> PageRequest:
    """The page that Relay's four arguments ask for; InvalidArgument names the one that cannot be."""
    backwards = last is not None
    if backwards and (first is not None or after is not None):
        raise InvalidArgument("last goes with before, and not with first or after", field="last")
    if before is not None and not backwards:
        raise InvalidArgument("before needs last", field="before")
    name, size = ("last", last) if backwards else ("first", first)
    size = DEFAULT_PAGE if size is None else size
    if not 0 <= size <= MAX_PAGE:
        raise InvalidArgument(f"{name} must be between 0 and {MAX_PAGE}, not {size}", field=name)
    cursor = before if backwards else after
    position = None if cursor is None else tuple(decode_cursor(cursor, "before" if backwards else "after"))
    return PageRequest(size, position, backwards)


def page_of(rows: Sequence[Item], request: PageRequest) -> Page[Item]:
    """The page in up to `size` + 1 rows, which were read away from the cursor."""
    items, more = list(rows[: request.size]), len(rows) > request.size
    if request.backwards:
        return Page(items[::-1], has_next=request.cursor is not None, has_previous=more)
    return Page(items, has_next=more, has_previous=request.cursor is not None)


def encode_cursor(*values: Any) -> str:
    """An opaque cursor that holds the values by which a list is ordered."""
    return urlsafe_b64encode(orjson.dumps(values)).decode().rstrip("=")


def decode_cursor(cursor: str, name: str = "cursor") -> list[Any]:
    """The values in a cursor of ours."""
    try:
        values = orjson.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except ValueError:
        values = None
    if not isinstance(values, list) or any(isinstance(value, list | dict) for value in values):
        raise InvalidArgument(f"{name}: this is no cursor of this list", field=name)
    return values


def to_micros(time: datetime) -> int:
    """Microseconds since 1970, exactly."""
    return (time - _EPOCH) // timedelta(microseconds=1)


def from_micros(micros: int) -> datetime:
    """The time of microseconds since 1970; OverflowError outside the years 1 to 9999."""
    return _EPOCH + timedelta(microseconds=micros)
