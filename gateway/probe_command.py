"""`podium probe`: pushes a test stream, plays what comes out, and tells how it went, for ever or once."""

import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer
import uvloop
from rich.console import Console

from gateway.logs import configure_logs
from gateway.settings import Settings, SettingsError, load_settings
from prober.alert_file import AlertFileError
from prober.clip import ClipError
from prober.run import Run, Status
from prober.streams import Stream, StreamsError, read_streams, single_stream

FAILURES = (SettingsError, StreamsError, ClipError, AlertFileError)


def probe(
    config: Annotated[Path | None, typer.Option(help="A YAML file of streams; else INGEST_URL and others.")] = None,
    once: Annotated[bool, typer.Option("--once", help="One run of each stream; status 1 when one fails.")] = False,
) -> None:
    """Push a test stream by RTMP, play the HLS that comes out, measure it, alert: docs/probe.md."""
    from gateway.probing import probe_all

    try:
        settings = load_settings()
        streams = read_streams(config) if config else (_stream_of(settings),)
        console = Console()
        shows_table = console.is_terminal and settings.log_format != "json"
        configure_logs("ERROR" if shows_table else settings.log_level, settings.log_format)
        runs = uvloop.run(probe_all(settings, streams, once=once, console=console if shows_table else None))
    except FAILURES as error:
        _fail(str(error))
    if once:
        typer.echo("\n".join(map(summary_line, runs)))
        sys.exit(_status(runs))


def summary_line(run: Run) -> str:
    """A run in one line."""
    if run.status is Status.FAILURE:
        return f"{run.stream}: failure, {run.reason}: {run.detail}"
    if run.status is Status.ABORTED:
        return f"{run.stream}: aborted"
    latency = "" if run.latency_s is None else f", latency {run.latency_s:.2f} s"
    segments = f"{run.segments_received} of {run.segments_expected} segments"
    return f"{run.stream}: success, startup {run.startup_s or 0:.2f} s{latency}, {segments}"


def _stream_of(settings: Settings) -> Stream:
    return single_stream(
        name=settings.region or "stream",
        region=settings.region,
        duration=settings.duration,
        ingest_url=settings.ingest_url,
        playback_url=settings.playback_url,
    )


def _status(runs: list[Run]) -> int:
    if any(run.status is Status.FAILURE for run in runs):
        return 1
    return 0 if runs and all(run.status is Status.SUCCESS for run in runs) else 130


def _fail(message: str) -> NoReturn:
    typer.echo("\n".join(f"podium: {line}" for line in message.splitlines()), err=True)
    raise typer.Exit(1)
