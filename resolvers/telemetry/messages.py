"""Messages of nodes, from the bytes of a frame to what is stored of them; pure."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from re import compile
from typing import Any

import orjson

MAX_COLUMN_LENGTH = 128  # characters of msg and target that have columns of their own, for indexes
MAX_PEER_ID_LENGTH = 256
MAX_DIGITS = 300  # of a number: Postgres would take 131,072, and write them all out again
_NUL = b"\\u0000"
_TINY = compile(rb"\d[eE]-0*[1-9]\d{2}")  # eight bytes, for which Postgres writes out up to 16,000
_FEW_BYTES = 512  # so few that not even such numbers make more of them than a message may have
_LONG = compile(rb"\d{%d}" % (MAX_DIGITS + 1))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_US = 86_400_000_000
_FIRST_US, _LAST_US = -62_135_596_800_000_000, 253_402_300_799_999_999


class Refused(Exception):
    """A message that is not stored; the reason is one of REASONS."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


REASONS = ("malformed", "no_object", "too_deep", "too_many_nodes", "unstorable")


# A message: its bytes as they can be stored, what they say, and whether they had to be escaped for that. A plain tuple,
# because a hundred thousand are made in a second.
Message = tuple[bytes, dict[str, Any], bool]


def read_message(frame: bytes) -> Message:
    """The message of a frame; Refused for what is no JSON object.

    What JSON allows and Postgres cannot store is written differently: NUL characters and half surrogates as the text of
    their escapes, numbers beyond doubles as text.
    """
    try:
        value = orjson.loads(frame)
    except orjson.JSONDecodeError:
        return _escaped(frame)
    if type(value) is not dict:
        raise Refused("no_object")
    if b"\\" in frame and _NUL in frame:  # one byte is found much sooner
        escaped = _escaped(frame)
        return (frame, value, False) if escaped[1] == value else escaped  # it was a text about escapes
    if len(frame) > _FEW_BYTES and _has_tiny_numbers(frame):
        escaped = _escaped(frame)
        return escaped[0], escaped[1], escaped[1] != value  # it was a text about numbers, or a zero
    return frame, value, False


def is_wrapped(value: dict[str, Any]) -> bool:
    """Whether a message is of the newer form, `{"id":1,"ts":"...","payload":{"msg":...}}`."""
    return type(value.get("payload")) is dict and "msg" not in value


def micros_of(ts: Any) -> int | None:
    """Microseconds since 1970 of an RFC 3339 time with an offset, finer digits cut off; None where it is none, or not
    of the years 1 to 9999 in UTC.
    """
    try:
        since = datetime.fromisoformat(ts) - _EPOCH
    except (TypeError, ValueError):
        return micros_of(ts.upper()) if type(ts) is str and ts != ts.upper() else None
    micros = since.days * _DAY_US + since.seconds * 1_000_000 + since.microseconds
    return micros if _FIRST_US <= micros <= _LAST_US else None


def with_usual_numbers(body: bytes) -> bytes:
    """A message's bytes; if they have numbers of very many digits, with those written so that Postgres takes them.

    It is for what Postgres has refused already: few do that, and looking at each would cost much.
    """
    try:
        return _escaped(body)[0] if _LONG.search(body) or _has_tiny_numbers(body) else body
    except Refused:  # nested too deeply for that
        return body


def _has_tiny_numbers(frame: bytes) -> bool:
    return (b"e-" in frame or b"E-" in frame) and _TINY.search(frame) is not None


def _escaped(frame: bytes) -> Message:
    try:
        value = _storable(json.loads(frame, parse_float=_float, parse_int=_int, parse_constant=_no_constant))
        body = orjson.dumps(value)
    except RecursionError:
        raise Refused("too_deep") from None
    except ValueError:  # bytes that are no UTF-8 among them
        raise Refused("malformed") from None
    except TypeError:  # nested more deeply than orjson writes
        raise Refused("too_deep") from None
    if type(value) is not dict:
        raise Refused("no_object")
    return body, value, True


def _float(text: str) -> float | str:
    number = float(text)
    is_lost = number == 0 and any(digit in "123456789" for digit in text.lower().partition("e")[0])
    return text if is_lost or abs(number) == float("inf") or len(text) > MAX_DIGITS else number


def _int(text: str) -> int | float | str:
    if len(text) > MAX_DIGITS:
        return text
    number = int(text)
    return number if -(2**63) <= number < 2**64 else float(number)


def _no_constant(text: str) -> None:
    raise ValueError(text)


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return _storable_text(value)
    if isinstance(value, list):
        return [_storable(item) for item in value]
    if isinstance(value, dict):
        return {_storable_text(name): _storable(item) for name, item in value.items()}
    return value


def _storable_text(text: str) -> str:
    return "".join(_characters(text)) if not text.isascii() or "\0" in text else text


def _characters(text: str) -> Iterator[str]:
    for character in text:
        is_storable = character != "\0" and not "\ud800" <= character <= "\udfff"
        yield character if is_storable else f"\\u{ord(character):04x}"
