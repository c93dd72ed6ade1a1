"""Every subscription of the documentation, run as it is printed: something must be told."""

import re
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest

from gateway.probe_forms import RECORD_PROBE_RUN, input_of, stored_form
from tests.harness import Running
from tests.probes import a_failed_run
from tests.subscribers import hears, open_socket
from tests.telemetry import add_connection

PAGE = (Path(__file__).parents[2] / "docs" / "subscriptions.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```graphql\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
SAID = {"msg": "block.import", "ts": "2026-11-22T12:00:00Z", "best": {"height": 7}}
RESULT = {"region": "FRA", "orchestrator": "0xabc", "round_trip_time": 0.5, "errors": ["Timeout"]}


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 4


@pytest.mark.parametrize("query", EXAMPLES)
async def test_an_example_works(running: Running, connection: asyncpg.Connection, query: str) -> None:
    async with open_socket(running.url) as socket:
        await socket.subscribe(query)
        await hears(running)
        await running.post_stat(**RESULT)
        await running.ask(RECORD_PROBE_RUN, input=dict(input_of(stored_form(a_failed_run("failed")))))
        await add_connection(connection, "12D3KooWAda", SAID, opened_at=datetime.now(UTC))
        (told,) = (await socket.next()).values()
        assert told
