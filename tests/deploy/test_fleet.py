"""All of it together: a network is probed, Prometheus asks prober and gateway, and answers what dashboards ask."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.deploy.fleet import Fleet, fleet
from tests.deploy.monitoring import ALERTS, DASHBOARDS, PROMETHEUS, expressions_of
from tests.harness import StartGateway, free_port

OF_THE_ORIGINAL = (
    "sum(stream_monitor_active_tests)",
    'increase(stream_monitor_total_tests{status="success"}[5m])',
    'increase(stream_monitor_total_tests{status="failure"}[5m])',
    "max_over_time(stream_monitor_segment_duration_seconds[5m])",
    "max by (region) (max_over_time(stream_monitor_test_startup_seconds[5m]))",
    "max by (variant) (max_over_time(stream_monitor_latency_seconds[5m]))",
    "sum by (region) (stream_monitor_active_tests)",
)


class Prometheus:
    """A running Prometheus, by its API."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def asked(self, expression: str) -> list[Any]:
        """The answer to an expression, which must be one that it takes."""
        answer = (await self._client.get("/api/v1/query", params={"query": expression})).json()
        assert answer["status"] == "success", answer
        found: list[Any] = answer["data"]["result"]
        return found

    async def read(self, path: str) -> Any:
        """Data of its API."""
        return (await self._client.get(f"/api/v1/{path}")).json()["data"]

    async def until(self, expression: str, within_s: float = 60) -> None:
        """Return when an expression has an answer."""
        async with asyncio.timeout(within_s):
            while not await self._known(expression):
                await asyncio.sleep(0.2)

    async def _known(self, expression: str) -> bool:
        try:
            return bool(await self.asked(expression))
        except (httpx.TransportError, ValueError):  # it says in words that it is not ready yet
            return False


def _configuration(targets: dict[str, str]) -> dict[str, Any]:
    """That of the repository, with other targets, and more often."""
    configuration: dict[str, Any] = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    configuration["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    configuration["rule_files"] = [str(PROMETHEUS / "rules.yml")]
    jobs = [job for job in configuration["scrape_configs"] if job["job_name"] in targets]
    for job in jobs:
        job["static_configs"] = [{"targets": [targets[job["job_name"]]]}]
    configuration["scrape_configs"] = jobs
    return configuration


@pytest.fixture
async def started(tmp_path: Path) -> AsyncIterator[Fleet]:
    async with fleet(tmp_path, duration="6s") as started:
        yield started


@pytest.fixture
async def prometheus(started: Fleet, start_gateway: StartGateway) -> AsyncIterator[Prometheus]:
    """One that asks a gateway and a prober."""
    if not (program := shutil.which("prometheus")):
        pytest.skip("prometheus is not installed")
    gateway, metrics, port = await start_gateway(), free_port(), free_port()
    targets = {"podium": gateway.url.removeprefix("http://"), "podium-prober": f"127.0.0.1:{metrics}"}
    file = started.directory / "prometheus.yml"
    file.write_text(yaml.safe_dump(_configuration(targets)))
    arguments = (
        f"--config.file={file}",
        f"--storage.tsdb.path={started.directory}",
        f"--web.listen-address=127.0.0.1:{port}",
    )
    quiet = {"stdout": asyncio.subprocess.DEVNULL, "stderr": asyncio.subprocess.DEVNULL}
    process = await asyncio.create_subprocess_exec(program, *arguments, **quiet)
    try:
        async with (
            started.probing(METRICS_PORT=str(metrics)),
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=10) as client,
        ):
            yield Prometheus(client)
    finally:
        process.terminate()
        await process.wait()


async def test_the_network_of_the_demo_can_be_probed(started: Fleet) -> None:
    async with started.probing("--once") as process:
        printed, _ = await asyncio.wait_for(process.communicate(), 60)
    assert printed.decode().startswith("demo: success, ")
    assert process.returncode == 0
    assert (started.directory / "hls" / "mine").read_text() == "not of the demo"


async def test_prometheus_answers_what_dashboards_ask(prometheus: Prometheus) -> None:
    await prometheus.until('increase(stream_monitor_total_tests{status="success"}[5m]) > 0')
    for expression in OF_THE_ORIGINAL:
        assert await prometheus.asked(expression), expression
    for dashboard in DASHBOARDS.values():
        for expression in expressions_of(dashboard):
            await prometheus.asked(expression)
    for panel in expressions_of(DASHBOARDS["streams"])[:10]:
        assert await prometheus.asked(panel), panel

    groups = (await prometheus.read("rules"))["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert [rule["name"] for rule in rules] == [rule["alert"] for rule in ALERTS]
    assert {rule["lastError"] for rule in rules if "lastError" in rule} == set()
    targets = (await prometheus.read("targets"))["activeTargets"]
    assert {target["labels"]["job"]: target["health"] for target in targets} == {"podium": "up", "podium-prober": "up"}
    assert (await prometheus.read("alerts"))["alerts"] == []
