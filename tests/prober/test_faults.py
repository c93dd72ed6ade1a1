"""Networks that are faulty in every way: each has its reason and its alert, and all is well when the fault is over.

All cases run side by side, so that the slowest of them is as long as all of them take.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from starlette.responses import PlainTextResponse, RedirectResponse, Response, StreamingResponse

from prober.clip import Clip
from prober.limits import Limits
from prober.run import Reason, Run, Status
from tests.harness import eventually
from tests.prober.network import Network, Served
from tests.prober.running import HASTY, Prober, stream_of

Break = Callable[[Network, Prober], Awaitable[None]]


@dataclass(frozen=True)
class Case:
    """How a network is broken, and what should be said of it."""

    breaks: Break
    reason: Reason
    limits: Limits = HASTY
    stream: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What came of a case: a run with the fault, one without, and what was told of them."""

    faulty: Run
    healthy: Run
    hooks: list[dict[str, Any]]
    prober: Prober


def _answering(matches: str, respond: Callable[[], Response]) -> Break:
    """From the start, what ends so is answered with something else."""

    async def breaks(network: Network, prober: Prober) -> None:
        async def fault(path: str) -> Response | None:
            return respond() if path.endswith(matches) else None

        network.fault = fault

    return breaks


def _midway(breaks: Break) -> Break:
    """When segments have begun to come."""

    async def later(network: Network, prober: Prober) -> None:
        async def wait_and_break() -> None:
            await eventually(lambda: prober.heard("probe_first_segment"), within_s=20)
            await breaks(network, prober)

        prober.tasks.append(asyncio.create_task(wait_and_break()))

    return later


async def _refuse_pushes(network: Network, prober: Prober) -> None:
    await network.refuse()


async def _kill_packager(network: Network, prober: Prober) -> None:
    network.stop_packager(signal.SIGKILL)


async def _freeze_packager(network: Network, prober: Prober) -> None:
    network.stop_packager(signal.SIGSTOP)


async def _freeze_pusher(network: Network, prober: Prober) -> None:
    pusher = network.pusher()
    assert pusher
    pusher.suspend()


async def _forget_rendition(network: Network, prober: Prober) -> None:
    del network.listed["b"]


async def _rename_rendition(network: Network, prober: Prober) -> None:
    network.listed["b"] = "64x36"


async def _corrupt_segments(network: Network, prober: Prober) -> None:
    async def fault(path: str) -> Response | None:
        if not path.endswith("2.ts"):
            return None
        body = network.body(path)
        middle = len(body) // 2
        return Response(body[:middle] + b"\0" * 2000 + body[middle + 2000 :])

    network.fault = fault


async def _slow_segments(network: Network, prober: Prober) -> None:
    async def trickle(body: bytes) -> AsyncIterator[bytes]:
        for place in range(0, len(body), 6000):
            await asyncio.sleep(0.16)
            yield body[place : place + 6000]

    async def fault(path: str) -> Response | None:
        return StreamingResponse(trickle(network.body(path))) if path.endswith(".ts") else None

    network.fault = fault


async def _endless_segments(network: Network, prober: Prober) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0.01)  # the server goes on although nobody reads
            yield b"\x47" * 65_536

    async def fault(path: str) -> Response | None:
        return StreamingResponse(endless()) if path.endswith(".ts") else None

    network.fault = fault


async def _hang(network: Network, prober: Prober) -> None:
    async def fault(path: str) -> Response | None:
        await asyncio.sleep(4)
        return None

    network.fault = fault


async def _freeze_playlists(network: Network, prober: Prober) -> None:
    bodies = {"master.m3u8": _MASTER, "a.m3u8": _OLD}

    async def fault(path: str) -> Response | None:
        return Response(bodies[path]) if path in bodies else None

    network.fault = fault


_OLD = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:7\n#EXTINF:1,\nold-7.ts\n"
_MASTER = b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,RESOLUTION=320x180\na.m3u8\n"
_EMPTY = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n"
_status = partial(PlainTextResponse, "no")

