"""How often clients may do something, each by its network address; counted in this process."""

from ipaddress import ip_address, ip_network
from math import ceil
from time import time

from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from resolvers.errors import RateLimited

IPV6_PREFIX = 64  # what one client has


class Rates:
    """Lets each client do something so often; `rate` is such as `600/minute`. Clients on this machine may do it as
    often as they like: what comes by a proxy has the address that `FORWARDED_ALLOW_IPS` lets the proxy tell.
    """

    def __init__(self, rate: str | None) -> None:
        self._item: RateLimitItem | None = parse(rate) if rate else None
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    async def take(self, address: str) -> None:
        """Count this time; RateLimited when it is one too many."""
        client = _client(address)
        if self._item and client and not await self._limiter.hit(self._item, client):
            free_at, _ = await self._limiter.get_window_stats(self._item, client)
            raise RateLimited(str(self._item), max(1, ceil(free_at - time())))


def _client(address: str) -> str | None:
    """Who is at this address; None for this machine."""
    try:
        given = ip_address(address)
    except ValueError:
        return address
    known = getattr(given, "ipv4_mapped", None) or given
    if known.is_loopback:
        return None
    return str(known if known.version == 4 else ip_network((known, IPV6_PREFIX), strict=False))
