"""VACUUM on a connection of its own: it runs in no transaction, and takes its time."""

import asyncpg

from db.line import CONNECT_TIMEOUT_S

# It yields the disk to others now and then, as autovacuum does.
SETTINGS = {"statement_timeout": "0", "lock_timeout": "2000", "vacuum_cost_delay": "1", "vacuum_cost_limit": "1000"}


async def vacuum(url: str, command: str) -> None:
    """Run a VACUUM command; the URL leads to the server itself, past any pgbouncer."""
    settings = {"application_name": "podium vacuum", **SETTINGS}
    connection = await asyncpg.connect(url, timeout=CONNECT_TIMEOUT_S, server_settings=settings)
    try:
        await connection.execute(command)
    finally:
        connection.terminate()
