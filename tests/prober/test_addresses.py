"""Where playlists may lead to, and what bounds a fetch."""

import asyncio
import gzip
import socket
import threading
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from prober.addresses import AddressRule, GuardedResolver
from prober.fetching import Bound, Fetcher
from prober.problems import ProbeError
from prober.run import Reason
from tests.harness import eventually

PRIVATE = [
    *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.1", "224.0.0.1"),
    *("255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:127.0.0.1"),
    *("64:ff9b::7f00:1", "2002:7f00:1::1", "fec0::1"),
]
BOUND = Bound(bytes=1000, seconds=1.0)


@pytest.mark.parametrize("address", PRIVATE)
def test_what_is_not_public_is_refused(address: str) -> None:
    with pytest.raises(ProbeError) as caught:
        AddressRule().check(address, "name.example")
    assert caught.value.problem.reason is Reason.ADDRESS_REFUSED


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1", "64:ff9b::5db8:d822"])
def test_what_is_public_is_not(address: str) -> None:
    AddressRule().check(address, "name.example")


@pytest.mark.parametrize(
    ("rule", "address"),
    [
        (AddressRule(["10.0.0.0/8"]), "10.1.2.3"),
        (AddressRule(["10.0.0.0/8"]), "::ffff:10.1.2.3"),
        (AddressRule(configured_host="127.0.0.1"), "127.0.0.1"),
        (AddressRule(configured_host="localhost"), "::1"),
        (AddressRule(configured_host="fc00::1"), "fc00::1"),
        (AddressRule(configured_host="fe80::1%eth0"), "fe80::1%eth0"),
    ],
)
def test_what_the_operator_allows_or_names_by_its_number_is_not(rule: AddressRule, address: str) -> None:
    rule.check(address, "name.example")
    with pytest.raises(ProbeError):
        rule.check("192.168.1.1", "name.example")


def test_a_configured_name_may_not_lead_inside() -> None:
    with pytest.raises(ProbeError):
        AddressRule(configured_host="name.example").check("127.0.0.1", "name.example")


@pytest.mark.parametrize("host", ["localhost", "127.1", "0x7f.1", "2130706433", "017700000001"])
async def test_a_name_is_looked_at_when_it_is_looked_up(host: str) -> None:
    with pytest.raises(ProbeError):
        await GuardedResolver(AddressRule()).resolve(host, 80)


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0177.0.0.1", "127.0.0.01"])
def test_a_number_in_an_old_form_is_refused_and_nobody_need_know_it(host: str) -> None:
    with pytest.raises(ProbeError) as caught:
        AddressRule(configured_host="127.0.0.1").check_number(host)
    assert caught.value.problem.reason is Reason.ADDRESS_REFUSED


