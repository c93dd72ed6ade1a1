"""Puts probes together: what they share, where their events go, and how they end."""

import asyncio
import gc
import signal
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any

import httpx
from rich.console import Console

from gateway.probe_events import ProbeEvents
from gateway.probe_metrics import serving_metrics
from gateway.probe_reports import stored_runs
from gateway.settings import Settings
from prober.alert_file import held
from prober.alert_targets import PAGER_DUTY_URL, DiscordTarget, PagerDutyTarget, Target, WebhookTarget
from prober.alerts import Alerts
from prober.clip import Clip, find_ffmpeg, make_clip, source_clip
from prober.content_clock import Decoder
from prober.metrics import ProbeMetrics
from prober.posting import Poster, Posting
from prober.probe import Probe, Reporter, Tools
from prober.run import Run
from prober.stopping import Stopping, end_tasks
from prober.streams import Stream
from prober.table import StreamTable, shown

DECODERS = 2
LAST_WORDS_S, HURRIED_S = 10.0, 1.0


async def probe_all(settings: Settings, streams: Sequence[Stream], *, once: bool, console: Console | None) -> list[Run]:
    """Probe all streams side by side until SIGTERM or SIGINT; with `once`, a run of each, which are answered."""
    stopping = Stopping()
    async with AsyncExitStack() as stack:
        stack.enter_context(_heeding_signals(stopping))
        client = await stack.enter_async_context(httpx.AsyncClient())
        events = ProbeEvents(_metrics(settings, streams), StreamTable(streams))
        file = stack.enter_context(held(settings.alert_state or settings.podium_data_dir / "probe-alerts.json"))
        alerts = Alerts(file, targets_of(settings), client, settings.alarm_after, events.report)
        events.alerts = events.table.alerts = alerts
        alerts.forget_but([stream.name for stream in streams])
        posting = Posting(Poster(client, settings.report_url or "", settings.secret), events.report)
        stores = await stack.enter_async_context(stored_runs(settings, client, events.report))
        reporters: list[Reporter] = [*([posting] if settings.report_url else []), *stores]
        tools = await stopping.during(_tools(settings, events, reporters))
        if tools is None:
            return []
        if not once:
            await stack.enter_async_context(serving_metrics(settings.host, settings.metrics_port, events.metrics))
        if console:
            stack.enter_context(shown(events.table, console))
        gc.freeze()  # what is there now stays, and need not be looked through after each run
        probes = [Probe(stream, tools, stopping) for stream in streams]
        async with _beside(alerts.run(), posting.run(), *(it.run() for it in stores)):
            runs = await asyncio.gather(*(probe.once() if once else probe.forever() for probe in probes))
            rest_s = HURRIED_S if stopping.is_wished else LAST_WORDS_S
            last_words = (alerts.delivered(rest_s), posting.posted(rest_s), *(it.stored(rest_s) for it in stores))
            await asyncio.gather(*last_words)
    return [run for run in runs if run]


def targets_of(settings: Settings) -> list[Target]:
    """Who is told of alerts."""
    targets: list[Target] = []
    if settings.alert_webhook:
        targets.append(WebhookTarget(settings.alert_webhook, settings.alert_webhook_secret))
    if settings.discord_webhook:
        targets.append(DiscordTarget(settings.discord_webhook))
    if settings.pager_duty_api_key:
        targets.append(PagerDutyTarget(settings.pager_duty_api_key, settings.pager_duty_url or PAGER_DUTY_URL))
    return targets


async def _tools(settings: Settings, events: ProbeEvents, reporters: Sequence[Reporter]) -> Tools:
    ffmpeg = find_ffmpeg(settings.ffmpeg)
    return Tools(
        clip=await _clip(settings, ffmpeg),
        decoder=Decoder(ffmpeg, asyncio.Semaphore(DECODERS)),
        tls=httpx.create_ssl_context(),
        report=events.report,
        reporters=reporters,
        allowed=settings.playback_allow or (),
    )


async def _clip(settings: Settings, ffmpeg: str) -> Clip:
    if settings.source_file:
        return await source_clip(ffmpeg, settings.source_file)
    return await make_clip(ffmpeg, settings.podium_data_dir)


def _metrics(settings: Settings, streams: Sequence[Stream]) -> ProbeMetrics:
    return ProbeMetrics(
        streams,
        prefix=settings.stream_monitor_default_prefix,
        region=settings.stream_monitor_label_region,
        duration=settings.stream_monitor_label_duration,
    )


@contextmanager
def _heeding_signals(stopping: Stopping) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    signals = (signal.SIGTERM, signal.SIGINT)
    for number in signals:
        loop.add_signal_handler(number, stopping.wish)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


@asynccontextmanager
async def _beside(*loops: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Loops that run for the time of the context."""
    tasks = [asyncio.ensure_future(loop) for loop in loops]
    try:
        yield
    finally:
        await end_tasks(tasks)
