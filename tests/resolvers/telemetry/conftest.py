"""Nodes on a small network."""

from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from tests.telemetry import add_connection

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


@pytest.fixture
def add(connection: asyncpg.Connection) -> Any:
    """Adds a connection of a node with its messages, opened at noon unless that is said."""

    async def add(peer_id: str | None, *messages: dict[str, Any], **given: Any) -> int:
        return await add_connection(connection, peer_id, *messages, **{"opened_at": NOON, **given})

    return add