CASES = {
    "the ingest refuses": Case(_refuse_pushes, Reason.PUSH_REFUSED),
    "the ingest dies midway": Case(_midway(_kill_packager), Reason.PUSH_DIED),
    "the push hangs": Case(_midway(_freeze_pusher), Reason.PUSH_HUNG, stream={"duration": "12s"}),
    "the packager stops": Case(_midway(_freeze_packager), Reason.STALLED, stream={"duration": "12s"}),
    "nothing new is listed": Case(_freeze_playlists, Reason.NO_FIRST_SEGMENT),
    "the master is not found": Case(_answering("master.m3u8", lambda: _status(404)), Reason.PLAYLIST_HTTP_ERROR),
    "a rendition is not served midway": Case(
        _midway(_answering("b.m3u8", lambda: _status(500))), Reason.PLAYLIST_HTTP_ERROR, stream={"duration": "8s"}
    ),
    "the master says an error": Case(
        _answering("master.m3u8", lambda: Response("#EXTM3U\n#EXT-X-ERROR: Stream open failed\n")),
        Reason.PLAYLIST_ERROR,
    ),
    "the master is nothing": Case(_answering("master.m3u8", lambda: Response(b"")), Reason.PLAYLIST_EMPTY),
    "renditions list nothing": Case(_answering("a.m3u8", lambda: Response(_EMPTY)), Reason.PLAYLIST_EMPTY),
    "the master is garbage": Case(_answering("master.m3u8", lambda: Response("<html>")), Reason.PLAYLIST_INVALID),
    "a playlist is garbage midway": Case(
        _midway(_answering("a.m3u8", lambda: Response(b"\xff\0" * 99))),
        Reason.PLAYLIST_INVALID,
        stream={"duration": "8s"},
    ),
    "a playlist has no end": Case(
        _answering("master.m3u8", lambda: Response(b"#EXTM3U\n" + b"#" * 200_000)), Reason.TOO_LARGE
    ),
    "nothing is answered": Case(_hang, Reason.TIMEOUT),
    "nobody serves": Case(
        _answering("x", _status), Reason.PLAYLIST_UNREACHABLE, stream={"playback_url": "http://127.0.0.1:9/a.m3u8"}
    ),
    "a redirect leads inside": Case(
        _answering("master.m3u8", lambda: RedirectResponse("http://10.255.255.1/a.m3u8")), Reason.ADDRESS_REFUSED
    ),
    "a rendition is inside": Case(
        _answering("master.m3u8", lambda: Response(_MASTER.replace(b"a.m", b"http://[::ffff:169.254.169.254]/a.m"))),
        Reason.ADDRESS_REFUSED,
    ),
    "a rendition disappears": Case(_midway(_forget_rendition), Reason.RENDITION_MISSING, stream={"duration": "6s"}),
    "a rendition is renamed": Case(_midway(_rename_rendition), Reason.RENDITION_RENAMED, stream={"duration": "6s"}),
    "a configured rendition is not there": Case(
        _answering("x", _status), Reason.RENDITION_MISSING, stream={"variants": ["320x180", "160x90", "1280x720"]}
    ),
    "a segment is corrupt": Case(_corrupt_segments, Reason.SEGMENTS_CORRUPT),
    "segments are not found": Case(
        _midway(_answering(".ts", lambda: _status(404))), Reason.SEGMENTS_MISSED, stream={"duration": "5s"}
    ),
    "the network is slow": Case(_slow_segments, Reason.TOO_SLOW, stream={"duration": "6s"}),
    "segments have no end": Case(_endless_segments, Reason.TOO_LARGE),
}
APART_S = 0.5
LASTING = {"nobody serves", "a configured rendition is not there"}


@pytest.fixture(scope="module")
async def outcomes(
    request: pytest.FixtureRequest,
    served: Served,
    clip: Clip,
    ffmpeg: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, asyncio.Task[Outcome]]:
    """All cases that tests are run of, under way."""
    directory = tmp_path_factory.mktemp("alerts")

    async def run(number: int, case: Case) -> Outcome:
        await asyncio.sleep(number * APART_S)
        network = served.network(f"n{number}")
        await network.listens()
        prober = Prober(stream_of(network, **case.stream), clip, ffmpeg, case.limits)
        await case.breaks(network, prober)

        async def mend() -> None:
            await network.mend()

        faulty, healthy = await prober.runs(network, directory / f"{number}.json", 2, mend)
        return Outcome(faulty, healthy, network.hooks, prober)

    wanted = {item.callspec.params.get("name") for item in request.session.items if hasattr(item, "callspec")}
    cases = [(name, case) for name, case in CASES.items() if name in wanted]
    return {name: asyncio.create_task(run(number, case)) for number, (name, case) in enumerate(cases)}


@pytest.mark.parametrize("name", CASES)
async def test_each_fault_has_its_reason(name: str, outcomes: dict[str, asyncio.Task[Outcome]]) -> None:
    outcome = await outcomes[name]
    assert (outcome.faulty.status, outcome.faulty.reason) == (Status.FAILURE, CASES[name].reason), outcome.faulty.detail
    assert "marker-of-the-key" not in (outcome.faulty.detail or "")


@pytest.mark.parametrize("name", [name for name in CASES if name not in LASTING])
async def test_a_fault_is_over_when_it_is_over(name: str, outcomes: dict[str, asyncio.Task[Outcome]]) -> None:
    outcome = await outcomes[name]
    assert (outcome.healthy.status, outcome.healthy.detail) == (Status.SUCCESS, None)
    assert outcome.healthy.received_share == 1.0


@pytest.mark.parametrize("name", [name for name in CASES if name not in LASTING])
async def test_each_fault_has_its_alert_once_and_its_end_once(
    name: str, outcomes: dict[str, asyncio.Task[Outcome]]
) -> None:
    outcome = await outcomes[name]
    kinds = [hook["type"] for hook in outcome.hooks]
    assert kinds.count("alert.started") == kinds.count("alert.ended") >= 1
    assert kinds.count("alarm.started") == kinds.count("alarm.ended") <= kinds.count("alert.started")
    assert outcome.faulty.reason in {hook["reason"] for hook in outcome.hooks}
    assert kinds[-1] == "alert.ended"


async def test_pushes_under_way_are_counted_down_again(outcomes: dict[str, asyncio.Task[Outcome]]) -> None:
    for outcome in await asyncio.gather(*outcomes.values()):
        assert b"stream_monitor_active_tests{duration=" in outcome.prober.metrics.exposed()
        sample = outcome.prober.metrics.registry.get_sample_value
        labels = {"region": "", "duration": outcome.prober.stream.shown_duration}
        assert sample("stream_monitor_active_tests", labels) == 0.0
