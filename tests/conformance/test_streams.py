"""The answers of the original canWatch service, replayed."""

from tests.conformance.replay import SUITES, replay
from tests.harness import SECRET, Running


async def test_viewers_are_answered_as_by_the_original(running: Running) -> None:
    assert len(SUITES["canwatch"]["steps"]) == 32
    assert await replay(running.client, "canwatch", SECRET) == []
