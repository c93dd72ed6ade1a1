"""Origins of pages: a browser lets any page send requests and open sockets, and only the server can refuse them."""

from collections.abc import Sequence
from urllib.parse import urlsplit


def is_allowed(origin: str | None, host: str, allowed: Sequence[str]) -> bool:
    """Whether an origin is one of those, or the server's own by the `Host` that was asked; None is no page at all."""
    if origin is None or origin in allowed or "*" in allowed:
        return True
    try:
        given = urlsplit(origin)
        own = urlsplit(f"{given.scheme}://{host}")
        default = {"http": 80, "https": 443}.get(given.scheme)
        return bool(given.hostname) and (given.hostname, given.port or default) == (own.hostname, own.port or default)
    except ValueError:
        return False
