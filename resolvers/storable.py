"""What clients send as JSON: typed, and refused with the name of its field where the database cannot store it."""

from collections.abc import Mapping, Sequence
from itertools import chain
from math import isfinite
from typing import Any, TypeVar

import msgspec
import orjson

from resolvers.errors import InvalidArgument

MAX_INT = 2**31 - 1
# An answer nests what is stored in some more objects and lists, and the encoder takes 254 of them altogether.
MAX_DEPTH = 200

Typed = TypeVar("Typed")


def typed(fields: Mapping[str, Any], type_: type[Typed], name: str) -> Typed:
    """The fields as a struct of msgspec; InvalidArgument for a wrong type, with the field, or the name of the whole."""
    try:
        return msgspec.convert(fields, type_)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$.")
        field = where.rstrip("`") or None
        raise InvalidArgument(f"{field or name}: {what}".replace("`", ""), field=field) from None


def check_text(field: str, value: str | None) -> None:
    """Raise InvalidArgument for a text that cannot be stored."""
    if value is not None and "\0" in value:
        raise _nul(field)


def check_int(field: str, value: int, least: int = 0) -> None:
    """Raise InvalidArgument for a whole number below `least`, or that needs more than 31 bits."""
    if not least <= value <= MAX_INT:
        raise InvalidArgument(f"{field}: a whole number from {least} to {MAX_INT}, not {value}", field=field)


def encoded_json(field: str, value: Any) -> bytes:
    """JSON for a column of type jsonb; InvalidArgument for what cannot be stored, or could not be shown again."""
    level: Sequence[Any] = [value]
    for _ in range(MAX_DEPTH):
        if any(isinstance(item, str) and "\0" in item for item in level):
            raise _nul(field)
        if any(isinstance(item, float) and not isfinite(item) for item in level):
            raise InvalidArgument(f"{field}: a number is too large", field=field)
        level = list(chain.from_iterable(map(_inner, level)))
        if not level:
            return _encoded(field, value)
    raise InvalidArgument(f"{field}: nested more than {MAX_DEPTH} deep", field=field)


def _inner(value: Any) -> Sequence[Any]:
    if isinstance(value, Mapping):
        return [*value, *value.values()]
    return value if isinstance(value, list) else ()


def _encoded(field: str, value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:  # a whole number of more than 64 bits, or half of a character
        raise InvalidArgument(f"{field}: a number or a text cannot be stored", field=field) from None


def _nul(field: str) -> InvalidArgument:
    return InvalidArgument(f"{field}: a NUL character cannot be stored", field=field)
