"""A Redis of Debian with what the original canWatch stores in it."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

from redis.asyncio import Redis
from redis.exceptions import RedisError

from tests.debian import Program, Wanted, until_it_answers
from tests.harness import free_port

REDIS = Wanted(
    "usr/bin/redis-server", ("redis-server", "redis-tools", "libjemalloc2", "liblzf1", "libatomic1", "libsystemd0")
)


class CanWatch:
    """What the original would have stored; keys begin with `prefix`."""

    def __init__(self, client: Redis, url: str, prefix: str = "") -> None:
        self.client = client
        self.url = url
        self.prefix = prefix

    async def add_user(self, id_: str | bytes | None = None) -> str:
        return await self._add("validUsers", id_)

    async def add_stream(self, id_: str | bytes | None = None) -> str:
        return await self._add("validStreams", id_)

    async def activate(self, user: str, *streams: str) -> None:
        await self.client.sadd(self.prefix + user, *streams)

    async def deactivate(self, user: str, *streams: str) -> None:
        await self.client.srem(self.prefix + user, *streams)

    async def _add(self, key: str, id_: str | bytes | None) -> str:
        new = str(uuid4()) if id_ is None else id_
        await self.client.sadd(self.prefix + key, new)
        return new if isinstance(new, str) else new.decode(errors="replace")


@asynccontextmanager
async def original_redis(program: Program) -> AsyncIterator[CanWatch]:
    """A Redis that runs inside the block, and keeps nothing."""
    home = Path(tempfile.mkdtemp(prefix="podium-redis-"))
    port = free_port()
    options = ("--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(home), "--daemonize", "no")
    with (home / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            program.binary, *options, env=program.environment, stdout=log, stderr=log
        )
    url = f"redis://127.0.0.1:{port}/0"
    client = Redis.from_url(url)
    try:
        await until_it_answers(process, home / "log", client.ping, RedisError)
        yield CanWatch(client, url)
    finally:
        await client.aclose()
        if process.returncode is None:
            process.terminate()
        await process.wait()
        shutil.rmtree(home)
