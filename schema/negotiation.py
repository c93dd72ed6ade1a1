"""Media types in headers: what an Accept prefers (RFC 9110, section 12.5.1), and what a Content-Type says."""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

UTF_8 = ("utf-8", "utf8")

_WEIGHT = re.compile(r"0(\.\d{0,3})?|1(\.0{0,3})?", re.ASCII)
_MAX_CACHED_CHARACTERS = 256  # clients send few different headers, and short ones


class MediaType(NamedTuple):
    """A media type, or in an Accept a range of them; in lower case."""

    name: str
    parameters: dict[str, str]

    @classmethod
    def of(cls, text: str) -> "MediaType":
        """What a Content-Type or a part of an Accept says; parameters without a value are empty."""
        name, *parameters = (part.strip() for part in text.lower().split(";"))
        pairs = (parameter.partition("=") for parameter in parameters)
        return cls(name, {name.strip(): value.strip().strip('"') for name, _, value in pairs})

    @property
    def is_utf_8(self) -> bool:
        """Whether it is in UTF-8, which is assumed where it does not say."""
        return self.parameters.get("charset", "utf-8") in UTF_8

    @property
    def weight(self) -> float:
        """How welcome it is, from 0 to 1; 0 when that cannot be read, or no answer is in its encoding."""
        weight = self.parameters.get("q", "1")
        return float(weight) if _WEIGHT.fullmatch(weight) and self.is_utf_8 else 0.0


def preferred(accept: str, offered: tuple[str, ...]) -> str | None:
    """The media type that an Accept likes best of those that are offered; None when it takes none of them.

    Of equal ones it is the one that the header names first, and of those that one range names together, `*/*` for
    instance, the first that is offered.
    """
    choose = _choose if len(accept) <= _MAX_CACHED_CHARACTERS else _choose.__wrapped__
    return choose(accept, offered)


@lru_cache(maxsize=256)
def _choose(accept: str, offered: tuple[str, ...]) -> str | None:
    ranges = [MediaType.of(part) for part in accept.split(",") if part.strip()]
    if not ranges:
        return offered[0]
    weight, _, _, name = max(_ranked(ranges, offered))
    return name if weight else None


def _ranked(ranges: Sequence[MediaType], offered: Sequence[str]) -> Iterator[tuple[float, int, int, str]]:
    for place, name in enumerate(offered):
        position = _position(name, ranges)
        weight = 0.0 if position is None else ranges[position].weight
        yield weight, -(position or 0), -place, name


def _position(name: str, ranges: Sequence[MediaType]) -> int | None:
    """Where the range is that counts for a media type: the most specific one."""
    names = [range_.name for range_ in ranges]
    counting = (name, f"{name.partition('/')[0]}/*", "*/*")
    return next((names.index(range_) for range_ in counting if range_ in names), None)
