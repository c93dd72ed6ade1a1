"""The answers of the original service of telemetry, replayed."""

from functools import partial

from tests.conformance.replay import SUITES, replay
from tests.harness import SECRET, StartGateway
from tests.senders import all_is_stored


async def test_telemetry_is_taken_and_answered_as_by_the_original(start_gateway: StartGateway) -> None:
    running = await start_gateway(log_expiry_h="280320", answer_cache_bytes=0)
    assert len(SUITES["analytics"]["steps"]) == 55
    assert await replay(running.client, "analytics", SECRET, partial(all_is_stored, running)) == []
