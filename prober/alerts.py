"""Keeps the alerts of all streams, and tells every target of each change, for as long as that takes."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx

from prober.alert_file import AlertFile, Pending
from prober.alert_targets import Refused, Target
from prober.alerting import Change, Step, after_bad, after_good, after_while
from prober.stopping import end_tasks

LOOK_S = 1.0
FIRST_WAIT_S, MOST_WAIT_S = 1.0, 300.0
GIVEN_UP_AFTER = timedelta(days=1)
MOST_PENDING = 1000
DELIVERING_S = 2.0


class Alerts:
    """The state of all streams; whoever probes only calls `bad` and `good`, which never wait and never fail.

    What was bad before a restart goes on, and becomes an alarm when a sample after it is bad as well.
    """

    def __init__(
        self,
        file: AlertFile,
        targets: Sequence[Target],
        client: httpx.AsyncClient,
        alarm_after: timedelta,
        report: Callable[..., None],
        first_wait_s: float = FIRST_WAIT_S,
    ) -> None:
        self._file = file
        self._book = file.read()
        self._targets = {target.name: target for target in targets}
        self._client = client
        self._alarm_after = alarm_after
        self._report = report
        self._first_wait_s = first_wait_s
        self._heard: set[str] = set()
        self._all_told = asyncio.Event()
        self._news = {target.name: asyncio.Event() for target in targets}

    @property
    def states(self) -> Mapping[str, str]:
        """`alert` or `alarm` by stream, for those that are bad; other threads may ask."""
        return {name: "alarm" if held.is_alarm else "alert" for name, held in [*self._book.conditions.items()]}

    def bad(self, stream: str, reason: str, detail: str) -> None:
        """A bad sample."""
        now = datetime.now(UTC)
        self._heard.add(stream)
        self._take(stream, after_bad(self._book.conditions.get(stream), stream, reason, detail, now))
        self._take(stream, after_while(self._book.conditions.get(stream), stream, now, self._alarm_after))

    def good(self, stream: str) -> None:
        """A good sample."""
        self._take(stream, after_good(self._book.conditions.get(stream), stream, datetime.now(UTC)))

    def forget_but(self, streams: Collection[str]) -> None:
        """End the alerts of streams that are not probed any more."""
        for stream in [*self._book.conditions]:
            if stream not in streams:
                self.good(stream)
        self._book.pending = [item for item in self._book.pending if item.target in self._targets]
        self._save()

    async def run(self) -> None:
        """Turn alerts into alarms as time goes by, and tell of them, until cancelled."""
        telling = [asyncio.create_task(self._tell_all(target)) for target in self._targets.values()]
        try:
            while True:
                await asyncio.sleep(min(LOOK_S, self._alarm_after.total_seconds() / 4))
                self._look()
        finally:
            await end_tasks(telling)

    async def delivered(self, within_s: float = DELIVERING_S) -> None:
        """Wait until everybody has been told, but not for long: what is left is told after the next start."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._all_told.wait(), within_s)

    def _look(self) -> None:
        for stream in self._heard & self._book.conditions.keys():
            now = datetime.now(UTC)
            self._take(stream, after_while(self._book.conditions[stream], stream, now, self._alarm_after))

    def _take(self, stream: str, step: Step) -> None:
        condition, changes = step
        if self._book.conditions.get(stream) == condition:
            return
        if condition is None:
            del self._book.conditions[stream]
        else:
            self._book.conditions[stream] = condition
        for change in changes:
            self._report("probe_alert", stream=stream, kind=change.kind, reason=change.reason, detail=change.detail)
            self._announce(change)
        self._save()

    def _announce(self, change: Change) -> None:
        told = [target for target in self._targets.values() if change.kind in target.kinds]
        self._book.pending += [Pending(str(uuid4()), target.name, change) for target in told]
        del self._book.pending[:-MOST_PENDING]
        for target in told:
            self._news[target.name].set()

    async def _tell_all(self, target: Target) -> None:
        """One after the other, so that an end never comes before its beginning."""
        wait_s = self._first_wait_s
        while True:
            pending = next((item for item in self._book.pending if item.target == target.name), None)
            if pending is None:
                self._news[target.name].clear()
                await self._news[target.name].wait()
                continue
            if await self._tell(target, pending):
                self._book.pending = [item for item in self._book.pending if item is not pending]
                self._save()
                wait_s = self._first_wait_s
            else:
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, MOST_WAIT_S)

    async def _tell(self, target: Target, pending: Pending) -> bool:
        """Whether there is nothing more to be done about it."""
        try:
            await target.send(self._client, pending.id, pending.change)
        except Exception as error:  # whatever happens to a target, the others and the probes go on
            is_given_up = isinstance(error, Refused) or datetime.now(UTC) - pending.change.at > GIVEN_UP_AFTER
            said = str(error) if isinstance(error, Refused | ConnectionError) else type(error).__name__
            self._report("probe_alert_failed", target=target.name, error=said, is_given_up=is_given_up)
            return is_given_up
        return True

    def _save(self) -> None:
        if self._book.pending:
            self._all_told.clear()
        else:
            self._all_told.set()
        try:
            self._file.write(self._book)
        except OSError as error:
            self._report("probe_alert_state_failed", error=error.strerror)
