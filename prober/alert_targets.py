"""Who is told of alerts, and in which form: a webhook, Discord, PagerDuty."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import httpx
from standardwebhooks import Webhook

from prober.alerting import Change, Kind
from resolvers.signing import webhook_keys

SENDING_S = 10.0
PAGER_DUTY_URL = "https://events.pagerduty.com/v2/enqueue"
MAX_TEXT = 1000
_OUT_OF_REACH = frozenset({401, 403, 404, 408, 410, 425, 429})


class Refused(Exception):
    """A target does not take this, and will not when it is sent again."""


class Target(Protocol):
    """Somebody who is told."""

    @property
    def name(self) -> str:
        """What it is called in logs, and in what is kept."""

    @property
    def kinds(self) -> Collection[Kind]:
        """What it is told."""

    async def send(self, client: httpx.AsyncClient, id: str, change: Change) -> None:
        """Tell it once; an exception where that did not work, Refused where it never will."""


@dataclass(frozen=True, slots=True)
class WebhookTarget:
    """JSON, signed as a standard webhook when there is a secret."""

    url: str
    secret: str | None = None
    name: str = "webhook"
    kinds: Collection[Kind] = tuple(Kind)

    async def send(self, client: httpx.AsyncClient, id: str, change: Change) -> None:
        """Tell it; the same `id` is the same change, sent again."""
        body = json.dumps({"id": id, **_facts(change)})
        headers = {"Content-Type": "application/json", "webhook-id": id}
        if self.secret:
            headers |= _signed(self.secret, id, body)
        await _post(client, self.url, body, headers)


@dataclass(frozen=True, slots=True)
class DiscordTarget:
    """A line for people."""

    url: str
    name: str = "discord"
    kinds: Collection[Kind] = (Kind.ALERT_STARTED, Kind.ALARM_STARTED, Kind.ALERT_ENDED)

    async def send(self, client: httpx.AsyncClient, id: str, change: Change) -> None:
        """Tell it, without calling anybody by name."""
        body = json.dumps({"content": text_of(change), "allowed_mentions": {"parse": []}})
        await _post(client, self.url, body, {"Content-Type": "application/json"})


@dataclass(frozen=True, slots=True)
class PagerDutyTarget:
    """An incident for the time of an alarm."""

    key: str
    url: str = PAGER_DUTY_URL
    name: str = "pager_duty"
    kinds: Collection[Kind] = (Kind.ALARM_STARTED, Kind.ALARM_ENDED)

    async def send(self, client: httpx.AsyncClient, id: str, change: Change) -> None:
        """Trigger or resolve the incident of this condition."""
        event = {
            "routing_key": self.key,
            "event_action": "trigger" if change.kind is Kind.ALARM_STARTED else "resolve",
            "dedup_key": f"podium-probe/{change.stream}/{change.since.isoformat()}"[:255],
            "payload": {
                "summary": text_of(change)[:MAX_TEXT],
                "source": change.stream,
                "severity": "critical",
                "timestamp": change.at.isoformat(),
                "custom_details": _facts(change),
            },
        }
        await _post(client, self.url, json.dumps(event), {"Content-Type": "application/json"})


def text_of(change: Change) -> str:
    """The change in words."""
    since = change.since.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    why = f"{change.reason}: {change.detail}"[:MAX_TEXT]
    duration = f"{max(0.0, (change.at - change.since).total_seconds()):.0f} s"
    match change.kind:
        case Kind.ALERT_STARTED:
            return f"Alert: {change.stream} is bad. {why}"
        case Kind.ALARM_STARTED:
            return f"ALARM: {change.stream} has been bad since {since}. {why}"
        case _:
            return f"Over: {change.stream} is good again, after {duration}. It was {why}"


def _facts(change: Change) -> Mapping[str, Any]:
    return {
        "type": change.kind,
        "stream": change.stream,
        "at": change.at.isoformat(),
        "since": change.since.isoformat(),
        "reason": change.reason,
        "detail": change.detail,
    }


def _signed(secret: str, id: str, body: str) -> dict[str, str]:
    now = datetime.now(UTC)
    signature = Webhook(webhook_keys(secret)[-1]).sign(id, now, body)
    return {"webhook-timestamp": str(int(now.timestamp())), "webhook-signature": signature}


async def _post(client: httpx.AsyncClient, url: str, body: str, headers: dict[str, str]) -> None:
    answer = await client.post(url, content=body, headers=headers, timeout=SENDING_S)
    if answer.is_success:
        return
    if 400 <= answer.status_code < 500 and answer.status_code not in _OUT_OF_REACH:
        raise Refused(f"HTTP status {answer.status_code}")
    raise ConnectionError(f"HTTP status {answer.status_code}")  # the URL has secrets in it, and is not told
