"""Nodes of the benchmark of telemetry: what they count as sent arrives, at their rate, and a lost socket is said."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from time import perf_counter

import pytest

from bench.load import END
from bench.telemetry_load import Senders, Sink
from bench.telemetry_messages import reel
from bench.telemetry_node import ACCEPTED, Node, SocketError
from tests.harness import eventually

GOODBYE = b"\x88\x02\x03\xe8"


async def test_all_that_is_counted_as_sent_arrives() -> None:
    with Sink() as sink:
        senders = opened(sink.address, [Node(number, 2_500) for number in range(4)])
        senders.start()
        senders.finish()
        assert senders.sent == senders.count == 10_000
        senders.abandon()
        expected = sum(size_of(number, 2_500) for number in range(4))
        await eventually(lambda: sink.received_bytes == expected)


def test_a_node_keeps_its_rate() -> None:
    with Sink() as sink:
        began = perf_counter()
        senders = opened(sink.address, [Node(0, 40, rate_per_s=200)])
        senders.start()
        senders.finish()
        assert perf_counter() - began >= 0.18
        senders.abandon()


async def test_a_server_that_does_not_read_holds_nodes_up() -> None:
    with listening() as server, opened_by_hand(server, Node(0, 1 << 30)) as senders:
        senders.start()
        await eventually(lambda: senders.held_s > 0.05)
        assert not senders.is_sent


async def test_pings_are_answered_and_a_goodbye_waits_for_its_answer() -> None:
    with listening() as server:
        heard: list[bytes] = []

        def serve() -> None:
            end = welcome(server)
            end.sendall(b"\x89\x02hi")
            while not b"".join(heard).endswith(bytes(4) + b"\x03\xe8"):
                heard.append(end.recv(4096))
            end.sendall(GOODBYE)
            end.close()

        thread = Thread(target=serve)
        thread.start()
        node = Node(0, 1)
        senders = opened(server.getsockname(), [node])
        senders.start()
        senders.finish()
        await eventually(lambda: node.pings)
        senders.close()
        thread.join()
    assert b"\x8a\x82" + bytes(4) + b"hi" in b"".join(heard)
    assert node.closed_by_server is None


def test_a_socket_that_the_server_closes_is_a_failure() -> None:
    with listening() as server, opened_by_hand(server, Node(0, 10, rate_per_s=1), b"\x88\x06\x03\xf1full") as senders:
        senders.start()
        with pytest.raises(SocketError, match="1 of 1 sockets were lost: the server closed with 1009 full"):
            senders.finish()


def test_a_refused_handshake_says_how() -> None:
    with listening() as server:
        thread = Thread(target=lambda: welcome(server, b"HTTP/1.1 403 Forbidden\r\nX: y" + END).close())
        thread.start()
        with pytest.raises(SocketError, match=r"no handshake: HTTP/1\.1 403 Forbidden"):
            Node(0, 1).open(server.getsockname())
        thread.join()


def opened(address: tuple[str, int], nodes: list[Node]) -> Senders:
    """Nodes that have shaken hands."""
    for node in nodes:
        node.open(address)
    return Senders(nodes)


@contextmanager
def opened_by_hand(server: socket.socket, node: Node, said: bytes = b"") -> Iterator[Senders]:
    """A node that has shaken hands with a server that says something, and reads nothing."""
    ends: list[socket.socket] = []
    thread = Thread(target=lambda: ends.append(welcome(server)))
    thread.start()
    senders = opened(server.getsockname(), [node])
    thread.join()
    with ends[0]:
        ends[0].sendall(said)
        yield senders
        senders.abandon()


def welcome(server: socket.socket, answer: bytes = b"") -> socket.socket:
    """Take a client, and shake hands."""
    end, _ = server.accept()
    request = b""
    while END not in request:
        request += end.recv(4096)
    end.sendall(answer or b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: " + ACCEPTED + END)
    return end


def size_of(number: int, count: int) -> int:
    """How many bytes the frames of so many messages take."""
    frames, sent, size = reel(number, count), 0, 0
    while sent < count:
        chunk, taken = frames.chunk(sent, count - sent, 0)
        sent, size = sent + taken, size + len(chunk)
    return size


@contextmanager
def listening() -> Iterator[socket.socket]:
    """A server's socket."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server
