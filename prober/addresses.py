"""Which addresses a playlist may send us to: public ones, what the operator allows, and what it was told to play."""

import asyncio
import socket
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

import httpcore

from prober.problems import ProbeError
from prober.run import Reason

LOOPBACK = ("127.0.0.1", "::1")
RESOLVING_S = 5.0
_NAT64 = ip_network("64:ff9b::/96")

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class AddressRule:
    """Says whether an address may be connected to.

    What was configured by its number, or as localhost, may be; a name may lead anywhere, so that it is looked at what
    it leads to.
    """

    def __init__(self, allowed: Iterable[str] = (), configured_host: str = "") -> None:
        self._allowed = [ip_network(network) for network in [*allowed, *_numbers_of(configured_host)]]

    def lets(self, address: str) -> bool:
        """Whether this one is public, or allowed."""
        found = _plain(ip_address(address.partition("%")[0]))
        return _is_public(found) or any(found in network for network in self._allowed)


class GuardedNetwork(httpcore.AsyncNetworkBackend):
    """Connections of HTTP: names are looked up here, and what is connected to is what was looked at."""

    def __init__(self, rule: AddressRule) -> None:
        self._rule = rule
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 (of the interface)
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first of the host's addresses that answers."""
        failure: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in await self._permitted(host, port):
            try:
                return await self._network.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    async def connect_unix_socket(self, path: str, *args: Any, **kwargs: Any) -> httpcore.AsyncNetworkStream:
        """Never: no playlist means this machine's sockets."""
        raise httpcore.ConnectError("no Unix sockets")

    async def sleep(self, seconds: float) -> None:
        """As the interface wants it."""
        await asyncio.sleep(seconds)

    async def _permitted(self, host: str, port: int) -> Sequence[str]:
        loop = asyncio.get_running_loop()
        try:
            found = await asyncio.wait_for(loop.getaddrinfo(host, port, type=socket.SOCK_STREAM), RESOLVING_S)
        except TimeoutError:
            raise httpcore.ConnectTimeout(f"{host} cannot be looked up in time") from None
        except OSError as error:
            raise httpcore.ConnectError(f"{host} cannot be looked up: {error.strerror}") from None
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        for address in addresses:
            if not self._rule.lets(address):
                raise ProbeError(Reason.ADDRESS_REFUSED, f"{host} is at {address}, which PLAYBACK_ALLOW does not allow")
        return addresses


def _numbers_of(host: str) -> Sequence[str]:
    if host.lower() == "localhost":
        return LOOPBACK
    try:
        return (str(_plain(ip_address(host))),)
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
    return address.is_global and not (address.is_multicast or address.is_reserved)
