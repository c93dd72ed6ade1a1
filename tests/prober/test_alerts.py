"""Alerts: when they begin and end, who is told, and what becomes of them across failures and restarts."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook

from prober.alert_file import AlertFile, AlertFileError, held
from prober.alert_targets import DiscordTarget, PagerDutyTarget, Target, WebhookTarget, text_of
from prober.alerting import Kind, after_bad, after_good, after_while
from prober.alerts import Alerts
from prober.stopping import end_tasks
from tests.harness import eventually
from tests.prober.receiver import Receiver, receiving

SOON = timedelta(seconds=0.2)
NEVER = timedelta(hours=1)
SECRET = "whsec_c2VjcmV0LW9mLWFsZXJ0cw=="


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


@asynccontextmanager
async def _alerts(
    file: AlertFile, targets: Sequence[Target], alarm_after: timedelta = SOON
) -> AsyncIterator[tuple[Alerts, list[tuple[str, dict[str, Any]]]]]:
    reported: list[tuple[str, dict[str, Any]]] = []
    async with httpx.AsyncClient() as client:
        alerts = Alerts(
            file,
            targets,
            client,
            alarm_after,
            lambda event, **facts: reported.append((event, facts)),
            first_wait_s=0.05,
        )
        running = asyncio.create_task(alerts.run())
        try:
            yield alerts, reported
        finally:
            await end_tasks([running])


def _kinds(receiver: Receiver) -> list[str]:
    return [received.json["type"] for received in receiver.received]


async def test_what_stays_bad_becomes_an_alarm_and_a_good_sample_ends_both(tmp_path: Path, receiver: Receiver) -> None:
    async with _alerts(AlertFile(tmp_path / "a.json"), [WebhookTarget(receiver.url)]) as (alerts, _):
        for _ in range(3):
            alerts.bad("a", "stalled", "nothing new")
        await eventually(lambda: _kinds(receiver) == ["alert.started", "alarm.started"])
        alerts.bad("a", "stalled", "nothing new")
        assert alerts.states == {"a": "alarm"}
        for _ in range(3):
            alerts.good("a")
        await eventually(lambda: len(receiver.received) == 4)
        assert _kinds(receiver)[2:] == ["alarm.ended", "alert.ended"]
        assert alerts.states == {}
    first, alarm, *_ = [received.json for received in receiver.received]
    assert (first["stream"], first["reason"], first["detail"]) == ("a", "stalled", "nothing new")
    assert first["since"] == alarm["since"] == first["at"] < alarm["at"]


async def test_what_was_bad_for_a_moment_is_no_alarm(tmp_path: Path, receiver: Receiver) -> None:
    async with _alerts(AlertFile(tmp_path / "a.json"), [WebhookTarget(receiver.url)], NEVER) as (alerts, _):
        alerts.bad("a", "stalled", "")
        alerts.good("a")
        await alerts.delivered()
    assert _kinds(receiver) == ["alert.started", "alert.ended"]


def test_a_clock_that_is_set_back_holds_up_no_alarm_for_longer() -> None:
    at, after = datetime(2026, 1, 1, 12, tzinfo=UTC), timedelta(seconds=30)
    condition, _ = after_bad(None, "a", "stalled", "", at + timedelta(hours=1))
    for second in range(30):
        condition, changes = after_while(condition, "a", at + timedelta(seconds=second), after)
        assert changes == ()
    condition, (change,) = after_while(condition, "a", at + after, after)
    assert (change.kind, change.since) == (Kind.ALARM_STARTED, at)
    (_, (_, over)) = after_good(condition, "a", at - after)
    assert "after 0 s" in text_of(over)


async def test_streams_are_bad_each_on_its_own(tmp_path: Path, receiver: Receiver) -> None:
    async with _alerts(AlertFile(tmp_path / "a.json"), [WebhookTarget(receiver.url)], NEVER) as (alerts, _):
        alerts.bad("a", "stalled", "")
        alerts.bad("b", "stalled", "")
        alerts.good("a")
        assert alerts.states == {"b": "alert"}


async def test_an_alert_goes_on_after_a_restart_and_is_told_once(tmp_path: Path, receiver: Receiver) -> None:
    file = AlertFile(tmp_path / "a.json")
    async with _alerts(file, [WebhookTarget(receiver.url)], NEVER) as (alerts, _):
        alerts.bad("a", "stalled", "")
        await alerts.delivered()
    async with _alerts(file, [WebhookTarget(receiver.url)], SOON) as (alerts, _):
        await asyncio.sleep(3 * SOON.total_seconds())
        assert alerts.states == {"a": "alert"}, "nothing was seen of it since"
        alerts.bad("a", "stalled", "")
        assert alerts.states == {"a": "alarm"}
        await alerts.delivered()
    async with _alerts(file, [WebhookTarget(receiver.url)], SOON) as (alerts, _):
        alerts.good("a")
        await alerts.delivered()
    assert _kinds(receiver) == ["alert.started", "alarm.started", "alarm.ended", "alert.ended"]


async def test_what_nobody_took_is_told_after_a_restart(tmp_path: Path, receiver: Receiver) -> None:
    file = AlertFile(tmp_path / "a.json")
    receiver.statuses = [500] * 100
    async with _alerts(file, [WebhookTarget(receiver.url)], NEVER) as (alerts, _):
        alerts.bad("a", "stalled", "")
        await eventually(lambda: receiver.received)
    sent = receiver.received[-1].json["id"]
    receiver.statuses.clear()
    receiver.received.clear()
    async with _alerts(file, [WebhookTarget(receiver.url)], NEVER) as (alerts, _):
        await alerts.delivered()
    assert [received.json["id"] for received in receiver.received] == [sent]


async def test_a_failing_target_is_tried_again_and_holds_up_no_other(tmp_path: Path, receiver: Receiver) -> None:
    gone = WebhookTarget("http://127.0.0.1:9/", name="gone")
    receiver.statuses = [500, 404, 429]
    targets = [gone, WebhookTarget(receiver.url)]
    async with _alerts(AlertFile(tmp_path / "a.json"), targets, NEVER) as (alerts, reported):
        alerts.bad("a", "stalled", "")
        alerts.good("a")
        await eventually(lambda: len(receiver.received) == 5)
        failed = [facts["target"] for event, facts in reported if event == "probe_alert_failed"]
        assert failed.count("webhook") == 3
        assert "gone" in failed
    assert _kinds(receiver) == [*["alert.started"] * 4, "alert.ended"]
    assert len({received.json["id"] for received in receiver.received}) == 2


async def test_what_a_target_refuses_for_good_is_given_up(tmp_path: Path, receiver: Receiver) -> None:
    receiver.statuses = [400]
    async with _alerts(AlertFile(tmp_path / "a.json"), [WebhookTarget(receiver.url)], NEVER) as (alerts, reported):
        alerts.bad("a", "stalled", "")
        alerts.good("a")
        await alerts.delivered()
    assert _kinds(receiver) == ["alert.started", "alert.ended"]
    (failed,) = [facts for event, facts in reported if event == "probe_alert_failed"]
    assert failed == {"target": "webhook", "error": "HTTP status 400", "is_given_up": True}


async def test_a_hanging_target_holds_up_nothing(tmp_path: Path, receiver: Receiver) -> None:
    receiver.is_hanging = True
    async with _alerts(AlertFile(tmp_path / "a.json"), [WebhookTarget(receiver.url)], NEVER) as (alerts, _):
        async with asyncio.timeout(1):
            alerts.bad("a", "stalled", "")
            await alerts.delivered(within_s=0.2)
            alerts.good("a")
        assert alerts.states == {}


async def test_a_webhook_is_signed(tmp_path: Path, receiver: Receiver) -> None:
    async with _alerts(AlertFile(tmp_path / "a.json"), [WebhookTarget(receiver.url, SECRET)], NEVER) as (alerts, _):
        alerts.bad("a", "stalled", "")
        await alerts.delivered()
    (received,) = receiver.received
    assert Webhook(SECRET).verify(received.body, received.headers)["type"] == "alert.started"


async def test_pager_duty_gets_alarms_alone(tmp_path: Path, receiver: Receiver) -> None:
    target = PagerDutyTarget("the-key", f"{receiver.url}/v2/enqueue")
    async with _alerts(AlertFile(tmp_path / "a.json"), [target]) as (alerts, _):
        alerts.bad("a", "stalled", "nothing new")
        await eventually(lambda: receiver.received)
        alerts.good("a")
        await alerts.delivered()
    trigger, resolve = [received.json for received in receiver.received]
    assert (trigger["event_action"], resolve["event_action"]) == ("trigger", "resolve")
    assert trigger["dedup_key"] == resolve["dedup_key"]
    assert (trigger["routing_key"], trigger["payload"]["severity"]) == ("the-key", "critical")
    assert (trigger["payload"]["source"], "stalled" in trigger["payload"]["summary"]) == ("a", True)


async def test_discord_gets_a_line_that_calls_nobody(tmp_path: Path, receiver: Receiver) -> None:
    async with _alerts(AlertFile(tmp_path / "a.json"), [DiscordTarget(receiver.url)]) as (alerts, _):
        alerts.bad("a", "stalled", "@everyone")
        await eventually(lambda: len(receiver.received) == 2)
        alerts.good("a")
        await alerts.delivered()
    lines = [received.json["content"].split(":")[0] for received in receiver.received]
    assert lines == ["Alert", "ALARM", "Over"]
    assert all(received.json["allowed_mentions"] == {"parse": []} for received in receiver.received)


async def test_alerts_of_a_stream_that_is_probed_no_more_end(tmp_path: Path, receiver: Receiver) -> None:
    file = AlertFile(tmp_path / "a.json")
    async with _alerts(file, [WebhookTarget(receiver.url)], NEVER) as (alerts, _):
        alerts.bad("a", "stalled", "")
        alerts.bad("b", "stalled", "")
        await alerts.delivered()
    async with _alerts(file, [WebhookTarget(receiver.url)], NEVER) as (alerts, _):
        alerts.forget_but(["b"])
        await alerts.delivered()
        assert alerts.states == {"b": "alert"}
    assert (_kinds(receiver)[-1], receiver.received[-1].json["stream"]) == ("alert.ended", "a")


async def test_a_full_disk_is_reported_and_ends_nothing(tmp_path: Path, receiver: Receiver) -> None:
    directory = tmp_path / "gone"
    async with _alerts(AlertFile(directory / "a.json"), [WebhookTarget(receiver.url)], NEVER) as (alerts, reported):
        alerts.bad("a", "stalled", "")
        await alerts.delivered()
    assert _kinds(receiver) == ["alert.started"]
    assert "probe_alert_state_failed" in [event for event, _ in reported]


def test_two_probers_do_not_share_a_file(tmp_path: Path) -> None:
    path = tmp_path / "alerts" / "a.json"
    with held(path), pytest.raises(AlertFileError, match="another prober uses"), held(path):
        pass
    with held(path) as file:
        assert file.read().conditions == {}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 2}', '{"conditions": {"a": 1}}'])
def test_a_file_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with held(path) as file, pytest.raises(AlertFileError, match="ALERT_STATE"):
        file.read()
