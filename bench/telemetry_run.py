"""What the cases of telemetry share: an empty database with a fresh gateway before it, its memory, what was found."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import psutil  # type: ignore[import-untyped]

from bench.processes import Cpu, Server
from bench.server import Filled, gateway
from bench.telemetry_load import Senders
from bench.telemetry_node import Node
from bench.telemetry_stored import CLEAR

PROGRESS_S = 2.0
LOOK_S = 0.005


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table: a case with what it measured, and what was wrong with it, if anything."""

    name: str
    facts: dict[str, Any]
    problem: str | None = None


@dataclass(slots=True)
class Memory:
    """The memory of each process that serves, in MiB: the most that it ever took, and what it takes now."""

    peak_mib: list[float]
    end_mib: list[float]


@dataclass(slots=True)
class Run:
    """A gateway before an empty database."""

    server: Server
    database: Filled
    say: Callable[[str], None]
    _before: Cpu | None = field(default=None)
    _began_at: float = 0

    @property
    def url(self) -> str:
        """Of the database, as a superuser."""
        return self.database.postgres.logins.superuser

    def begin(self) -> float:
        """From now on, processor time counts; the moment by `perf_counter`."""
        self._before, self._began_at = self._cpu(), perf_counter()
        return self._began_at

    def used_per(self, number: int) -> dict[str, float]:
        """Processor time since the beginning for each of so many messages, and how many cores were busy elsewhere."""
        assert self._before
        used, elapsed_s = self._cpu() - self._before, perf_counter() - self._began_at
        times = {name: getattr(used, f"{name}_s") * 1e6 / number for name in ("gateway", "postgres", "client")}
        return {f"{name}_us": us for name, us in times.items()} | {"other_cores": used.others_s / elapsed_s}

    def memory(self) -> Memory:
        """Of each process that serves: with several, not of their parent."""
        pids = self.pids()
        return Memory([_peak_bytes(pid) / 2**20 for pid in pids], [_rss_bytes(pid) / 2**20 for pid in pids])

    def pids(self) -> list[int]:
        """The processes that serve."""
        return [child.pid for child in psutil.Process(self.server.pid).children()] or [self.server.pid]

    async def sent(self, senders: Senders) -> float:
        """Wait until all was sent, and say how far it is meanwhile; when that was. SocketError if a socket is lost."""
        total, told_at = senders.count, perf_counter()
        while not senders.is_sent:
            await asyncio.sleep(LOOK_S)
            senders.check()
            if perf_counter() - told_at > PROGRESS_S:
                told_at = perf_counter()
                self.tell(senders, total)
        return perf_counter()

    def tell(self, senders: Senders, total: int | None = None) -> None:
        """How far it is."""
        per_s = senders.sent / (perf_counter() - senders.began_at)
        of = f" of {total:,}" if total else ""
        rss = ", ".join(f"{mib:.0f}" for mib in self.memory().end_mib)
        self.say(f"{senders.sent:,}{of} sent, {per_s:,.0f}/s, RSS {rss} MiB")

    def _cpu(self) -> Cpu:
        return self.server.cpu(self.database.postgres.pid)


@asynccontextmanager
async def running(database: Filled, directory: Path, name: str, *options: str, **settings: str) -> AsyncIterator[Run]:
    """A fresh gateway before a database without any telemetry."""
    await database.ask(CLEAR)
    await database.settle()
    async with gateway(database, directory, *options, **settings) as server:
        yield Run(server, database, lambda what: print(f"  {name}: {what}", file=sys.stderr, flush=True))


@asynccontextmanager
async def sending(run: Run, nodes: list[Node]) -> AsyncIterator[Senders]:
    """These nodes, connected, but not begun to send; at the end nobody is."""
    senders = Senders()
    try:
        for node in nodes:
            await asyncio.to_thread(node.open, run.server.address)
            senders.join(node)
        yield senders
    finally:
        senders.abandon()


def _peak_bytes(pid: int) -> int:
    """The most memory that a process ever had; what it has, where the system does not know."""
    status = Path(f"/proc/{pid}/status")
    lines = status.read_text().splitlines() if status.exists() else []
    peaks = [int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:")]
    return peaks[0] if peaks else _rss_bytes(pid)


def _rss_bytes(pid: int) -> int:
    return int(psutil.Process(pid).memory_info().rss)
