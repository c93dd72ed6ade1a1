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


@pytest.mark.parametrize(
    ("url", "said", "shown"),
    [
        ("rtmp://a.example/live/marker-1", "Server error: marker-1 is in use", "Server error: (key) is in use"),
        ("rtmp://a.example/live/marker-1?token=marker-2", "live/marker-1, token: marker-2", "live/(key), token: (key)"),
        ("rtmp://u:marker-1@a.example/live/x/marker-2", "u:marker-1 x/marker-2", "u:(key) (key)"),
        ("rtmp://a.example/live/marker-1", "rtmp://b.example/live/marker-1: refused", "(URL) refused"),
        ("rtmp://a.example/live/a", "a clear word", "a clear word"),
    ],
)
async def test_what_is_said_of_a_refusal_names_no_key(url: str, said: str, shown: str) -> None:
    push = Push(silence_s=20, url=url)
    async with running(["sh", "-c", f"echo '{said}' >&2; exit 1"], push.hear) as child:
        await push.watch(child)
    assert push.problem
    assert push.problem.detail == f"ffmpeg ended with status 1: {shown}"
