"""What is measured against: an embedded Postgres with made-up results, and a real gateway process before it."""

import asyncio
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

import asyncpg
import orjson
import psutil  # type: ignore[import-untyped]

from bench.generate import Dataset, addresses, fill
from db.embedded import EmbeddedPostgres
from db.migrate import migrate

SECRET = "bench"  # noqa: S105  of a server that lives as long as the measurement
START_TIMEOUT_S = 20
SHOWN_LINES = 10
COUNT = "SELECT count(*) FROM podium.results"


@dataclass(frozen=True, slots=True)
class Cpu:
    """Processor time in seconds: of the gateway, of Postgres, of this process, and of everything on the machine."""

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
class Served:
    """A gateway with its database: where it listens, whom it knows, its processes, and how long filling it took."""

    address: tuple[str, int]
    orchestrators: list[str]
    postgres: EmbeddedPostgres
    gateway_pid: int
    fill_s: float | None

    @property
    def rss_bytes(self) -> int:
        """The memory of the gateway."""
        return int(psutil.Process(self.gateway_pid).memory_info().rss)

    def cpu(self) -> "Cpu":
        """The processor time that everybody has used so far."""
        machine = psutil.cpu_times()
        return Cpu(
            gateway_s=_cpu_s(psutil.Process(self.gateway_pid)),
            postgres_s=_cpu_s(psutil.Process(self.postgres.pid)),
            client_s=sum(psutil.Process().cpu_times()[:2]),
            machine_s=sum(machine) - machine.idle - getattr(machine, "iowait", 0),
        )

    async def settle(self) -> None:
        """Write out what is due, so that no measurement pays for an earlier one."""
        await _ask(self.postgres, "CHECKPOINT")


@asynccontextmanager
async def served(directory: Path, *, results: int, seed: int) -> AsyncIterator[Served]:
    """A gateway on the database of a directory, which is filled unless it has results already."""
    async with EmbeddedPostgres(directory / "data") as postgres:
        await migrate(postgres.logins.owner)
        fill_s = None
        if not await _ask(postgres, COUNT):
            began = perf_counter()
            await fill(postgres.logins.owner, Dataset(results, datetime.now(UTC), seed=seed))
            fill_s = perf_counter() - began
        async with _gateway(postgres, directory) as (process, address):
            yield Served(address, addresses(seed), postgres, process.pid, fill_s)


async def number_of_results(postgres: EmbeddedPostgres) -> int:
    """How many results there are."""
    return int(str(await _ask(postgres, COUNT)))


async def postgres_version(postgres: EmbeddedPostgres) -> str:
    """Such as 18.4."""
    return str(await _ask(postgres, "SELECT current_setting('server_version')"))


@asynccontextmanager
async def _gateway(postgres: EmbeddedPostgres, directory: Path) -> AsyncIterator[tuple[Process, tuple[str, int]]]:
    command = (str(Path(sys.executable).with_name("podium")), "serve", "--port", "0")
    process = await asyncio.create_subprocess_exec(
        *command, env=_environment(postgres), cwd=directory, stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE
    )
    assert process.stderr
    try:
        address = await asyncio.wait_for(_address(process.stderr), START_TIMEOUT_S)
        showing = asyncio.create_task(_show(process.stderr))
        yield process, address
        process.terminate()
        await showing
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def _environment(postgres: EmbeddedPostgres) -> dict[str, str]:
    urls = {
        "POSTGRES": postgres.logins.writer,
        "POSTGRES_OWNER": postgres.logins.owner,
        "POSTGRES_READ": postgres.logins.reader,
    }
    checkout = str(Path(__file__).parents[1])  # what is measured is this one, whichever is installed
    return {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": checkout,
        "SECRET": SECRET,
        "ENV": "production",
        "LOG_FORMAT": "json",
        **urls,
    }


async def _address(log: asyncio.StreamReader) -> tuple[str, int]:
    lines = []
    while line := await log.readline():
        lines.append(line.decode())
        if '"event":"ready"' in lines[-1]:
            host, _, port = orjson.loads(line)["url"].removeprefix("http://").rpartition(":")
            return host, int(port)
    raise RuntimeError(f"the gateway did not start: {''.join(lines)}")


async def _show(log: asyncio.StreamReader) -> None:
    number = 0
    while line := await log.readline():
        number += 1
        if number <= SHOWN_LINES:
            print(f"gateway: {line.decode()}", end="", file=sys.stderr)


async def _ask(postgres: EmbeddedPostgres, sql: str) -> object:
    connection = await asyncpg.connect(postgres.logins.superuser)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


def _cpu_s(process: psutil.Process) -> float:
    # What processes that have ended used is in the times of their parent.
    own = process.cpu_times()
    total = float(own.user + own.system + own.children_user + own.children_system)
    for child in process.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            used = child.cpu_times()
            total += used.user + used.system
    return total
