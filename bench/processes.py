"""Server processes: started, until they say that they are ready; and the processor time that they use."""

import asyncio
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import orjson
import psutil  # type: ignore[import-untyped]

START_TIMEOUT_S = 20
SHOWN_LINES = 10


class NotStartedError(Exception):
    """A server that ended before it was ready; the message is what it said."""


@dataclass(frozen=True, slots=True)
class Cpu:
    """Processor time in seconds: of a gateway, of Postgres, of this process, and of everything on the machine."""

    gateway_s: float
    postgres_s: float
    client_s: float
    machine_s: float

    def __sub__(self, before: "Cpu") -> "Cpu":
        return Cpu(*(getattr(self, name) - getattr(before, name) for name in self.__slots__))

    @property
    def others_s(self) -> float:
        """What nobody here has used: a busy machine measures badly."""
        return max(0.0, self.machine_s - self.gateway_s - self.postgres_s - self.client_s)


@dataclass(frozen=True, slots=True)
class Server:
    """A process that serves, and where it listens."""

    name: str
    address: tuple[str, int]
    pid: int

    @property
    def rss_bytes(self) -> int:
        """Its memory."""
        return int(psutil.Process(self.pid).memory_info().rss)

    def cpu(self, postgres_pid: int | None) -> Cpu:
        """The processor time that it and everybody else has used so far."""
        machine = psutil.cpu_times()
        return Cpu(
            gateway_s=_cpu_s(psutil.Process(self.pid)),
            postgres_s=_cpu_s(psutil.Process(postgres_pid)),
            client_s=sum(psutil.Process().cpu_times()[:2]),
            machine_s=sum(machine) - machine.idle - getattr(machine, "iowait", 0),
        )


@asynccontextmanager
async def started(name: str, *command: str, environment: Mapping[str, str], directory: Path) -> AsyncIterator[Server]:
    """Run a server until the end of the block; NotStartedError unless it gets ready.

    It says so by a line of JSON on its standard error, with the event `ready` and its url.
    """
    process = await asyncio.create_subprocess_exec(
        *command, env=dict(environment), cwd=directory, stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE
    )
    assert process.stderr
    try:
        address = await asyncio.wait_for(_address(process.stderr), START_TIMEOUT_S)
        showing = asyncio.create_task(_show(name, process.stderr))
        yield Server(name, address, process.pid)
        process.terminate()
        await showing
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _address(log: asyncio.StreamReader) -> tuple[str, int]:
    lines = []
    while line := await log.readline():
        lines.append(line.decode())
        if '"event":"ready"' in lines[-1]:
            host, _, port = orjson.loads(line)["url"].removeprefix("http://").rpartition(":")
            return host, int(port)
    raise NotStartedError("".join(lines))


async def _show(name: str, log: asyncio.StreamReader) -> None:
    number = 0
    while line := await log.readline():
        number += 1
        if number <= SHOWN_LINES:
            print(f"{name}: {line.decode()}", end="", file=sys.stderr)


def _cpu_s(process: psutil.Process) -> float:
    # What processes that have ended used is in the times of their parent.
    own = process.cpu_times()
    total = float(own.user + own.system + own.children_user + own.children_system)
    for child in process.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            used = child.cpu_times()
            total += used.user + used.system
    return total
