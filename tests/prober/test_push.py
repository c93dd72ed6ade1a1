"""What the end of a push is told as."""

import pytest

from prober.child import running
from prober.push import Push
from prober.run import Reason


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("exit 1", Reason.PUSH_REFUSED),
        ("echo out_time_us=600000; exit 1", Reason.PUSH_REFUSED),
        ("echo out_time_us=1500000; exit 1", Reason.PUSH_DIED),
        ("kill -9 $$", Reason.PUSH_DIED),
    ],
)
async def test_an_end_within_a_second_is_a_refusal_unless_it_was_killed(script: str, reason: Reason) -> None:
    push = Push(silence_s=20)
    async with running(["sh", "-c", script], push.hear) as child:
        await push.watch(child)
    assert push.problem
    assert push.problem.reason is reason
