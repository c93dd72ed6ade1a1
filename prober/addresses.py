"""Which addresses a playlist may send us to: public ones, what the operator allows, and what it was told to play."""

import socket
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from aiohttp.abc import AbstractResolver, ResolveResult

from prober.lookups import Lookups
from prober.problems import ProbeError
from prober.run import Reason

MOST_REMEMBERED = 100
LOOPBACK = ("127.0.0.1", "::1")
_NAT64 = ip_network("64:ff9b::/96")

Address = IPv4Address | IPv6Address


class AddressRule:
    """Says whether an address may be connected to.

    What was configured by its number, or as localhost, may be; a name may lead anywhere, so that it is looked at what
    it leads to.
    """

    def __init__(self, allowed: Iterable[str] = (), configured_host: str = "") -> None:
        self._passed: set[str] = set()
        self._allowed = [ip_network(network) for network in [*allowed, *_numbers_of(configured_host)]]

    def check(self, address: str, host: str) -> None:
        """Raise ProbeError unless this address, which a host has, is public or allowed."""
        found = _plain(ip_address(address.partition("%")[0]))
        if not _is_public(found) and not any(found in network for network in self._allowed):
            raise ProbeError(Reason.ADDRESS_REFUSED, f"{host} is at {found}, which PLAYBACK_ALLOW does not allow")

    def check_number(self, host: str) -> None:
        """The same for a host that is a number, which nobody looks up; names pass."""
        if host in self._passed:
            return
        if _is_number(host):
            self.check(host, host)
        elif host.replace(".", "").isdigit():
            raise ProbeError(Reason.ADDRESS_REFUSED, f"{host} is a number that may mean any address")
        if len(self._passed) < MOST_REMEMBERED:
            self._passed.add(host)


class GuardedResolver(AbstractResolver):
    """Looks names up, and refuses those that lead where nobody may go: what is connected to is what was looked at."""

    def __init__(self, rule: AddressRule) -> None:
        self._rule = rule
        self._lookups = Lookups()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses of a host; OSError where it has none."""
        found = await self._lookups.found(host, port, family)
        addresses = list(dict.fromkeys((str(entry[4][0]), entry[0]) for entry in found))
        for address, _ in addresses:
            self._rule.check(address, host)
        return [
            ResolveResult(
                hostname=host, host=address, port=port, family=of_family, proto=0, flags=socket.AI_NUMERICHOST
            )
            for address, of_family in addresses
        ]

    async def close(self) -> None:
        """There is nothing to close."""


def _is_number(host: str) -> bool:
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _numbers_of(host: str) -> Sequence[str]:
    if host.lower() == "localhost":
        return LOOPBACK
    try:
        return (str(_plain(ip_address(host.partition("%")[0]))),)
    except ValueError:
        return ()


def _plain(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for, where it does."""
    if isinstance(address, IPv6Address):
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFF_FFFF)
        return address.ipv4_mapped or address.sixtofour or address
    return address


def _is_public(address: Address) -> bool:
    is_site_local = isinstance(address, IPv6Address) and address.is_site_local
    return address.is_global and not (address.is_multicast or address.is_reserved or is_site_local)
