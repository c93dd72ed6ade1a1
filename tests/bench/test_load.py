"""The load client: what it counts is what came back."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import cycle

import pytest

from bench.load import Load, get_request, joined, load, post_request

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LONGER = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\noks"
BAD = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 3\r\n\r\nbad"
CLOSING = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nConnection: close\r\n\r\nok"

Answer = Callable[[bytes], list[bytes]]


async def test_answers_and_failures_are_counted_by_status() -> None:
    seen: list[bytes] = []

    def answer(request: bytes) -> list[bytes]:
        seen.append(request)
        return [BAD if b"/bad" in request else OK]

    requests = cycle([get_request("/good"), get_request("/good"), get_request("/bad")])
    found = await ask(answer, requests, connections=4)
    assert sum(found.statuses.values()) == len(found.latencies_s) == len(seen)
    assert found.statuses[400] == found.errors == sum(b"/bad" in request for request in seen) > 0
    assert found.lost == 0
    assert found.requests_per_s == pytest.approx(found.statuses[200] / found.seconds)


async def test_an_answer_in_pieces_is_one_answer() -> None:
    found = await ask(lambda _: [OK[:9], OK[9:30], OK[30:-1], OK[-1:]], cycle([get_request("/")]))
    assert set(found.statuses) == {200}
    assert found.errors == 0


async def test_a_connection_that_ends_without_an_answer_is_an_error() -> None:
    answers = cycle([[OK], [OK[:20], b""]])
    found = await ask(lambda _: next(answers), cycle([get_request("/")]))
    assert found.lost == found.errors > 0
    assert abs(found.statuses[200] - found.lost) <= 1


async def test_a_connection_that_the_server_closes_is_replaced() -> None:
    found = await ask(lambda _: [CLOSING, b""], cycle([get_request("/")]))
    assert found.errors == 0
    assert found.statuses[200] > 1


async def test_a_post_carries_its_body_and_signature() -> None:
    seen: list[bytes] = []

    def answer(request: bytes) -> list[bytes]:
        seen.append(request)
        return [OK]

    await ask(answer, cycle([post_request("/api/post_stats", b'{"a":1}', "f00")]))
    head, _, body = seen[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /api/post_stats HTTP/1.1\r\n")
    assert b"\r\nAuthorization: f00\r\n" in head
    assert body == b'{"a":1}'


async def test_an_answer_of_another_size_is_an_error() -> None:
    answers = cycle([[OK], [LONGER]])
    async with served(lambda _: next(answers)) as address:
        requests = cycle([get_request("/")])
        found = await load(address, requests, connections=1, seconds=0.05, size=2)
    assert found.wrong == found.errors > 0
    assert abs(found.statuses[200] - 2 * found.wrong) <= 1


def test_loads_are_joined_as_if_they_were_one() -> None:
    found = joined([Load(1, {200: 2}, 1, [0.002, 0.003]), Load(3, {200: 1, 500: 1}, 0, [0.001, 0.004], wrong=1)])
    assert found == Load(4, {200: 3, 500: 1}, 1, [0.001, 0.002, 0.003, 0.004], wrong=1)
    assert found.errors == 3
    assert found.requests_per_s == pytest.approx((4 + 1 - 3) / 4)


async def test_a_server_that_is_not_there_is_no_result() -> None:
    async with served(lambda _: [OK]) as address:
        pass
    with pytest.raises(OSError, match="Connect"):
        await load(address, cycle([get_request("/")]), connections=1, seconds=0.1)


@pytest.mark.parametrize(("percent", "expected_ms"), [(1, 1), (50, 2), (51, 3), (99, 4), (100, 4)])
def test_percentiles_are_of_answers_that_there_were(percent: float, expected_ms: float) -> None:
    assert Load(1, {200: 4}, 0, [0.001, 0.002, 0.003, 0.004]).percentile_ms(percent) == expected_ms


def test_without_answers_there_is_no_latency() -> None:
    assert Load(1, {}, 3, []).percentile_ms(50) == 0


async def ask(answer: Answer, requests: Iterator[bytes], connections: int = 1) -> Load:
    """A short load on a server that answers so."""
    async with served(answer) as address:
        return await load(address, requests, connections=connections, seconds=0.05)


@asynccontextmanager
async def served(answer: Answer) -> AsyncIterator[tuple[str, int]]:
    """A server that answers each request with some pieces; an empty one closes the connection."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await _request(reader):
            for piece in answer(request):
                if not piece:
                    writer.close()
                    return
                writer.write(piece)
                await asyncio.sleep(0)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1")
    async with server:
        host, port = server.sockets[0].getsockname()
        yield host, port


async def _request(reader: asyncio.StreamReader) -> bytes:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""
    _, found, length = head.partition(b"Content-Length: ")
    return head + await reader.readexactly(int(length.split(b"\r\n")[0]) if found else 0)
