"""Query strings, and the Unix seconds in them, as both /api and /export read them."""

import re
from collections.abc import Sequence
from urllib.parse import parse_qsl

from resolvers.errors import InvalidArgument

MAX_PARAMETERS = 1000
# Each digit in one way only: a pattern that can split them differently takes quadratic time to refuse a long number.
UNIX_SECONDS = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)

Pairs = Sequence[tuple[str, str]]


def query_pairs(query: bytes) -> Pairs:
    """The parameters of a query string, in their order; blank ones are among them."""
    if query.count(b"&") >= MAX_PARAMETERS:
        raise InvalidArgument(f"at most {MAX_PARAMETERS} parameters")
    return parse_qsl(query.decode("latin-1"), keep_blank_values=True)
