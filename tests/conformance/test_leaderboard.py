"""The answers of the original leaderboard, replayed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path

import asyncio
import uvicorn
from starlette.applications import Starlette
from starlette.responses import FileResponse
from starlette.routing import Route

from tests.conformance.replay import replay
from tests.harness import SECRET, Running, StartGateway

SUITES = Path(__file__).parent


async def test_the_leaderboard_answers_as_the_original(running: Running) -> None:
    assert await replay(running.client, SUITES / "leaderboard.json", SECRET) == []
