"""`podium bench probe`: what a prober of many streams takes, and whether it leaves anything behind."""

import argparse
import asyncio
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import orjson
import psutil  # type: ignore[import-untyped]

from bench.machine import ROOT
from bench.probe_network import RENDITIONS, SEGMENT_S, ingest_url

PORT = 21_500
SETTLING_S = 5.0
PROBE = (sys.executable, "-c", "from gateway.cli import app; app()", "probe", "--config")


class Prober:
    """A `podium probe` in a process of its own, and what it has logged."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._own = psutil.Process(process.pid)
        self.counts: dict[str, int] = {}
        self.failures: list[str] = []
        self._news = asyncio.Condition()

    async def read(self) -> None:
        """Count what it logs, until it ends."""
        assert self._process.stderr
        async for line in self._process.stderr:
            facts: dict[str, Any] = orjson.loads(line) if line.startswith(b"{") else {"event": line.decode()}
            name = facts["event"]
            async with self._news:
                self.counts[name] = self.counts.get(name, 0) + 1
                self._news.notify_all()
            if facts.get("status") == "failure":
                self.failures.append(f"{facts['reason']}: {facts['detail']}")

    async def has_logged(self, event: str, count: int) -> None:
        """Wait until it has logged an event so often."""
        async with self._news:
            await self._news.wait_for(lambda: self.counts.get(event, 0) >= count)

    def cpu_s(self) -> float:
        """Its own processor time, without that of its ffmpegs."""
        return sum(self._own.cpu_times()[:2])

    def holds(self) -> str:
        """What it has at this moment."""
        memory_mib = self._own.memory_info().rss / 2**20
        children = [child for child in self._own.children(recursive=True) if child.status() != psutil.STATUS_ZOMBIE]
        return f"{memory_mib:.0f} MiB, {self._own.num_fds()} files, {len(children)} processes"


async def load(given: argparse.Namespace, directory: Path) -> None:
    """Probe all streams at once for some time."""
    async with _networks(directory, given.streams), _probing(directory, given.streams, "1h", "0") as prober:
        await prober.has_logged("probe_first_segment", given.streams)
        await asyncio.sleep(SETTLING_S)
        before, began = prober.cpu_s(), monotonic()
        await asyncio.sleep(given.seconds)
        share = (prober.cpu_s() - before) / (monotonic() - began)
        what = f"{given.streams} streams of {RENDITIONS} renditions with segments of {SEGMENT_S} s"
        print(f"{what}: {share:.1%} of a core, {prober.holds()}; failed: {len(prober.failures)} {prober.failures[:1]}")


async def cycles(given: argparse.Namespace, directory: Path) -> None:
    """Run again and again, and show what is held after a tenth of it, and at the end."""
    async with _networks(directory, given.side_by_side), _probing(directory, given.side_by_side, "1s", "1s") as prober:
        for count in (given.cycles // 10, given.cycles // 2, given.cycles):
            await prober.has_logged("probe_ended", count)
            print(f"after {count} runs: {prober.holds()}; failed: {len(prober.failures)} {prober.failures[:1]}")


@asynccontextmanager
async def _networks(directory: Path, count: int) -> AsyncIterator[None]:
    command = (sys.executable, "-m", "bench.probe_network", str(directory / "served"), str(PORT), str(count))
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=DEVNULL)
    try:
        await asyncio.sleep(SETTLING_S)
        yield
    finally:
        process.terminate()
        await process.wait()


@asynccontextmanager
async def _probing(directory: Path, count: int, duration: str, pause: str) -> AsyncIterator[Prober]:
    config = directory / "streams.yaml"
    entry = "{{name: s{0}, duration: {1}, pause: {2}, ingest_url: '{3}', playback_url: 'http://127.0.0.1:{4}/{0}/master.m3u8'}}"
    entries = [entry.format(number, duration, pause, ingest_url(number), PORT) for number in range(count)]
    config.write_text(f"streams: [{', '.join(entries)}]")
    environment = {
        "PODIUM_DATA_DIR": str(directory),
        "METRICS_PORT": "0",
        "LOG_FORMAT": "json",
        "PYTHONPATH": str(ROOT),
    }
    process = await asyncio.create_subprocess_exec(
        *PROBE, config, cwd=ROOT, env=environment, stdin=DEVNULL, stderr=PIPE
    )
    prober = Prober(process)
    reading = asyncio.create_task(prober.read())
    try:
        yield prober
    finally:
        process.terminate()
        began = monotonic()
        await process.wait()
        await reading
        print(f"ended {monotonic() - began:.1f} s after SIGTERM")


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="podium bench probe", description=__doc__)
    parser.add_argument("--streams", type=int, default=20, help="streams that are probed side by side (default 20)")
    parser.add_argument("--seconds", type=float, default=30, help="how long that is measured (default 30)")
    parser.add_argument("--cycles", type=int, default=200, help="runs, one after the other (default 200)")
    parser.add_argument("--side-by-side", type=int, default=8, help="streams that make them (default 8)")
    return parser.parse_args()


async def main(given: argparse.Namespace) -> None:
    """Both measurements."""
    for work in (load, cycles):
        with tempfile.TemporaryDirectory() as directory:
            await work(given, Path(directory))


if __name__ == "__main__":
    asyncio.run(main(_parsed()))
