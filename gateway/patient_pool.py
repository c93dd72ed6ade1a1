"""A connection for commands that nobody waits for: none of the limits that keep questions short applies."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from db.pool import Pool, PoolOptions
from resolvers.errors import from_driver

PATIENCE_S = 86_400


@asynccontextmanager
async def patient_pool(url: str, command: str, **options: Any) -> AsyncIterator[Pool]:
    """A pool of one connection, known by its command in pg_stat_activity; options are those of PoolOptions."""
    name = f"podium {command}"
    pool = Pool(url, PoolOptions(size=1, timeout_s=PATIENCE_S, application_name=name, **options), from_driver)
    try:
        await pool.open()
        yield pool
    finally:
        await pool.close()
