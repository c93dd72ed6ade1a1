"""Whatever is asked of podium's own schema, it answers as graphql-core would."""

from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest

from gateway.demo import fill_with_demo
from schema.context import Context
from schema.root import GRAPHQL_SCHEMA
from tests.harness import Running
from tests.schema.execution.comparing import Question, assert_same_but_for_races
from tests.schema.execution.documents import DocumentMaker

LITERALS: dict[str, list[Any]] = {
    "DateTime": ["2026-11-22T12:00:00Z", "2026-11-23T00:00:00.5+02:00", "yesterday"],
    "Duration": ["24h", "30d", "1d12h", "soon"],
}
DOCUMENTS = 60


@pytest.fixture
async def filled(running: Running) -> Running:
    """A gateway with the demo set."""
    await fill_with_demo(running.gateway.db, running.gateway.catalog)
    return running


async def test_made_up_documents_have_the_answers_of_graphql_core(filled: Running, document_factor: int) -> None:
    backend = filled.gateway.feeds.backend
    identity = await backend.authenticator.identify("")
    now = datetime.now(UTC)

    def context() -> Context:
        return Context(backend, identity, now=now)

    for seed in range(DOCUMENTS * document_factor):
        made = DocumentMaker(GRAPHQL_SCHEMA, LITERALS, Random(seed)).make(max_depth=3)
        await assert_same_but_for_races(Question(GRAPHQL_SCHEMA, made.document, made.variables, context=context))
