"""What the original canWatch stores in a Redis, read and never written: sets of ids, and of what each user watches."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, NamedTuple

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from resolvers.legacy_database import ImportFailed

BATCH_IDS = 1000
CONNECT_S = 5
ANSWER_S = 30


class Keys(NamedTuple):
    """How the sets of users and of streams are called, and what every key begins with: that of what a user watches goes
    on with the user's id.
    """

    users: str = "validUsers"
    streams: str = "validStreams"
    prefix: str = ""


class Original:
    """An open database of it. Ids are bytes, as Redis has them; a pass over a set may bring some of them twice."""

    def __init__(self, client: Redis, keys: Keys) -> None:
        self.users = keys.prefix + keys.users
        self.streams = keys.prefix + keys.streams
        self._prefix = keys.prefix.encode()
        self._client = client

    async def count(self, key: str) -> int:
        """How many ids a set has."""
        with _explained():
            return int(await self._client.scard(key))

    async def ids(self, key: str) -> AsyncGenerator[list[bytes], None]:
        """All ids that are in a set from the beginning to the end of this pass."""
        cursor = 0
        while True:
            with _explained():
                cursor, ids = await self._client.sscan(key, cursor, count=BATCH_IDS)
            if ids:
                yield [id_ for id_ in ids if isinstance(id_, bytes)]  # which all are
            if not int(cursor):
                return

    async def watched(self, users: Sequence[bytes]) -> list[list[bytes] | None]:
        """What each of these users watches; None where something else has the key of its set."""
        with _explained():
            async with self._client.pipeline(transaction=False) as pipeline:
                for user in users:
                    pipeline.smembers(self._prefix + user)
                found = await pipeline.execute(raise_on_error=False)
            for answer in found:
                if isinstance(answer, Exception) and not _is_no_set(answer):
                    raise answer
        return [None if isinstance(answer, Exception) else sorted(answer) for answer in found]


@asynccontextmanager
async def open_original(url: str, keys: Keys, password: str | None = None) -> AsyncIterator[Original]:
    """The database at a URL; ImportFailed when it cannot be read, now or later, or is none of the original."""
    given: dict[str, Any] = {"password": password} if password else {}
    try:
        client = Redis.from_url(url, socket_connect_timeout=CONNECT_S, socket_timeout=ANSWER_S, **given)
    except ValueError as error:
        raise ImportFailed(f"this is no URL of a Redis: {error}") from None
    try:
        original = Original(client, keys)
        if not await original.count(original.users) and not await original.count(original.streams):
            raise ImportFailed(
                f"neither {original.users} nor {original.streams} of canWatch is in this Redis: check the number of "
                "its database, and --prefix, --users and --streams"
            )
        yield original
    finally:
        await client.aclose()


def _is_no_set(error: Exception) -> bool:
    return isinstance(error, ResponseError) and str(error).startswith("WRONGTYPE")


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except (RedisError, OSError) as error:
        said = str(error).partition("\n")[0]
        raise ImportFailed(
            f"cannot read the Redis of canWatch ({said}): check its URL and run the import again"
        ) from None
