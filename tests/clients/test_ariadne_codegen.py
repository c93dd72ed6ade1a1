"""A Python client that ariadne-codegen generates from the printed schema and the documented operations, at work."""

import subprocess
import sys
from collections.abc import AsyncIterator, Generator
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
import pytest

from resolvers.signing import signature
from tests.harness import SECRET, Running
from tests.schema.test_graphql_docs import EXAMPLES, ROOT

GENERATOR = Path(sys.executable).parent.parent / "codegen" / "bin" / "ariadne-codegen"
pytestmark = pytest.mark.skipif(not GENERATOR.exists(), reason="no ariadne-codegen: `make test` installs it")
NODE = "0x0000000000000000000000000000000000000001"
CONFIGURATION = """
[tool.ariadne-codegen]
schema_path = "{root}/schema/schema.graphql"
queries_path = "operations.graphql"
target_package_name = "podium_client"
include_comments = "none"
opentelemetry_client = false

[tool.ariadne-codegen.scalars.DateTime]
type = "datetime.datetime"

[tool.ariadne-codegen.scalars.Duration]
type = "str"
"""


class Signed(httpx.Auth):
    """Signs the body of each request, as recordStats wants it without a token."""

    requires_request_body = True

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = signature(request.content, SECRET)
        yield request


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The package that was generated, imported."""
    place = tmp_path_factory.mktemp("generated")
    named = [example.query for name, example in EXAMPLES.items() if name.startswith("docs/graphql.md")]
    (place / "operations.graphql").write_text("\n".join(named))
    (place / "codegen.toml").write_text(CONFIGURATION.format(root=ROOT))
    command = [GENERATOR, "--config", "codegen.toml"]
    ran = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    sys.path.insert(0, str(place))
    yield import_module("podium_client")
    sys.path.remove(str(place))


@pytest.fixture
async def client(generated: Any, running: Running) -> AsyncIterator[Any]:
    """The generated client, of a gateway with three results."""
    async with httpx.AsyncClient(auth=Signed()) as http:
        client = generated.Client(url=f"{running.url}/graphql", http_client=http)
        result = generated.StatInput(
            region="FRA", orchestrator=NODE, success_rate=1, seg_duration=2, round_trip_time=0.5, reported_at=_now()
        )
        stored = await client.record_stats([result] * 3)
        assert stored.record_stats.errors == []
        yield client


async def test_a_generated_client_records_and_reads(client: Any) -> None:
    page = (await client.results_of_one(address=NODE)).stats
    following = (await client.results_of_one(address=NODE, after=page.page_info.end_cursor)).stats
    assert page.page_info.has_next_page
    assert not following.page_info.has_next_page
    results = page.nodes + following.nodes
    assert len({result.id for result in results}) == 3
    assert all(timedelta() <= _now() - result.recorded_at < timedelta(minutes=1) for result in results)
    found = (await client.node(id=results[0].id)).node
    assert found.typename__ == "Stat"
    assert found.recorded_at == results[0].recorded_at


async def test_a_generated_client_has_enums_numbers_and_nulls(client: Any, generated: Any) -> None:
    (best,) = (await client.best_orchestrators()).aggregates.nodes
    assert (best.orchestrator.address, best.samples) == (NODE, 3)
    assert best.score == pytest.approx(0.98168, abs=1e-5)
    assert (await client.results_of_one(address=NODE)).stats.nodes[0].job_type is generated.JobType.TRANSCODING
    assert (await client.top_ai_score(address=NODE)).top_ai_score is None
    assert (await client.one_orchestrator(address="0x99")).orchestrator is None


async def test_a_generated_client_raises_what_the_gateway_refuses(client: Any, generated: Any) -> None:
    refused = (await client.record_stats([generated.StatInput(region="NOWHERE", orchestrator=NODE)])).record_stats
    assert [(error.index, error.field, error.code) for error in refused.errors] == [(0, "region", "INVALID_REGION")]
    with pytest.raises(generated.GraphQLClientGraphQLMultiError) as raised:
        await client.node(id="nonsense")
    assert raised.value.errors[0].extensions == {"code": "INVALID_ARGUMENT", "field": "id"}


def _now() -> datetime:
    return datetime.now(UTC)
