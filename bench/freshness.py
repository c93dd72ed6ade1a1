"""How old answers are that are read while results come in."""

import asyncio
from dataclasses import dataclass, field
from itertools import cycle
from time import perf_counter, time_ns

import orjson

from bench.load import END, get_request, load, post_request
from bench.server import SECRET, Served
from bench.subscribers import Posts
from resolvers.signing import signature

READERS = 4
POSTS_PER_S, POSTERS = 500, 100
PROBES_PER_S = 5
PATH = "/api/aggregated_stats"


@dataclass(frozen=True, slots=True)
class Freshness:
    """What was read while so many results were acknowledged; `oldest_s` is the age of the oldest answer."""

    reads_per_s: float
    p50_ms: float
    p99_ms: float
    errors: int
    posts_per_s: float
    oldest_s: float
    probes: int


@dataclass(slots=True)
class Probes:
    """Orchestrators that nobody has heard of before, with when their only result was acknowledged; and by them, the age
    of the oldest answer.

    An answer is as old as the longest acknowledged result that it lacks: 0 s when it lacks none that was acknowledged
    before it was asked for.
    """

    acknowledged: list[tuple[bytes, float]] = field(default_factory=list)
    oldest_s: float = 0

    async def post(self, address: tuple[str, int], seconds: float) -> None:
        """Post one after the other for some seconds."""
        reader, writer = await asyncio.open_connection(*address)
        began = perf_counter()
        for number in range(int(seconds * PROBES_PER_S)):
            await asyncio.sleep(max(0, began + number / PROBES_PER_S - perf_counter()))
            orchestrator = f"0x{time_ns():040x}"
            writer.write(_post(orchestrator))
            if not (await reader.readuntil(END)).startswith(b"HTTP/1.1 200"):
                raise RuntimeError("a result was refused")
            await reader.readexactly(len(b"ok"))
            self.acknowledged.append((orchestrator.encode(), perf_counter()))
        writer.close()

    def look(self, sent_at: float, answer: bytes) -> None:
        """Note the age of an answer to a question that was sent at that time."""
        for orchestrator, acknowledged_at in reversed(self.acknowledged):
            if orchestrator in answer:
                return
            self.oldest_s = max(self.oldest_s, sent_at - acknowledged_at)


async def freshness(server: Served, seconds: float) -> Freshness:
    """Read the same again and again while results are posted at a steady rate."""
    probes, posts, reads = Probes(), Posts(), cycle([get_request(PATH)])
    found, *_ = await asyncio.gather(
        load(server.address, reads, connections=READERS, seconds=seconds, look=probes.look),
        posts.send(server.address, server.orchestrators, POSTS_PER_S, seconds, POSTERS),
        probes.post(server.address, seconds),
    )
    latencies = (found.percentile_ms(50), found.percentile_ms(99))
    posts_per_s = posts.acknowledged / seconds
    return Freshness(
        found.requests_per_s,
        *latencies,
        found.errors + posts.refused,
        posts_per_s,
        probes.oldest_s,
        len(probes.acknowledged),
    )


def _post(orchestrator: str) -> bytes:
    result = {"region": "FRA", "orchestrator": orchestrator, "success_rate": 1, "round_trip_time": 1, "seg_duration": 2}
    body = orjson.dumps(result)
    return post_request("/api/post_stats", body, signature(body, SECRET))