class Answering:
    """Answers each connection with the same bytes, in pieces."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.pause_s = 0.0
        self.url = self.asked = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
        try:
            for piece in self.pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(self.pause_s)
        except ConnectionError:
            return
        finally:
            writer.close()


@pytest.fixture
async def answering() -> AsyncIterator[Answering]:
    answering = Answering()
    server = await asyncio.start_server(answering.serve, "127.0.0.1", 0, family=socket.AF_INET)
    answering.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/a?key=marker"
    async with server:
        yield answering


@pytest.fixture
async def fetcher() -> AsyncIterator[Fetcher]:
    async with Fetcher(AddressRule(configured_host="127.0.0.1"), httpx.create_ssl_context()) as fetcher:
        yield fetcher


async def test_a_name_that_nobody_answers_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    look_up, is_over, asked = socket.getaddrinfo, threading.Event(), []

    def hanging(host: str, *arguments: Any, **more: Any) -> Any:
        asked.append(host)
        return is_over.wait(30) and [] if host.endswith(".invalid") else look_up(host, *arguments, **more)

    monkeypatch.setattr(socket, "getaddrinfo", hanging)
    rule = AddressRule(configured_host="localhost")
    resolvers = [GuardedResolver(rule) for _ in range(50)]
    hanging_ones = [asyncio.create_task(each.resolve("a.invalid")) for each in resolvers for _ in range(3)]
    try:
        async with asyncio.timeout(5):
            assert await GuardedResolver(rule).resolve("localhost", 80)
            await eventually(lambda: asked.count("a.invalid") == 50)
            assert await resolvers[0].resolve("localhost", 80)
    finally:
        is_over.set()
        assert not any(await asyncio.gather(*hanging_ones))


@pytest.mark.parametrize(
    ("pieces", "reason"),
    [
        ([b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 1001], Reason.TOO_LARGE),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"x" * 2000], Reason.TOO_LARGE),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx"], Reason.PLAYLIST_UNREACHABLE),
        ([b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"], Reason.PLAYLIST_HTTP_ERROR),
        ([b"HTTP/1.1 302 Found\r\nLocation: /a\r\nContent-Length: 0\r\n\r\n"], Reason.PLAYLIST_HTTP_ERROR),
        ([b"HTTP/1.1 302 Found\r\nLocation: http://10.0.0.1/\r\nContent-Length: 0\r\n\r\n"], Reason.ADDRESS_REFUSED),
        ([b"HTTP/1.1 302 Found\r\nLocation: http://127.1/\r\nContent-Length: 0\r\n\r\n"], Reason.ADDRESS_REFUSED),
        ([b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n"], Reason.ADDRESS_REFUSED),
        ([b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n"], Reason.PLAYLIST_HTTP_ERROR),
        ([b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n", b"no gzip"], Reason.PLAYLIST_INVALID),
        ([b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n", gzip.compress(b"x" * 9_999_999)], Reason.TOO_LARGE),
        ([b"garbage\r\n\r\n"], Reason.PLAYLIST_UNREACHABLE),
        ([], Reason.PLAYLIST_UNREACHABLE),
    ],
)
async def test_a_bad_answer_has_a_reason(
    answering: Answering, fetcher: Fetcher, pieces: list[bytes], reason: Reason
) -> None:
    answering.pieces = pieces
    with pytest.raises(ProbeError) as caught:
        await fetcher.get(answering.url, BOUND)
    assert caught.value.problem.reason is reason
    assert "marker" not in caught.value.problem.detail


async def test_an_answer_that_trickles_is_given_up(answering: Answering, fetcher: Fetcher) -> None:
    answering.pieces, answering.pause_s = [b"HTTP/1.1 200 OK\r\n\r\n", *[b"x"] * 100], 0.05
    with pytest.raises(ProbeError) as caught:
        await fetcher.get(answering.url, BOUND)
    assert caught.value.problem.reason is Reason.TIMEOUT


@pytest.mark.parametrize("url", ["http://", "http://a:99999/", "ftp://a/", "", "http://[::/", "a/b.ts"])
async def test_a_url_that_cannot_be_is_refused(fetcher: Fetcher, url: str) -> None:
    with pytest.raises(ProbeError):
        await fetcher.get(url, BOUND)


async def test_a_good_answer_is_read_whole(answering: Answering, fetcher: Fetcher) -> None:
    answering.pieces = [b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b"x" * 400, b"y" * 600]
    answer = await fetcher.get(answering.url, BOUND)
    assert (answer.url, len(answer.body)) == (answering.url, 1000)


@pytest.mark.parametrize("length", [900, 1000])
async def test_what_is_compressed_unasked_is_read_as_what_it_is(
    answering: Answering, fetcher: Fetcher, length: int
) -> None:
    packed = gzip.compress(b"x" * length)
    answering.pieces = [b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n", packed[:15], packed[15:]]
    assert (await fetcher.get(answering.url, BOUND)).body == b"x" * length


@pytest.mark.parametrize(
    ("written", "asked"),
    [
        ("/a%2fb%7e.ts?acl=%2f*~hmac=1%3D&x=a+b", "/a%2fb%7e.ts?acl=%2f*~hmac=1%3D&x=a+b"),
        ("/a b/ä.ts?x=ü", "/a%20b/%C3%A4.ts?x=%C3%BC"),
        ("?x", "/?x"),
    ],
)
async def test_what_is_asked_for_is_what_is_written(
    answering: Answering, fetcher: Fetcher, written: str, asked: str
) -> None:
    answering.pieces = [b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"]
    await fetcher.get(answering.url.partition("/a?")[0] + written, BOUND)
    assert answering.asked == asked
