"""WebSockets as RFC 6455 has them, by the groups of the Autobahn suite: for applications that take messages through
ASGI, and for those that take them by the extension `podium.messages`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

import pytest

from tests.echoes import WAYS, echoing, links
from tests.harness import serving_application
from tests.raw_sockets import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    RawSocket,
    Received,
    fragments,
    frame,
    goodbye,
    handshake,
    open_raw_socket,
    raw_connection,
)

MAX_BYTES = 1 << 20
PROTOCOL_ERROR, INVALID_DATA, TOO_BIG = 1002, 1007, 1009

GREEK = "κόσμε"
VALID = [GREEK, "Hello-µ@ßöäüàá", "\0", "\x7f", "\x80", "߿", "ࠀ", "\ud7ff", "\ue000", "�", "￿", "𐀀", "\U0010ffff"]
INVALID = {
    "a continuation alone": b"\x80",
    "two continuations": b"\x80\xbf",
    "a beginning alone": b"\xc3 ",
    "a beginning at the end": b"Hello\xc3",
    "three bytes of four": b"\xf0\x9f\x98",
    "a slash in two bytes": b"\xc0\xaf",
    "a slash in three bytes": b"\xe0\x80\xaf",
    "a NUL in two bytes": b"\xc0\x80",
    "half a surrogate": b"\xed\xa0\x80",
    "a pair of surrogates": b"\xed\xa0\x80\xed\xb0\x80",
    "more than Unicode has": b"\xf4\x90\x80\x80",
    "five bytes": b"\xf8\x88\x80\x80\x80",
    "a byte that never is": b"\xff",
    "a text around it": GREEK.encode() + b"\xed\xa0\x80edited",
}

Connect = Any


@pytest.fixture(scope="module")
async def url() -> AsyncIterator[str]:
    async with serving_application(echoing(MAX_BYTES), MAX_BYTES) as url:
        yield url


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    """Where messages are sent back."""
    way: str = request.param
    return way


@pytest.fixture
async def socket(url: str, way: str) -> AsyncIterator[RawSocket]:
    async with open_raw_socket(url, f"/{way}") as socket:
        yield socket


@pytest.fixture
def connect(url: str, way: str) -> partial[AbstractAsyncContextManager[RawSocket]]:
    """Opens sockets, for what needs many."""
    return partial(open_raw_socket, url, f"/{way}")


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
async def test_messages_of_every_length_come_back(socket: RawSocket, opcode: int) -> None:
    for length in (0, 1, 125, 126, 127, 128, 65_535, 65_536, MAX_BYTES):
        await socket.send(frame(opcode, b"*" * length))
        assert await socket.receive() == Received(opcode, b"*" * length)


@pytest.mark.parametrize("size", [1, 2, 3, 64, 997])
async def test_a_message_may_come_in_any_pieces(socket: RawSocket, size: int) -> None:
    payload = GREEK.encode() * (10 * size)
    await socket.send_chopped(frame(TEXT, payload), size)
    assert await socket.receive() == (TEXT, payload)


async def test_a_thousand_messages_come_back_in_their_order(socket: RawSocket) -> None:
    await socket.send(*(frame(TEXT, b"%d" % number) for number in range(1000)))
    assert [await socket.receive() for _ in range(1000)] == [(TEXT, b"%d" % number) for number in range(1000)]


@pytest.mark.parametrize("payload", [b"", b"Hello", b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff", b"*" * 125])
async def test_a_ping_is_answered_with_what_it_says(socket: RawSocket, payload: bytes) -> None:
    await socket.send(frame(PING, payload))
    assert await socket.receive() == (PONG, payload)
    await socket.send_chopped(frame(PING, payload), 1)
    assert await socket.receive() == (PONG, payload)


async def test_every_ping_is_answered(socket: RawSocket) -> None:
    await socket.send(*(frame(PING, b"%d" % number) for number in range(10)))
    answer = b"".join([(await socket.receive()).payload for _ in range(10)])
    assert answer == b"0123456789"


async def test_pongs_that_nobody_asked_for_mean_nothing(socket: RawSocket) -> None:
    await socket.send(frame(PONG), frame(PONG, b"unasked"), frame(PING, b"asked"), frame(PONG, b"asked"))
    assert await socket.receive() == (PONG, b"asked")
    await socket.send(frame(TEXT, b"still here"))
    assert await socket.receive() == (TEXT, b"still here")


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
async def test_control_frames_are_small_and_whole(connect: Connect, opcode: int) -> None:
    payload = goodbye(1000)
    for wrong in (frame(opcode, payload * 63), frame(opcode, payload, fin=False)):
        async with connect() as socket:
            await socket.send(wrong)
            assert await socket.closed_with() == PROTOCOL_ERROR


@pytest.mark.parametrize("reserved", range(1, 8))
async def test_reserved_bits_are_refused(connect: Connect, reserved: int) -> None:
    for opcode, payload in ((TEXT, b"Hello"), (PING, b""), (CLOSE, goodbye(1000))):
        async with connect() as socket:
            await socket.send(frame(opcode, payload, reserved=reserved))
            assert await socket.closed_with() == PROTOCOL_ERROR


@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
async def test_reserved_opcodes_are_refused(connect: Connect, opcode: int) -> None:
    for payload in (b"", b"Hello"):
        async with connect() as socket:
            await socket.send(frame(TEXT, b"before"), frame(opcode, payload), frame(PING))
            assert await socket.closed_with() == PROTOCOL_ERROR


@pytest.mark.parametrize("opcode", [TEXT, BINARY, PING])
async def test_clients_must_mask(socket: RawSocket, opcode: int) -> None:
    await socket.send(frame(opcode, b"Hello", is_masked=False))
    assert await socket.closed_with() == PROTOCOL_ERROR


@pytest.mark.parametrize("parts", [[b"a", b"b"], [b"", b"", b""], [b"", b"middle", b""], [b"x"] * 500])
async def test_a_message_may_have_any_parts(socket: RawSocket, parts: list[bytes]) -> None:
    for opcode in (TEXT, BINARY, TEXT):
        await socket.send(*fragments(opcode, *parts))
        assert await socket.receive() == (opcode, b"".join(parts))
    await socket.send_chopped(b"".join(fragments(TEXT, *parts)), 1)
    assert await socket.receive() == (TEXT, b"".join(parts))


async def test_pings_are_answered_in_the_middle_of_a_message(socket: RawSocket) -> None:
    first, second, third = fragments(TEXT, b"one ", b"two ", b"three")
    await socket.send(first, frame(PING, b"1"))
    assert await socket.receive() == (PONG, b"1")
    await socket.send(second, frame(PONG), frame(PING, b"2"))
    assert await socket.receive() == (PONG, b"2")
    await socket.send(third)
    assert await socket.receive() == (TEXT, b"one two three")


@pytest.mark.parametrize(
    "frames",
    [
        [frame(CONT, b"of nothing")],
        [frame(CONT, b"of nothing", fin=False)],
        [*fragments(TEXT, b"a", b"b"), frame(CONT, b"and more")],
        [frame(TEXT, b"a", fin=False), frame(TEXT, b"another")],
        [frame(TEXT, b"a", fin=False), frame(BINARY, b"another", fin=False)],
    ],
)
async def test_parts_that_belong_to_nothing_are_refused(socket: RawSocket, frames: list[bytes]) -> None:
    await socket.send(*frames)
    assert await socket.closed_with() == PROTOCOL_ERROR


@pytest.mark.parametrize("text", VALID)
async def test_texts_are_utf_8(socket: RawSocket, text: str) -> None:
    payload = text.encode()
    await socket.send(frame(TEXT, payload), *fragments(TEXT, *(bytes((byte,)) for byte in payload)))
    assert [await socket.receive() for _ in range(2)] == [(TEXT, payload)] * 2


@pytest.mark.parametrize("payload", INVALID.values(), ids=INVALID)
async def test_texts_that_are_not_utf_8_are_refused(connect: Connect, payload: bytes) -> None:
    for message in ([frame(TEXT, payload)], fragments(TEXT, payload[:1], payload[1:]), fragments(TEXT, payload, b"")):
        async with connect() as socket:
            await socket.send(*message)
            assert await socket.closed_with() == INVALID_DATA
        async with connect() as socket:
            await socket.send(frame(TEXT, b"before"), *message, frame(PING), frame(TEXT, b"after"), *message)
            assert await socket.closed_with() == INVALID_DATA


@pytest.mark.parametrize("payload", INVALID.values(), ids=INVALID)
async def test_bytes_may_be_anything(socket: RawSocket, payload: bytes) -> None:
    await socket.send(frame(BINARY, payload), *fragments(BINARY, payload, payload))
    assert [await socket.receive() for _ in range(2)] == [(BINARY, payload), (BINARY, payload * 2)]


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999])
async def test_a_goodbye_is_answered_with_its_code(socket: RawSocket, code: int) -> None:
    said = goodbye(code, b"*" * 123)
    await socket.send(frame(CLOSE, said))
    assert await socket.closed() == said


async def test_a_goodbye_without_a_code_is_answered_with_one_without(socket: RawSocket) -> None:
    await socket.send(frame(CLOSE))
    assert await socket.closed() == b""


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535])
async def test_codes_that_nobody_may_send_are_refused(socket: RawSocket, code: int) -> None:
    await socket.send(frame(CLOSE, goodbye(code)))
    assert await socket.closed_with() == PROTOCOL_ERROR


async def test_half_a_code_is_refused(socket: RawSocket) -> None:
    await socket.send(frame(CLOSE, b"\x03"))
    assert await socket.closed_with() == PROTOCOL_ERROR


async def test_reasons_are_utf_8(connect: Connect) -> None:
    async with connect() as socket:
        await socket.send(frame(CLOSE, goodbye(1000, GREEK.encode())))
        assert await socket.closed() == goodbye(1000, GREEK.encode())
    async with connect() as socket:
        await socket.send(frame(CLOSE, goodbye(1000, GREEK.encode() + b"\xed\xa0\x80")))
        assert await socket.closed_with() == INVALID_DATA


@pytest.mark.parametrize("said", [goodbye(1000), goodbye(4000, b"enough"), b""])
async def test_a_client_may_close_in_the_middle_of_a_message(socket: RawSocket, said: bytes) -> None:
    await socket.send(frame(TEXT, b"Hello", fin=False), frame(CLOSE, said), frame(CONT, b" World"))
    assert await socket.closed_with() == int.from_bytes(said[:2] or goodbye(1000), "big")


async def test_nothing_counts_after_a_goodbye(socket: RawSocket) -> None:
    after = frame(PING, b"anybody?"), frame(TEXT, b"Hello"), frame(TEXT, b"\xff"), frame(CLOSE, goodbye(1001))
    await socket.send(frame(CLOSE, goodbye(1000)), *after)
    assert await socket.receive() == (CLOSE, goodbye(1000))


async def test_messages_that_are_too_large_are_refused(connect: Connect) -> None:
    part = b"*" * (MAX_BYTES // 2)
    announced = frame(TEXT, is_masked=False)[:1] + b"\xff" + MAX_BYTES.to_bytes(8, "big")[:7] + b"\x01" + b"mask"
    for message in ([frame(BINARY, b"*" * (MAX_BYTES + 1))], [announced], fragments(TEXT, part, part, b"*")):
        async with connect() as socket:
            await socket.send(*message)
            assert await socket.closed_with() == TOO_BIG


async def test_one_who_is_refused_sees_why_even_if_it_goes_on_sending(connect: Connect) -> None:
    for wrong in (frame(3), frame(TEXT, b"\xff"), frame(BINARY, b"*" * (MAX_BYTES + 1))):
        async with connect() as socket:
            await socket.send(frame(TEXT, b"before"), wrong)
            await socket.send_chopped(frame(BINARY, b"*" * 60_000) * 20, 30_000)
            assert await socket.closed_with() in (PROTOCOL_ERROR, INVALID_DATA, TOO_BIG)


async def test_parts_without_anything_in_them_are_not_kept(socket: RawSocket) -> None:
    await socket.send(frame(TEXT, b"a", fin=False), *[frame(CONT, fin=False)] * 10_000, frame(PING))
    assert await socket.receive() == (PONG, b"")
    assert links[-1].frames == [b"a"]
    await socket.send(frame(CONT, b"b"))
    assert await socket.receive() == (TEXT, b"ab")


async def test_a_handshake_with_headers_that_are_too_large_is_answered(url: str, way: str) -> None:
    asked = handshake(f"/{way}", f"X-Large: {'x' * 9000}\r\n")
    async with raw_connection(url, asked) as (reader, _, head):
        assert head.startswith(b"HTTP/1.1 431 ")
        async with asyncio.timeout(5):
            assert b"Failed to open" in await reader.read()
