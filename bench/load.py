"""A lean HTTP/1.1 client that keeps connections busy, so that the server is what is measured."""

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from time import perf_counter
from typing import cast

END = b"\r\n\r\n"
PATIENCE_S = 30.0  # for the last answers
Look = Callable[[float, bytes], None]  # given when a request was sent, by `perf_counter`, and its answer with the head

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Load:
    """What came back: the number of answers by status, of requests without an answer, and the latencies, sorted;
    and of answers that report no failure, but are not as long as they should be.
    """

    seconds: float
    statuses: dict[int, int]
    lost: int
    latencies_s: list[float]
    wrong: int = 0

    @property
    def errors(self) -> int:
        """Answers that report a failure, or are none of those expected, and requests without an answer."""
        return self.lost + self.wrong + sum(number for status, number in self.statuses.items() if status >= 400)

    @property
    def requests_per_s(self) -> float:
        """Good answers per second."""
        return (sum(self.statuses.values()) + self.lost - self.errors) / self.seconds

    def percentile_ms(self, percent: float) -> float:
        """The latency that so many percent of the answers did not exceed; 0 without any."""
        if not self.latencies_s:
            return 0.0
        return self.latencies_s[max(0, -int(-len(self.latencies_s) * percent // 100) - 1)] * 1000


def get_request(path: str) -> bytes:
    """A GET as it goes over the wire."""
    return f"GET {path} HTTP/1.1\r\nHost: podium\r\n\r\n".encode()


def post_request(path: str, body: bytes, authorization: str | None = None) -> bytes:
    """A POST of JSON as it goes over the wire."""
    who = "" if authorization is None else f"Authorization: {authorization}\r\n"
    head = f"POST {path} HTTP/1.1\r\nHost: podium\r\nContent-Type: application/json\r\n{who}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def joined(loads: Iterable[Load]) -> Load:
    """Several loads, one after the other, as one."""
    parts = list(loads)
    statuses = sum((Counter(part.statuses) for part in parts), Counter[int]())
    latencies_s = sorted(latency for part in parts for latency in part.latencies_s)
    seconds, lost, wrong = (sum(getattr(part, name) for part in parts) for name in ("seconds", "lost", "wrong"))
    return Load(seconds, dict(statuses), lost, latencies_s, wrong)


async def load(
    address: tuple[str, int],
    requests: Iterator[bytes],
    *,
    connections: int,
    seconds: float,
    size: int | None = None,
    look: Look | None = None,
) -> Load:
    """Send requests for some seconds, on each connection the next one as soon as an answer is there.

    With a `size`, the bodies of all answers must have so many bytes. `look` is shown each answer.
    """
    run = _Run(address, requests, seconds, size, look)
    clients = [asyncio.create_task(run.keep_busy()) for _ in range(connections)]
    done, late = await asyncio.wait(clients, timeout=seconds + PATIENCE_S)
    for client in late:
        client.cancel()
    for client in done:
        client.result()
    elapsed_s = max(run.last_answer_at - run.began_at, 1e-9)
    return Load(elapsed_s, dict(run.statuses), run.lost + len(late), sorted(run.latencies_s), run.wrong)


class _Run:
    """What the connections of one load share."""

    def __init__(
        self,
        address: tuple[str, int],
        requests: Iterator[bytes],
        seconds: float,
        size: int | None,
        look: Look | None,
    ) -> None:
        self.requests = requests
        self.size = size
        self.look = look
        self.statuses: Counter[int] = Counter()
        self.latencies_s: list[float] = []
        self.lost = self.wrong = 0
        self.began_at = self.last_answer_at = perf_counter()
        self.ends_at = self.began_at + seconds
        self._address = address

    async def keep_busy(self) -> None:
        """Use one connection after the other until the time is over."""
        while perf_counter() < self.ends_at:
            loop = asyncio.get_running_loop()
            transport, connection = await loop.create_connection(lambda: _Connection(self), *self._address)
            try:
                await connection.closed
            finally:
                transport.abort()


class _Connection(asyncio.Protocol):
    """Sends the next request when the answer to the last one is complete."""

    def __init__(self, run: _Run) -> None:
        self.closed = asyncio.get_running_loop().create_future()
        self._run = run
        self._received = b""
        self._size: int | None = None
        self._waits = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._size is None and (end := self._received.find(END)) >= 0:
            length = _LENGTH.search(self._received, 0, end)
            self._body_at = end + len(END)
            self._size = self._body_at + (int(length[1]) if length else 0)
        if self._size is not None and len(self._received) >= self._size:
            self._answered()

    def connection_lost(self, error: Exception | None) -> None:
        self._run.lost += self._waits
        if not self.closed.done():
            self.closed.set_result(None)

    def _send(self) -> None:
        self._received, self._size, self._waits = b"", None, True
        self._sent_at = perf_counter()
        self._transport.write(next(self._run.requests))

    def _answered(self) -> None:
        run, now = self._run, perf_counter()
        run.last_answer_at = now
        run.latencies_s.append(now - self._sent_at)
        status, size = int(self._received[9:12]), len(self._received) - self._body_at
        run.statuses[status] += 1
        run.wrong += status < 400 and run.size not in (None, size)
        if run.look:
            run.look(self._sent_at, self._received)
        self._waits = False
        if now >= run.ends_at or _CLOSE.search(self._received, 0, self._received.find(END)):
            self._transport.close()
        else:
            self._send()
