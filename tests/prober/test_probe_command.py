"""`podium probe` as people run it."""

import asyncio
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest

from resolvers.signing import is_signed
from tests.harness import Running, eventually
from tests.prober.network import Network, Served
from tests.prober.receiver import receiving
from tests.processes import SECRET, Podium, Start, is_running


def _single(network: Network, duration: str = "3s") -> dict[str, str]:
    return {
        "INJEST_URL": network.ingest_url,
        "PLAYBACK_URL": network.playback_url,
        "DURATION": duration,
        "REGION": "FRA",
    }


def _ffmpegs(podium: Podium, url: str) -> list[psutil.Process]:
    """Those that push to this URL."""
    with suppress(psutil.NoSuchProcess):  # one that ends while it is looked at
        lines = {child: child.cmdline() for child in psutil.Process(podium.process.pid).children(recursive=True)}
        return [child for child, line in lines.items() if url in line and line[1] == "-hide_banner"]
    return []


async def test_once_ends_with_a_summary_and_a_status(served: Served, start: Start) -> None:
    network = served.network("once")
    await network.listens()
    podium = await start("--once", **_single(network))
    assert await podium.end(within_s=40) == 0
    assert podium.printed.startswith("FRA: success, startup ")
    assert "segments" in podium.printed
    (run,) = podium.events("probe_ended")
    assert (run["status"], run["stream"], run["clock"]) == ("success", "FRA", "timestamps")
    assert "marker-of-the-key" not in podium.printed + "".join(podium.lines)


async def test_once_posts_its_runs_and_fails_when_one_fails(served: Served, start: Start, tmp_path: Path) -> None:
    network = served.network("posting")
    refusing = served.network("refusing")
    await refusing.refuse()
    await network.listens()
    config = tmp_path / "streams.yaml"
    entries = [
        f"{{name: {name}, duration: 3s, injest_url: '{each.ingest_url}', playback_url: '{each.playback_url}',"
        " wait_for_target: 20s, orchestrator: 0xAbc, region: FRA}"
        for name, each in (("good", network), ("bad", refusing))
    ]
    config.write_text(f"streams: [{', '.join(entries)}]")
    async with receiving() as receiver:
        receiver.statuses = [503]
        podium = await start("--config", str(config), "--once", REPORT_URL=receiver.url)
        assert await podium.end(within_s=40) == 1
        *_, bad, good = receiver.received
    assert [line.split(",")[0] for line in podium.printed.splitlines()] == ["good: success", "bad: failure"]
    assert {each.path for each in receiver.received} == {"/api/post_stats"}
    assert all(is_signed(each.body, each.headers["authorization"], [SECRET]) for each in receiver.received)
    assert receiver.received[0].headers["webhook-id"] == receiver.received[1].headers["webhook-id"]
    assert (bad.json["success_rate"], bad.json["errors"][0]["error_code"]) == (0.0, "push_refused")
    assert (good.json["success_rate"], good.json["region"], good.json["orchestrator"]) == (1.0, "FRA", "0xAbc")
    assert good.json["segments_received"] == good.json["segments_sent"] > 0


async def test_its_runs_are_kept_by_a_podium(served: Served, start: Start, running: Running) -> None:
    network = served.network("keeping")
    await network.listens()
    podium = await start(
        "--once", PROBE_RUNS_URL=running.url, SECRET=running.gateway.settings.secret or "", **_single(network)
    )
    assert await podium.end(within_s=40) == 0
    kept = await running.ask("""{ probeRuns { nodes {
      runId stream region status startupTime renditions { name segmentsReceived latency { count } }
    } } }""")
    (run,) = kept["probeRuns"]["nodes"]
    ended = podium.event("probe_ended")
    assert (run["runId"], run["stream"], run["region"], run["status"]) == (ended["run_id"], "FRA", "FRA", "SUCCESS")
    assert run["startupTime"] == pytest.approx(ended["startup_s"], abs=0.001)
    assert sum(it["segmentsReceived"] for it in run["renditions"]) == ended["segments_received"] > 0


async def test_it_shows_metrics_and_sigterm_ends_it_and_its_push_in_time(served: Served, start: Start) -> None:
    network = served.network("sigterm")
    await network.listens()
    podium = await start(**_single(network, "1h"))
    await eventually(lambda: podium.event("probe_first_segment"), within_s=30)
    latency = 'stream_monitor_latency_seconds{duration="1h",region="FRA",variant="320x180"}'
    async with httpx.AsyncClient() as client, asyncio.timeout(20):
        while latency not in (shown := (await client.get(podium.event("ready")["metrics"])).text):
            await asyncio.sleep(0.1)
    assert 'stream_monitor_active_tests{duration="1h",region="FRA"} 1.0' in shown
    (pusher,) = _ffmpegs(podium, network.ingest_url)
    podium.process.terminate()
    signalled_at = time.monotonic()
    assert await podium.end() == 0
    assert time.monotonic() - signalled_at < 5
    assert not is_running(pusher.pid)
    assert podium.event("probe_ended")["status"] == "aborted"


async def test_its_push_ends_with_it_even_by_kill_9(served: Served, start: Start) -> None:
    network = served.network("kill")
    await network.listens()
    podium = await start(**_single(network, "1h"))
    (pusher,) = await eventually(lambda: _ffmpegs(podium, network.ingest_url), within_s=20)
    pusher.suspend()
    os.kill(podium.process.pid, signal.SIGKILL)
    await eventually(lambda: not is_running(pusher.pid))


@pytest.mark.parametrize(
    ("arguments", "settings", "said"),
    [
        ((), {}, ["INGEST_URL: is missing", "PLAYBACK_URL: is missing", "DURATION: is missing"]),
        (("--config", "/absent.yaml"), {}, ["/absent.yaml: No such file or directory"]),
        ((), {"ALARM_AFTER": "soon"}, ["ALARM_AFTER: a positive number with an optional unit"]),
    ],
)
async def test_a_mistake_is_said_and_nothing_starts(
    start: Start, arguments: tuple[str, ...], settings: dict[str, str], said: list[str]
) -> None:
    podium = await start(*arguments, **settings)
    assert await podium.end(within_s=20) == 1
    lines = [line.removeprefix("podium: ") for line in podium.lines]
    assert sorted(line.startswith(tuple(said)) for line in lines) == [True] * len(said)


async def test_once_is_no_success_when_it_is_stopped_before_its_first_run(
    served: Served, start: Start, tmp_path: Path
) -> None:
    hanging = tmp_path / "ffmpeg"
    hanging.write_text(f"#!/bin/sh\ntouch {tmp_path}/runs\nexec sleep 60\n")
    hanging.chmod(0o700)
    podium = await start("--once", **_single(served.network("early")), FFMPEG=str(hanging))
    await eventually((tmp_path / "runs").exists, within_s=20)
    podium.process.terminate()
    assert await podium.end() == 130


async def test_a_missing_ffmpeg_or_a_port_in_use_is_said(served: Served, start: Start, tmp_path: Path) -> None:
    network = served.network("unused")
    port = served.url.rpartition(":")[2]
    both = await asyncio.gather(
        start(**_single(network), FFMPEG="/absent/ffmpeg"),
        start(**_single(network), METRICS_PORT=port, ALERT_STATE=str(tmp_path / "other.json")),
    )
    assert [await podium.end(within_s=20) for podium in both] == [1, 1]
    assert both[0].lines == ["podium: FFMPEG: /absent/ffmpeg is no program\n"]
    assert both[1].lines == [f"podium: METRICS_PORT: cannot listen on 127.0.0.1:{port} (Address already in use)\n"]
