"""Every query of the documentation, run as it is printed: it must be answered, and with something in the answer."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import orjson
import pytest
from graphql import OperationDefinitionNode, parse

from gateway.probe_forms import RECORD_PROBE_RUN, input_of, stored_form
from tests.harness import TOKEN_SECRET, Running, StartGateway
from tests.probes import a_failed_run, a_rendition
from tests.telemetry import add_connection, network_state

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
QUERY_OF_CURL = re.compile(r"'query=(.*?)'", re.DOTALL)
# What Grafana puts there: the range of the dashboard.
RANGE = {"${__from:date:iso}": -timedelta(hours=6), "${__to:date:iso}": timedelta(hours=6)}
LISTS_OF_ITEMS = ("nodes", "edges", "stats")
WITHDRAW = """mutation { withdrawStats(
  filter: { region: { in: ["LAX"] }, during: { last: "1h" } }, reason: "It was wrong."
) { withdrawn } }"""
PEER = "12D3KooWSCu"
RESULT: dict[str, Any] = {
    "orchestrator": "0x0000000000000000000000000000000000000001",
    "region": "FRA",
    "success_rate": 1,
}


class Example(NamedTuple):
    """A printed operation, and the values of its variables."""

    query: str
    variables: dict[str, Any]


def _examples_of(path: str) -> dict[str, Example]:
    """The examples of a page by their operation's name; one that takes variables has them in the block below it."""
    text = (ROOT / path).read_text(encoding="utf-8")
    blocks = [(match[1], match[2]) for match in BLOCK.finditer(text)]
    examples: dict[str, Example] = {}
    for (language, content), (_, below) in zip(blocks, [*blocks, ("", "")][1:], strict=True):
        for query in [content] if language == "graphql" else QUERY_OF_CURL.findall(content):
            (operation,) = parse(query).definitions
            assert isinstance(operation, OperationDefinitionNode)
            name = operation.name.value if operation.name else f"example {len(examples) + 1}"
            examples[f"{path}: {name}"] = Example(query, _variables(below) if operation.variable_definitions else {})
    return examples


def _variables(text: str) -> dict[str, Any]:
    variables: dict[str, Any] = orjson.loads(text)
    now = datetime.now(UTC)
    return {
        name: (now + RANGE[value]).isoformat() if isinstance(value, str) and value in RANGE else value
        for name, value in variables.items()
    }


EXAMPLES = _examples_of("README.md") | _examples_of("docs/graphql.md")


@pytest.fixture
async def recorded(start_gateway: StartGateway, connection: asyncpg.Connection) -> Running:
    """A gateway with one result of each kind that the examples look for, one that is withdrawn, and a node."""
    running = await start_gateway(jwt_secret=TOKEN_SECRET)
    ai = {"pipeline": "Text to image", "model": "stabilityai/sd-turbo"}
    failure = {"success_rate": 0, "errors": [{"error_code": "Timeout", "count": 1}]}
    for fields in (
        {"seg_duration": 2, "round_trip_time": 0.5, "upload_time": 0.1, "transcode_time": 0.3},
        {**ai, "round_trip_time": 3},
        failure,
    ):
        assert (await running.post_stat(**RESULT | fields)).text == "ok"
    await _add_telemetry(running, connection)
    started_at = datetime.now(UTC) - timedelta(hours=1)
    failed = a_failed_run("failed", started_at=started_at, renditions=(a_rendition(),))
    await running.ask(RECORD_PROBE_RUN, input=dict(input_of(stored_form(failed))))
    await running.post_stat(**RESULT | {"region": "LAX"})
    assert await running.ask(WITHDRAW) == {"withdrawStats": {"withdrawn": 1}}
    return running


async def _add_telemetry(running: Running, connection: asyncpg.Connection) -> None:
    now = datetime.now(UTC)
    interval = {"msg": "system.interval", "ts": now.isoformat(), "peers": 25, "best": {"height": 1_204_811}}
    await add_connection(connection, PEER, interval, opened_at=now, name="alpha")
    await add_connection(connection, "12D3KooWQmy", network_state(now, **{PEER: (62, True)}), opened_at=now)
    link = (
        "mutation ($peer: String!, $node: String!) { linkPeer(peerId: $peer, orchestrator: $node) { errors { code } } }"
    )
    assert await running.ask(link, peer=PEER, node=RESULT["orchestrator"]) == {"linkPeer": {"errors": []}}
    assert (
        await running.client.post("/benchmarks", json={"setup": {"substrate": {"peerId": PEER}}})
    ).status_code == 200
    host = {"description": "", "os": "", "cpu_qty": 1, "cpu_clock": 1, "ram_mb": 1, "disk_info": ""}
    assert (await running.client.post("/host_systems", json=host)).status_code == 200


@pytest.mark.parametrize("name", EXAMPLES)
async def test_a_documented_query_finds_something(recorded: Running, name: str) -> None:
    data = await recorded.ask(EXAMPLES[name].query, **EXAMPLES[name].variables)
    assert data
    assert not [field for field, answer in data.items() if _is_empty(answer)]


def test_both_pages_have_examples() -> None:
    assert {name.partition(":")[0] for name in EXAMPLES} == {"README.md", "docs/graphql.md"}
    assert not [name for name in EXAMPLES if "docs/graphql.md: example" in name], "operations have names"


def _is_empty(answer: Any) -> bool:
    if isinstance(answer, dict):
        return any(_is_empty(answer[name]) for name in LISTS_OF_ITEMS if name in answer)
    return answer is None or answer == []
