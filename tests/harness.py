"""What tests share: a gateway that serves on a real socket, and a client that speaks to it."""

import asyncio
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from types import FrameType
from typing import Any, NamedTuple

import asyncpg
import httpx
import jwt
import orjson
import uvicorn
from standardwebhooks import Webhook
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from db.embedded import Logins
from db.statements import TABLES
from gateway.app import Gateway
from gateway.message_socket import MessageSocket
from gateway.protocol import Http
from resolvers.signing import signature
from resolvers.versions import Versions

SECRET = "s3cret"
TOKEN_SECRET = "0123456789abcdef" * 2
LOCK = "LOCK TABLE podium.results, podium.orchestrators, podium.regions IN ACCESS EXCLUSIVE MODE"
WAITING = (
    "SELECT count(*) FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = $1)"
)


@dataclass(frozen=True)
class Database:
    """A database of one test, with the URLs of the three roles and of a superuser."""

    name: str
    logins: Logins


@dataclass(frozen=True)
class Running:
    """A gateway that serves, and a client that speaks to it."""

    gateway: Gateway
    client: httpx.AsyncClient
    url: str

    async def post_stat(self, **fields: Any) -> httpx.Response:
        """Post a result in the legacy form, signed."""
        body = orjson.dumps(fields)
        headers = {"Authorization": signature(body, SECRET), "Content-Type": "application/json"}
        return await self.client.post("/api/post_stats", content=body, headers=headers)

    async def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The data of a GraphQL query that must not fail."""
        answer = await self.answer(query, **variables)
        assert "errors" not in answer, answer["errors"]
        data: dict[str, Any] = answer["data"]
        return data

    async def answer(self, query: str, **variables: Any) -> dict[str, Any]:
        """The whole answer to a request: an administrator's where the gateway takes tokens, else a signed one."""
        body = orjson.dumps({"query": query, "variables": variables})
        takes_tokens = self.gateway.settings.jwt_secret == TOKEN_SECRET
        shown = bearer(sub="root", scope="admin") if takes_tokens else {"Authorization": signature(body, SECRET)}
        headers = {**shown, "Content-Type": "application/json"}
        answer: dict[str, Any] = (await self.client.post("/graphql", content=body, headers=headers)).json()
        return answer

    async def graph(self, query: str, headers: dict[str, str] | None = None, **variables: Any) -> httpx.Response:
        """The response to a GraphQL request with these headers, unsigned."""
        question = {"query": query, "variables": variables}
        return await self.client.post("/graphql", json=question, headers=headers)


class Pair(NamedTuple):
    """Two gateways on one database."""

    here: Running
    there: Running
    connection: asyncpg.Connection

    async def changes(self, deed: Awaitable[Any]) -> set[str]:
        """The tables that a deed at one gateway changes, as the other hears; the one that does it knows at once."""
        await self.all_is_heard()  # of what was done before
        here, there = self.here.gateway.versions, self.there.gateway.versions
        moments = here.moment, there.moment
        await deed
        known = changed(here, moments[0])
        await self.all_is_heard()
        heard = changed(there, moments[1]) - {"imports"}
        assert heard <= known
        return heard

    async def all_is_heard(self) -> None:
        """Return when both have heard of everything that was committed up to now."""
        moments = {running.gateway.versions: running.gateway.versions.moment for running in (self.here, self.there)}
        await self.connection.execute("SELECT pg_notify('podium_changes', 'imports')")
        await eventually(lambda: all("imports" in changed(versions, moment) for versions, moment in moments.items()))


def changed(versions: Versions, since: int) -> set[str]:
    """The tables that have changed since a moment."""
    return {table for table in TABLES if not versions.are_unchanged((table,), since)}


class Locked:
    """What a test does while nobody can read anything."""

    def __init__(self, connection: asyncpg.Connection, name: str) -> None:
        self._connection = connection
        self._name = name

    async def until_someone_waits(self) -> None:
        """Return when a statement of somebody's waits for the end."""
        async with asyncio.timeout(5):
            while not await self._connection.fetchval(WAITING, self._name):
                await asyncio.sleep(0.005)


@asynccontextmanager
async def locked(database: Database) -> AsyncIterator[Locked]:
    """Nothing of the database can be read inside the block."""
    connection = await asyncpg.connect(database.logins.superuser)
    try:
        async with connection.transaction():
            await connection.execute(LOCK)
            yield Locked(connection, database.name)
    finally:
        await connection.close()


StartGateway = Callable[..., Awaitable[Running]]
NewDatabase = Callable[..., Awaitable[Database]]


@asynccontextmanager
async def serving(gateway: Gateway) -> AsyncIterator[Running]:
    """A gateway that serves inside the block."""
    await gateway.open()
    async with (
        serving_application(gateway.application(), gateway.settings.max_body_bytes) as url,
        httpx.AsyncClient(base_url=url, timeout=30) as client,
    ):
        yield Running(gateway, client, url)


@asynccontextmanager
async def serving_application(application: Starlette, max_bytes: int) -> AsyncIterator[str]:
    """The URL of an application that is served inside the block, as the gateway's is; messages have a bound."""
    sockets = {"ws": MessageSocket, "ws_max_size": max_bytes, "ws_per_message_deflate": False}
    async with _listening(application, http=Http, **sockets) as url:
        yield url


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@asynccontextmanager
async def serving_answers(
    answer: Callable[[Request], Awaitable[Response]], path: str = "/", method: str = "GET"
) -> AsyncIterator[str]:
    """The URL of another party's HTTP server, which answers at one path inside the block."""
    async with _listening(Starlette(routes=[Route(path, answer, methods=[method])])) as url:
        yield url


@asynccontextmanager
async def _listening(application: Starlette, **given: Any) -> AsyncIterator[str]:
    config = uvicorn.Config(application, port=0, log_config=None, lifespan="on", timeout_graceful_shutdown=5, **given)
    server = uvicorn.Server(config)
    server.capture_signals = nullcontext  # type: ignore[method-assign]  # pytest keeps its own handlers
    task = asyncio.create_task(server.serve())
    while not server.started:
        assert not task.done(), task.exception()
        await asyncio.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


async def eventually(claim: Callable[[], Any], within_s: float = 5) -> Any:
    """What a claim answers when it first holds; it must within some seconds."""
    deadline = time.monotonic() + within_s
    while not (found := claim()):
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)
    return found


def bearer(secret: str = TOKEN_SECRET, **claims: Any) -> dict[str, str]:
    """The header of a token with these claims; valid for a day unless they say otherwise."""
    expires = datetime.now(UTC) + timedelta(days=1)
    return {"Authorization": f"Bearer {jwt.encode({'exp': expires, **claims}, secret, 'HS256')}"}


def webhook(body: bytes, message_id: str, secret: str = SECRET, at: datetime | None = None) -> dict[str, str]:
    """The headers of a standard webhook's message, signed with the bytes of the secret."""
    at = at or datetime.now(UTC)
    signed = Webhook(secret.encode()).sign(message_id, at, body.decode())
    return {"webhook-id": message_id, "webhook-timestamp": str(int(at.timestamp())), "webhook-signature": signed}


def calls_of(work: Callable[[], object]) -> int:
    """How many functions are called; it tells how long something takes on any machine, however busy."""
    calls = count()

    def note(frame: FrameType, event: str, argument: Any) -> None:
        if event in ("call", "c_call"):
            next(calls)

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return next(calls)
