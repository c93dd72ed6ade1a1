"""The demo set: every question that a newcomer finds in GraphiQL has an answer that shows something."""

import re
from itertools import pairwise
from typing import Any

import pytest
from graphql import OperationDefinitionNode, OperationType, parse

from gateway.demo import LUCKY, NODES, RESULTS, fill_with_demo
from tests.gateway.test_pages import EXAMPLES
from tests.harness import TOKEN_SECRET, Running, StartGateway
from tests.schema.test_graphql_docs import BLOCK, QUERY_OF_CURL, ROOT

LONG_NUMBER = re.compile(r"\b\d\.\d{9}")


@pytest.fixture
async def demo(start_gateway: StartGateway) -> Running:
    """A gateway with the demo set, which takes tokens."""
    running = await start_gateway(jwt_secret=TOKEN_SECRET)
    assert await fill_with_demo(running.gateway.db, running.gateway.catalog) == RESULTS
    return running


async def test_every_example_finds_something(demo: Running) -> None:
    for example in EXAMPLES:
        (operation,) = parse(example).definitions
        assert isinstance(operation, OperationDefinitionNode)
        if operation.operation is not OperationType.SUBSCRIPTION:
            data = await demo.ask(example)
            assert _empty_lists(data) <= _MAY_BE_EMPTY, example


async def test_it_shows_ranks_that_change_gaps_and_every_reason(demo: Running) -> None:
    assert await fill_with_demo(demo.gateway.db, demo.gateway.catalog) == 0, "it fills an empty database only"
    data = await demo.ask(
        """{ byScore: leaderboard(jobType: TRANSCODING, orderBy: SCORE, during: { last: "4d" }) {
          orchestrator { address } rankChange }
        byBound: leaderboard(jobType: TRANSCODING) { orchestrator { address } }
        series(filter: { during: { last: "7d" } }, bucket: SIX_HOURS, groupBy: [ORCHESTRATOR]) { points { score } }
        failures(groupBy: []) { codes { errorCode } }
        coverage { missing { status } } }"""
    )
    assert data["byScore"][0]["orchestrator"]["address"] == LUCKY != data["byBound"][0]["orchestrator"]["address"]
    assert len(data["byScore"]) == len(NODES) + 1
    assert {place["rankChange"] is not None and place["rankChange"] > 0 for place in data["byScore"]} == {True, False}
    assert any(None in [point["score"] for point in line["points"][1:-1]] for line in data["series"])
    assert len(data["failures"][0]["codes"]) >= 4
    statuses = {cell["status"] for node in data["coverage"] for cell in node["missing"]}
    assert statuses == {"FAILING", "NOT_LATELY", "NEVER"}


@pytest.mark.parametrize("page", ["README.md", "docs/graphql.md"])
async def test_the_documented_figures_are_those_of_the_demo_set(demo: Running, page: str) -> None:
    blocks = [match.groups() for match in BLOCK.finditer((ROOT / page).read_text(encoding="utf-8"))]
    checked = 0
    for (language, content), (_, below) in pairwise(blocks):
        for query in [content] if language == "graphql" else QUERY_OF_CURL.findall(content):
            if figures := set(LONG_NUMBER.findall(below)):
                assert figures <= set(LONG_NUMBER.findall(str(await demo.ask(query))))
                checked += 1
    assert checked


_MAY_BE_EMPTY = {"errors"}


def _empty_lists(answer: Any, name: str = "data") -> set[str]:
    """The names of what is an empty list, or null, at the outer levels or below."""
    if isinstance(answer, dict):
        return {empty for key, value in answer.items() for empty in _empty_lists(value, key)}
    if isinstance(answer, list):
        return {name} if not answer else {empty for item in answer for empty in _empty_lists(item, name)}
    return set()
