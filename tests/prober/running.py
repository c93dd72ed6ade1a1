"""A prober of the tests' own: one stream, its events, and its alerts."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx

from gateway.probe_events import ProbeEvents
from prober.alert_file import held
from prober.alert_targets import WebhookTarget
from prober.alerts import Alerts
from prober.clip import Clip
from prober.content_clock import Decoder
from prober.fetching import Bound
from prober.limits import Limits
from prober.metrics import ProbeMetrics
from prober.probe import Probe, Reporter, Tools
from prober.run import Run
from prober.stopping import Stopping, end_tasks
from prober.streams import Stream
from prober.table import StreamTable
from tests.prober.network import Network

HASTY = Limits(
    push_silence_s=4.0,
    stall_s=6.0,
    absence_s=2.0,
    waiting_look_s=0.25,
    master_look_s=0.5,
    playlist=Bound(bytes=100_000, seconds=3.0),
    segment=Bound(bytes=2_000_000, seconds=2.0),
)


def stream_of(network: Network, **given: Any) -> Stream:
    """A stream of short runs."""
    urls = {"ingest_url": network.ingest_url, "playback_url": network.playback_url}
    return Stream.model_validate({"name": "probed", "duration": "3s", "wait_for_target": "6s", **urls, **given})


class Prober:
    """Probes a stream as `podium probe` does, with a webhook of its network's."""

    def __init__(
        self,
        stream: Stream,
        clip: Clip,
        ffmpeg: str,
        limits: Limits = HASTY,
        reporters: Sequence[Reporter] = (),
    ) -> None:
        self.stream = stream
        self.metrics = ProbeMetrics([stream], prefix="stream_monitor_")
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.sinks = ProbeEvents(self.metrics, StreamTable([stream]))
        decoder = Decoder(ffmpeg, asyncio.Semaphore(2))
        tls = httpx.create_ssl_context()
        self.stopping = Stopping()
        self.tasks: list[asyncio.Task[None]] = []
        tools = Tools(clip=clip, decoder=decoder, tls=tls, report=self.report, limits=limits, reporters=reporters)
        self.probe = Probe(stream, tools, self.stopping)

    def report(self, event: str, **facts: Any) -> None:
        """Hear of an event."""
        self.events.append((event, facts))
        self.sinks.report(event, **facts)

    def heard(self, event: str) -> list[dict[str, Any]]:
        """The facts of all events of this name."""
        return [facts for name, facts in self.events if name == event]

    async def runs(self, network: Network, state: Path, count: int, between: Any = None) -> list[Run]:
        """Several runs, whose alerts are told to the network's hook."""
        async with httpx.AsyncClient() as client:
            with held(state) as file:
                alerts = Alerts(file, [WebhookTarget(network.hook_url)], client, timedelta(seconds=0.5), self.report)
                self.sinks.alerts = alerts
                telling = asyncio.create_task(alerts.run())
                runs = [await self.probe.once()]
                for _ in range(count - 1):
                    await between()
                    runs.append(await self.probe.once())
                await alerts.delivered(within_s=5)
                await end_tasks([telling])
        return runs
