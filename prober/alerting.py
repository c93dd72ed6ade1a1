"""Alerts and alarms: what a bad or a good sample makes of the state of a stream; pure, so that it can be kept."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum


class Kind(StrEnum):
    """What targets are told; each once."""

    ALERT_STARTED = "alert.started"
    ALARM_STARTED = "alarm.started"
    ALARM_ENDED = "alarm.ended"
    ALERT_ENDED = "alert.ended"


@dataclass(frozen=True, slots=True)
class Condition:
    """A stream that is bad, since when, and why by now; an alarm when it has been so for long enough."""

    since: datetime
    reason: str
    detail: str
    is_alarm: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """What targets are told of: `since` is when the condition began, `at` when it changed."""

    kind: Kind
    stream: str
    at: datetime
    since: datetime
    reason: str
    detail: str


Step = tuple[Condition | None, Sequence[Change]]


def after_bad(condition: Condition | None, stream: str, reason: str, detail: str, at: datetime) -> Step:
    """A bad sample begins a condition; of one that is there, it changes at most the reason, of which nobody is told."""
    if condition is not None:
        is_same = condition.reason == reason
        return (condition if is_same else replace(condition, reason=reason, detail=detail)), ()
    begun = Condition(at, reason, detail)
    return begun, (_change(Kind.ALERT_STARTED, stream, begun, at),)


def after_good(condition: Condition | None, stream: str, at: datetime) -> Step:
    """A good sample ends it, as an alarm and as an alert."""
    if condition is None:
        return None, ()
    kinds = (Kind.ALARM_ENDED, Kind.ALERT_ENDED) if condition.is_alarm else (Kind.ALERT_ENDED,)
    return None, tuple(_change(kind, stream, condition, at) for kind in kinds)


def after_while(condition: Condition | None, stream: str, at: datetime, alarm_after: timedelta) -> Step:
    """What has been bad for so long becomes an alarm; where the clock was set back, it counts anew."""
    if condition is None or condition.is_alarm:
        return condition, ()
    if at < condition.since:
        return replace(condition, since=at), ()
    if at - condition.since < alarm_after:
        return condition, ()
    return replace(condition, is_alarm=True), (_change(Kind.ALARM_STARTED, stream, condition, at),)


def _change(kind: Kind, stream: str, condition: Condition, at: datetime) -> Change:
    return Change(kind, stream, at, condition.since, condition.reason, condition.detail)
