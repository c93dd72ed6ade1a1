"""`podium bench subscribers`: results posted before many subscribers, one of which does not read; when each arrives."""

import argparse
import asyncio
import socket
import tempfile
from array import array
from base64 import b64encode
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from datetime import datetime
from itertools import count
from pathlib import Path
from random import Random
from time import time
from typing import Any, cast
from zlib import crc32

import orjson
import uvloop

from bench.generate import addresses
from bench.load import END, post_request
from bench.machine import machine
from bench.server import SECRET, Served, served
from resolvers.signing import signature

FIELDS = "orchestrator { address } region { code } jobType successRate roundTripTime recordedAt reportedAt"
QUERY = f"subscription {{ statRecorded {{ {FIELDS} }} }}"
POSTERS = 16
FIRST_TIMESTAMP = 1_700_000_000
CHUNK_BYTES = 1 << 18
PING = b"\x89\x04"  # of a ping with four bytes; the answers are ASCII, and shorter than what would begin so
QUIET_S = 1.5
WARM_UP_S = 2.0


def frame(text: bytes) -> bytes:
    """A client's text frame, masked with zeros."""
    size = len(text)
    head = bytes((0x81, 0x80 | size)) if size < 126 else b"\x81\xfe" + size.to_bytes(2, "big")
    return head + bytes(4) + text


def payloads(stream: bytes) -> Iterator[tuple[int, bytes]]:
    """The server's frames in a stream: where each ends, and what it holds."""
    at = 0
    while at + 2 <= len(stream):
        size, start = stream[at + 1], at + 2
        if size == 126:
            size, start = int.from_bytes(stream[at + 2 : at + 4], "big"), at + 4
        elif size == 127:
            size, start = int.from_bytes(stream[at + 2 : at + 10], "big"), at + 10
        if start + size > len(stream):
            return
        yield start + size, stream[start : start + size]
        at = start + size


class Subscriber(asyncio.BufferedProtocol):
    """One socket. It notes how much has arrived when; what it is, is looked at once, for the first of all."""

    buffer = bytearray(CHUNK_BYTES)

    def __init__(self, *, reads: bool = True, keeps: bool = False) -> None:
        self.subscribed = asyncio.get_running_loop().create_future()
        self.times, self.totals = array("d"), array("Q")
        self.total = self.checksum = 0
        self.kept = bytearray()
        self.is_lost = False
        self._reads, self._keeps = reads, keeps
        self._greeting = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        key = b64encode(bytes(16)).decode()
        self.transport.write(
            b"GET /graphql HTTP/1.1\r\nHost: podium\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            + f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n".encode()
            + b"Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
        )

    def get_buffer(self, sizehint: int) -> bytearray:
        return self.buffer

    def buffer_updated(self, size: int) -> None:
        if not self.subscribed.done():
            self._greet(bytes(self.buffer[:size]))
            return
        if (at := self.buffer.find(PING, 0, size)) >= 0:
            size = self._answer(at, size)
        with memoryview(self.buffer)[:size] as chunk:
            self.checksum = crc32(chunk, self.checksum)
            if self._keeps:
                self.kept += chunk
        self.total += size
        self.times.append(time())
        self.totals.append(self.total)

    def connection_lost(self, error: Exception | None) -> None:
        self.is_lost = True

    def _answer(self, at: int, size: int) -> int:
        # Every socket has its own pings; without them, all get the same bytes.
        end = at + len(PING) + 4
        self.transport.write(b"\x8a\x84" + bytes(4) + self.buffer[at + len(PING) : end])
        self.buffer[at : size - (end - at)] = self.buffer[end:size]
        return size - (end - at)

    def _greet(self, data: bytes) -> None:
        self._greeting += data
        if self._greeting.endswith(END):
            self.transport.write(frame(b'{"type":"connection_init"}'))
        if b"connection_ack" not in self._greeting:
            return
        message = {"type": "subscribe", "id": "1", "payload": {"query": QUERY}}
        self.transport.write(frame(orjson.dumps(message)))
        if not self._reads:
            self.transport.pause_reading()
        self.subscribed.set_result(None)


class Poster(asyncio.Protocol):
    """A connection on which results are posted, one after the other."""

    def __init__(self, posts: "Posts") -> None:
        self._posts = posts

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._posts.idle.append(self)

    def data_received(self, data: bytes) -> None:
        self._posts.acknowledged += data.startswith(b"HTTP/1.1 200")
        self._posts.refused += not data.startswith(b"HTTP/1.1 200")
        self._posts.idle.append(self)

    def connection_lost(self, error: Exception | None) -> None:
        if self in self._posts.idle:  # the server closes what is idle for some seconds
            self._posts.idle.remove(self)


