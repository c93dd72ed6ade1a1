"""Old idempotency keys."""

import asyncio
from functools import partial
from typing import Any

import asyncpg

from resolvers.idempotency import forget_keys
from tests.harness import Running, eventually
from workers.key_purger import BATCH, purge_keys, purge_once

INSERT = """INSERT INTO podium.idempotency_keys (owner, key, fingerprint, orchestrators, ids, created_at)
SELECT 'me', $1::integer || ':' || n, sha256('x'), '{}', '{}', now() - make_interval(hours => $1)
FROM generate_series(1, $2::integer) AS n"""


async def test_keys_of_the_last_day_are_kept_and_all_others_go(
    running: Running, connection: asyncpg.Connection
) -> None:
    await connection.execute(INSERT, 23, 3)
    await connection.execute(INSERT, 25, BATCH + 7)
    reported: list[dict[str, Any]] = []
    forget = partial(forget_keys, running.gateway.db)
    await purge_once(forget, lambda event, **facts: reported.append({"event": event, **facts}))
    assert reported == [{"event": "keys_purged", "count": BATCH + 7}]
    assert await connection.fetchval("SELECT count(*) FROM podium.idempotency_keys") == 3


async def test_a_failure_is_reported_and_outlived() -> None:
    reported: list[str] = []

    async def fail(limit: int) -> int:
        raise OSError("away")

    loop = asyncio.create_task(purge_keys(fail, lambda event, **facts: reported.append(event)))
    await eventually(lambda: reported == ["keys_purge_failed"])
    assert not loop.done()
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)
