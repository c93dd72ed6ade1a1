"""What tests of deploy/ share: the names of all metrics there are."""

import pytest

from db.embedded import EmbeddedPostgres
from prober.metrics import ProbeMetrics
from prober.streams import single_stream
from tests.deploy.monitoring import metrics_of
from tests.processes import Podium


@pytest.fixture(scope="session")
async def metrics_of_gateways(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Those of a gateway with workers and another login for reading, which has all of them."""
    urls = {"POSTGRES": postgres.logins.writer, "POSTGRES_READ": postgres.logins.reader}
    podium = Podium(tmp_path_factory.mktemp("gateway"), "serve", "--port", "0", "--workers", "2", **urls)
    urls["POSTGRES_OWNER"] = postgres.logins.owner
    podium.environment |= urls
    try:
        await (await podium.start()).ready()
        return metrics_of((await podium.client.get("/metrics")).text)
    finally:
        podium.process.terminate()
        await podium.end(within_s=30)
        await podium.close()


@pytest.fixture(scope="session")
def metrics_of_probers() -> set[str]:
    """Those of a prober with a stream."""
    stream = single_stream(
        name="a",
        region="FRA",
        duration="2m",
        ingest_url="rtmp://ingest.example/a",
        playback_url="https://play.example/a",
    )
    return metrics_of(ProbeMetrics([stream], prefix="stream_monitor_").exposed().decode())
