"""What is measured against: an embedded Postgres with made-up results, and a real gateway process before it."""

import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

import asyncpg

from bench.generate import Dataset, addresses, fill
from bench.processes import Cpu, Server, started
from db.embedded import EmbeddedPostgres
from db.migrate import migrate

SECRET = "bench"  # noqa: S105  of a server that lives as long as the measurement
COUNT = "SELECT count(*) FROM podium.results"


@dataclass(frozen=True, slots=True)
class Filled:
    """A Postgres with results, and how long storing them took; None where they were there already."""

    postgres: EmbeddedPostgres
    fill_s: float | None

    async def settle(self) -> None:
        """Write out what is due, so that no measurement pays for an earlier one."""
        await self.ask("CHECKPOINT")

    async def ask(self, sql: str) -> object:
        """A single value."""
        connection = await asyncpg.connect(self.postgres.logins.superuser)
        try:
            return await connection.fetchval(sql)
        finally:
            await connection.close()

    async def number_of_results(self) -> int:
        """How many results there are."""
        return int(str(await self.ask(COUNT)))

    async def version(self) -> str:
        """Of Postgres, such as 18.4."""
        return str(await self.ask("SELECT current_setting('server_version')"))


@dataclass(frozen=True, slots=True)
class Served:
    """A gateway with its database, and the orchestrators there, from the busiest to the idlest."""

    gateway: Server
    database: Filled
    orchestrators: list[str]

    @property
    def address(self) -> tuple[str, int]:
        """Where the gateway listens."""
        return self.gateway.address

    @property
    def rss_bytes(self) -> int:
        """The memory of the gateway."""
        return self.gateway.rss_bytes

    def cpu(self) -> Cpu:
        """The processor time that everybody has used so far."""
        return self.gateway.cpu(self.database.postgres.pid)


@asynccontextmanager
async def served(directory: Path, *, results: int, seed: int) -> AsyncIterator[Served]:
    """A gateway on the database of a directory, which is filled unless it has results already."""
    async with (
        filled(directory, results=results, seed=seed) as database,
        serving(database, directory, seed=seed) as server,
    ):
        yield server


@asynccontextmanager
async def serving(
    database: Filled, directory: Path, *options: str, seed: int, **settings: str
) -> AsyncIterator[Served]:
    """A gateway on a database that was filled with this seed."""
    async with gateway(database, directory, *options, **settings) as server:
        yield Served(server, database, addresses(seed))


@asynccontextmanager
async def filled(directory: Path, *, results: int, seed: int) -> AsyncIterator[Filled]:
    """The database of a directory, which is filled unless it has results already."""
    async with EmbeddedPostgres(directory / "data") as postgres:
        await migrate(postgres.logins.owner)
        database = Filled(postgres, None)
        if not await database.number_of_results():
            began = perf_counter()
            await fill(postgres.logins.superuser, Dataset(results, datetime.now(UTC), seed=seed))
            database = Filled(postgres, perf_counter() - began)
        yield database


def gateway(database: Filled, directory: Path, *options: str, **settings: str) -> AbstractAsyncContextManager[Server]:
    """`podium serve` on a database."""
    podium = str(Path(sys.executable).with_name("podium"))
    environment = gateway_environment(database) | settings
    return started("podium", podium, "serve", "--port", "0", *options, environment=environment, directory=directory)


def gateway_environment(database: Filled) -> dict[str, str]:
    """The settings of a gateway on a database."""
    logins = database.postgres.logins
    checkout = str(Path(__file__).parents[1])  # what is measured is this one, whichever is installed
    return {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": checkout,
        "SECRET": SECRET,
        "ENV": "production",
        "LOG_FORMAT": "json",
        "POSTGRES": logins.writer,
        "POSTGRES_OWNER": logins.owner,
        "POSTGRES_READ": logins.reader,
    }
