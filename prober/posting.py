"""Posts runs as results of an orchestrator, to whatever takes the leaderboard's /api/post_stats."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import stamina
from standardwebhooks import Webhook

from prober.run import Run, Status
from resolvers.signing import signature, webhook_keys

PATH = "/api/post_stats"
POSTING_S = 10.0
ATTEMPTS = 6
RETRYING_S = 120.0
MOST_WAITING = 100


class Poster:
    """Posts the runs of streams that name an orchestrator.

    The signature is the original's; that of a standard webhook comes along, by whose id podium stores a run only once,
    however often it is sent.
    """

    def __init__(self, client: httpx.AsyncClient, url: str, secret: str | None) -> None:
        self._client = client
        self._url = url.rstrip("/").removesuffix(PATH) + PATH
        self._secret = secret

    async def post(self, run: Run) -> None:
        """Post one, again when it fails for a reason that may pass."""
        body = json.dumps(result_of(run)).encode()
        async for attempt in stamina.retry_context(on=_may_pass, attempts=ATTEMPTS, timeout=RETRYING_S):
            with attempt:
                headers = self._headers(run.id, body)
                answer = await self._client.post(self._url, content=body, headers=headers, timeout=POSTING_S)
                answer.raise_for_status()

    def _headers(self, id: str, body: bytes) -> dict[str, str]:
        headers = {"Content-Type": "application/json"}
        if not self._secret:
            return headers
        now = datetime.now(UTC)
        return headers | {
            "Authorization": signature(body, self._secret),
            "webhook-id": id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": Webhook(webhook_keys(self._secret)[0]).sign(id, now, body.decode()),
        }


def is_posted(run: Run) -> bool:
    """Whether a run says something of an orchestrator."""
    return run.orchestrator is not None and run.region is not None and run.status is not Status.ABORTED


def result_of(run: Run) -> dict[str, Any]:
    """A run in the leaderboard's form; a failed one with its reason as an error."""
    durations = [rendition.duration_s for rendition in run.renditions if rendition.duration_s]
    count = sum(spread.count for spread in durations)
    played_s = max((spread.mean * spread.count for spread in durations), default=0.0)
    share = min(1.0, played_s / run.wanted_s) if run.reason else 1.0
    return {
        "region": run.region,
        "orchestrator": run.orchestrator,
        "success_rate": round(run.received_share * share, 6),
        "round_trip_time": run.latency_s or 0.0,
        "seg_duration": sum(spread.mean * spread.count for spread in durations) / count if count else 0.0,
        "segments_sent": run.segments_expected,
        "segments_received": run.segments_received,
        "download_time": sum(rendition.download_s for rendition in run.renditions),
        "errors": [{"error_code": run.reason, "message": run.detail, "count": 1}] if run.reason else [],
        "timestamp": int(run.started_at.timestamp()),
    }


def _may_pass(error: Exception) -> bool:
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code >= 500 or error.response.status_code in {408, 425, 429}
    return isinstance(error, httpx.TransportError)


class Posting:
    """Posts beside the probes, which never wait for it; when too much waits already, the newest run is left out."""

    def __init__(self, poster: Poster, report: Callable[..., None]) -> None:
        self._poster = poster
        self._report = report
        self._waiting: asyncio.Queue[Run] = asyncio.Queue(MOST_WAITING)

    async def __call__(self, run: Run) -> None:
        """Take a run that has ended."""
        if not is_posted(run):
            return
        try:
            self._waiting.put_nowait(run)
        except asyncio.QueueFull:
            self._report("probe_post_failed", stream=run.stream, run_id=run.id, error="too many runs wait")

    async def run(self) -> None:
        """Post what comes, until cancelled."""
        while True:
            run = await self._waiting.get()
            try:
                await self._poster.post(run)
            except Exception as error:  # whatever it is, the next run is posted as well
                self._report("probe_post_failed", stream=run.stream, run_id=run.id, error=_said(error))
            finally:
                self._waiting.task_done()

    async def posted(self, within_s: float) -> None:
        """Wait until nothing waits any more, but not for long."""
        try:
            await asyncio.wait_for(self._waiting.join(), within_s)
        except TimeoutError:
            self._report("probe_post_failed", error="not posted in time")


def _said(error: Exception) -> str:
    return (
        f"HTTP status {error.response.status_code}"
        if isinstance(error, httpx.HTTPStatusError)
        else type(error).__name__
    )
