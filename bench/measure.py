"""One measurement: a case on some connections, how fast it was, and whose processor time it took."""

from dataclasses import dataclass
from time import perf_counter

from bench.cases import Case
from bench.load import load
from bench.server import Served

WARM_UP_S = 0.4


@dataclass(frozen=True, slots=True)
class Measurement:
    """One case at one number of connections; `gateway_us` and `postgres_us` are processor time per request.

    `other_cores` is how many cores were busy with something else: figures of a busy machine are too low.
    """

    name: str
    connections: int
    requests_per_s: float
    p50_ms: float
    p99_ms: float
    errors: int
    gateway_us: float
    postgres_us: float
    other_cores: float


async def measure(server: Served, case: Case, connections: int, seconds: float) -> Measurement:
    """Ask for some seconds, after a short time to get warm."""
    requests = case.requests()
    await load(server.address, requests, connections=connections, seconds=WARM_UP_S)
    await server.database.settle()
    before, began = server.cpu(), perf_counter()
    found = await load(server.address, requests, connections=connections, seconds=seconds)
    used, elapsed_s = server.cpu() - before, perf_counter() - began
    us_per_request = 1e6 / max(len(found.latencies_s), 1)
    latencies = (found.percentile_ms(50), found.percentile_ms(99))
    cpu = (used.gateway_s * us_per_request, used.postgres_s * us_per_request, used.others_s / elapsed_s)
    return Measurement(case.name, connections, found.requests_per_s, *latencies, found.errors, *cpu)