class Posts:
    """Results posted at a steady rate, each with a timestamp of its own."""

    def __init__(self) -> None:
        self.idle: deque[Poster] = deque()
        self.sent_at: dict[int, float] = {}
        self.acknowledged = self.refused = 0
        self._rng = Random(1)
        self._numbers = count(FIRST_TIMESTAMP)

    async def send(
        self,
        address: tuple[str, int],
        orchestrators: list[str],
        per_s: int,
        seconds: float,
        connections: int = POSTERS,
    ) -> None:
        """Post for some seconds, as long as one of the connections is free."""
        while len(self.idle) < connections:
            await asyncio.get_running_loop().create_connection(lambda: Poster(self), *address)
        began, sent = time(), 0
        while (elapsed := time() - began) < seconds:
            while sent < elapsed * per_s and self.idle:
                self._post(self.idle.popleft(), self._rng.choice(orchestrators))
                sent += 1
            await asyncio.sleep(0.002)

    def _post(self, poster: Poster, orchestrator: str) -> None:
        number = next(self._numbers)
        result = {"region": "FRA", "orchestrator": orchestrator, "success_rate": 1, "timestamp": number}
        body = orjson.dumps(result | {"round_trip_time": self._rng.random(), "seg_duration": 2})
        self.sent_at[number] = time()
        poster.transport.write(post_request("/api/post_stats", body, signature(body, SECRET)))


async def run(server: Served, given: argparse.Namespace) -> dict[str, Any]:
    """Subscribe, post, and look at what has arrived where."""
    readers = await _subscribed(server.address, given.subscribers)
    posts, orchestrators = Posts(), addresses(given.seed)
    await posts.send(server.address, orchestrators, given.rate, WARM_UP_S)
    warm = server.rss_bytes
    before, began = server.cpu(), time()
    await posts.send(server.address, orchestrators, given.rate, given.seconds)
    used, elapsed_s, rss_bytes = server.cpu() - before, time() - began, server.rss_bytes
    await _quiet(readers)
    cores = {name: round(getattr(used, f"{name}_s") / elapsed_s, 2) for name in ("gateway", "postgres", "client")}
    others = round(used.others_s / elapsed_s, 2)
    memory = {"rss_mib_warm": warm >> 20, "rss_mib_after": rss_bytes >> 20}
    return {**_arrivals(readers, posts, began), **memory, "cores": cores | {"others": others}}


async def _subscribed(address: tuple[str, int], number: int) -> list[Subscriber]:
    loop = asyncio.get_running_loop()
    subscribers = []
    for position in range(number):
        subscriber = Subscriber(reads=position < number - 1, keeps=position == 0)
        end = socket.create_connection(address)
        end.setblocking(False)
        await loop.create_connection(lambda made=subscriber: made, sock=end)  # type: ignore[misc]
        subscribers.append(subscriber)
    await asyncio.gather(*(subscriber.subscribed for subscriber in subscribers))
    return subscribers[:-1]


async def _quiet(readers: list[Subscriber]) -> None:
    for _ in range(100):
        await asyncio.sleep(0.1)
        if all(not reader.times or time() - reader.times[-1] > QUIET_S for reader in readers):
            return


def _arrivals(readers: list[Subscriber], posts: Posts, since: float) -> dict[str, Any]:
    ends, sent_at, recorded_at = _events(readers[0], posts)
    by_sent, by_recorded = array("d"), array("d")
    for reader in readers:
        first = 0
        for at, total in zip(reader.times, reader.totals, strict=True):
            after = bisect_right(ends, total, first)
            if at >= since:
                by_sent.extend(at - sent for sent in sent_at[first:after])
                by_recorded.extend(at - recorded for recorded in recorded_at[first:after])
            first = after
    alike = sum((reader.total, reader.checksum) == (readers[0].total, readers[0].checksum) for reader in readers)
    return {
        "posted": {"acknowledged": posts.acknowledged, "refused": posts.refused, "told": len(ends)},
        "readers": {"all": len(readers), "with the same bytes": alike, "lost": sum(r.is_lost for r in readers)},
        "messages": len(by_sent),
        "message_bytes": ends[-1] // len(ends),
        "from_sent_ms": _percentiles(by_sent),
        "from_recorded_ms": _percentiles(by_recorded),
    }


def _events(reference: Subscriber, posts: Posts) -> tuple[list[int], list[float], list[float]]:
    ends, sent_at, recorded_at = [], [], []
    for end, payload in payloads(bytes(reference.kept)):
        stat = orjson.loads(payload)["payload"]["data"]["statRecorded"]
        ends.append(end)
        sent_at.append(posts.sent_at[round(datetime.fromisoformat(stat["reportedAt"]).timestamp())])
        recorded_at.append(datetime.fromisoformat(stat["recordedAt"]).timestamp())
    return ends, sent_at, recorded_at


def _percentiles(seconds: "array[float]") -> dict[str, float]:
    ordered = sorted(seconds)
    places = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    return {name: round(1000 * ordered[min(int(len(ordered) * p), len(ordered) - 1)], 1) for name, p in places.items()}


async def _measure(given: argparse.Namespace, directory: Path) -> dict[str, Any]:
    where = machine()
    async with served(directory, results=1000, seed=given.seed) as server:
        return {"machine": where, **await run(server, given)}


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(prog="podium bench subscribers", description=__doc__)
    parser.add_argument("--subscribers", type=int, default=1000, help="sockets, the last of which does not read")
    parser.add_argument("--rate", type=int, default=500, help="results posted in a second")
    parser.add_argument("--seconds", type=float, default=10, help="how long, after a short time to get warm")
    parser.add_argument("--seed", type=int, default=1, help="of the made-up results")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="podium-bench-") as directory:
        report = uvloop.run(_measure(given, Path(directory)))
    print(orjson.dumps(report, option=orjson.OPT_INDENT_2).decode())


if __name__ == "__main__":
    main()
