"""Fixtures: a real Postgres for the session, a fresh database for each test, and real gateways on real sockets."""

import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from typing import Any

import asyncpg
import pytest

from db.embedded import ROLES, EmbeddedPostgres, Logins
from db.migrate import migrate
from gateway.app import Gateway
from gateway.logs import configure_logs
from gateway.parts import Urls
from gateway.settings import Settings
from tests.harness import SECRET, TOKEN_SECRET, Database, NewDatabase, Pair, Running, StartGateway, eventually, serving

_numbers = count(1)

# A shell that runs tests in the background has it ignored, and so would the commands that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _quiet_logs() -> None:
    configure_logs("WARN", "json")


@pytest.fixture(scope="session")
async def postgres(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedPostgres]:
    """The session's Postgres, with a migrated database to clone."""
    async with EmbeddedPostgres(tmp_path_factory.mktemp("postgres")) as server:
        await _execute(server.logins.superuser, "CREATE DATABASE template")
        template = _with_database(server.logins, "template")
        await _execute(template.superuser, ROLES.read_text())
        await migrate(template.owner)
        yield server


@pytest.fixture
async def new_database(postgres: EmbeddedPostgres) -> AsyncIterator[NewDatabase]:
    """Makes databases; migrated ones unless `template="template0"` is asked for."""
    async with _making_databases(postgres) as make:
        yield make


@pytest.fixture(scope="module")
async def shared_database(postgres: EmbeddedPostgres) -> AsyncIterator[Database]:
    """A migrated, empty database for all tests of a file."""
    async with _making_databases(postgres) as make:
        yield await make()


@asynccontextmanager
async def _making_databases(postgres: EmbeddedPostgres) -> AsyncIterator[NewDatabase]:
    made: list[str] = []

    async def make(template: str = "template") -> Database:
        name = f"test_{next(_numbers)}"
        await _execute(postgres.logins.superuser, f"CREATE DATABASE {name} TEMPLATE {template}")
        made.append(name)
        return Database(name, _with_database(postgres.logins, name))

    yield make
    for name in made:
        await _execute(postgres.logins.superuser, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def database(new_database: NewDatabase) -> Database:
    """A migrated, empty database."""
    return await new_database()


@pytest.fixture
async def start_gateway(database: Database) -> AsyncIterator[StartGateway]:
    """Starts gateways on the test's database; keyword arguments are settings."""
    async with AsyncExitStack() as stack:

        async def start(**given: Any) -> Running:
            settings = Settings(_env_file=None, postgres=database.logins.writer, **{"secret": SECRET, **given})
            urls = Urls(settings.postgres or "", settings.postgres_read or database.logins.reader)
            return await stack.enter_async_context(serving(Gateway(settings, urls)))

        yield start


@pytest.fixture
async def running(start_gateway: StartGateway) -> Running:
    """A gateway with default settings."""
    return await start_gateway()


@pytest.fixture
async def connection(database: Database) -> AsyncIterator[asyncpg.Connection]:
    """A superuser's connection to the test's database."""
    opened = await asyncpg.connect(database.logins.superuser)
    yield opened
    await opened.close()


@pytest.fixture
async def pair(start_gateway: StartGateway, connection: asyncpg.Connection) -> Pair:
    """Both of which hear of changes."""
    here, there = [await start_gateway(jwt_secret=TOKEN_SECRET) for _ in range(2)]
    await eventually(lambda: here.gateway.versions.are_heard and there.gateway.versions.are_heard)
    return Pair(here, there, connection)


def _with_database(logins: Logins, name: str) -> Logins:
    return Logins(**{role: getattr(logins, role).replace("/podium?", f"/{name}?") for role in Logins.__slots__})


async def _execute(url: str, sql: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()
