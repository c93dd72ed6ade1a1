"""Roll-ups: which part of a window they answer and which part single results, how they are built, and whether they are
right.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from db.pool import Connection, Database, Row, Runner
from db.statements import STATEMENTS
from resolvers.filters import StatFilter, Window

STATE = STATEMENTS["rollups.state"]
HOLD_RESULTS_SINCE = STATEMENTS["rollups.hold_results_since"]
SET_COMPLETE_SINCE = STATEMENTS["rollups.set_complete_since"]
LOCK_DAY = STATEMENTS["rollups.lock_day"]
FORGET_HOUR = STATEMENTS["rollups.forget_hour"]
SUM_HOUR = STATEMENTS["rollups.sum_hour"]
FORGET_DAY = STATEMENTS["rollups.forget_day"]
SUM_DAY = STATEMENTS["rollups.sum_day"]
FORGET_CELLS_OF_HOURS = STATEMENTS["rollups.forget_cells_of_hours"]
SUM_CELLS_OF_HOURS = STATEMENTS["rollups.sum_cells_of_hours"]
FORGET_CELLS_OF_DAY = STATEMENTS["rollups.forget_cells_of_day"]
SUM_CELLS_OF_DAY = STATEMENTS["rollups.sum_cells_of_day"]
ANNOUNCE = STATEMENTS["rollups.announce"]
HOURS = STATEMENTS["rollups.hours"]
LATEST_BEFORE = STATEMENTS["rollups.latest_before"]
CHECK_DAY = STATEMENTS["rollups.check_day"]

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
EVER = datetime.min.replace(tzinfo=UTC)
_END = datetime.max.replace(tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_hour_of = attrgetter("hour")


class State(NamedTuple):
    """Since when there are roll-ups of all results: `EVER` but while they are being built, None before that begins; and
    since when there are single results, None is since ever.
    """

    complete_since: datetime | None
    results_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Parts:
    """Where each part of a window is read, along time: results until `hours_since`, hourly roll-ups until `days_since`,
    daily ones until `days_until`, hourly ones until `hours_until`, results.

    `names` are those beside the first; with none of them, all is read from results. None is open. Where the window
    begins before `results_since`, the part `gone` of it is that from `gone_since` to `gone_until`.
    """

    names: frozenset[str] = frozenset()
    hours_since: datetime | None = None
    days_since: datetime | None = None
    days_until: datetime | None = None
    hours_until: datetime | None = None
    results_since: datetime | None = None
    gone_since: datetime | None = None
    gone_until: datetime | None = None

    @property
    def parameters(self) -> dict[str, datetime | None]:
        """Those of statements that have parts."""
        return {
            "hours_since": self.hours_since,
            "days_since": self.days_since,
            "days_until": self.days_until,
            "hours_until": self.hours_until,
        }

    @property
    def gone(self) -> dict[str, datetime | None]:
        """Those of statements that need single values."""
        return {"results_since": self.results_since, "gone_since": self.gone_since, "gone_until": self.gone_until}


async def parts_of(db: Runner, wanted: StatFilter, starts: Sequence[datetime] | None = None) -> Parts:
    """The parts of a question's window; `starts` are those of its buckets of time, which no part may straddle."""
    return cut(wanted.window, starts or (), await read_state(db)) if wanted.is_of_whole_cells else Parts()


async def read_state(db: Runner) -> State:
    """What there is."""
    (row,) = await db.fetch(STATE)
    return State(row.complete_since, row.results_since)


def widened(window: Window, results_since: datetime | None) -> Window:
    """The window that is answered for: where results are gone, it begins and ends with whole hours."""
    since, until = window.since, window.until
    if results_since is None or (since and until and until < since):
        return window
    if since is not None and since < results_since:
        since = _floor(since, HOUR)
    if until is not None and until < results_since:
        until = _ceil(until + _MICROSECOND, HOUR) - _MICROSECOND
    return Window(since, until)


def cut(window: Window, starts: Sequence[datetime], state: State) -> Parts:
    """A window in as large parts as its bounds, its buckets and the roll-ups that there are allow.

    Where results are gone, hours are in the bucket of time in which they begin.
    """
    if state.complete_since is None:
        return Parts()
    try:
        window = widened(window, state.results_since)
        since, until = window.since or EVER, _end_of(window)
        parts = _parts(since, until, starts, state.complete_since)
    except OverflowError:  # at the end of time
        return Parts()
    if state.results_since is None or since >= state.results_since:
        return parts
    end = state.results_since if until is None else min(until, state.results_since)
    if not parts.names:
        parts = Parts(frozenset({"first_hours", "last_results"}), since, end, None, end)
    gone = {"results_since": state.results_since, "gone_since": since, "gone_until": end}
    return replace(parts, names=parts.names | {"gone"}, **gone)


def _end_of(window: Window) -> datetime | None:
    return None if window.until is None or window.until >= _END else window.until + _MICROSECOND


def _parts(since: datetime, until: datetime | None, starts: Sequence[datetime], complete_since: datetime) -> Parts:
    if not all(_is_whole(start, HOUR) for start in starts):
        return Parts()
    first, last = max(_ceil(since, HOUR), complete_since), None if until is None else _floor(until, HOUR)
    first_day, last_day = _ceil(first, DAY), None if last is None else _floor(last, DAY)
    if last is not None and first >= last:
        return Parts()
    names = {"last_results"} if last is not None else set()
    if (last_day is not None and first_day >= last_day) or not all(_is_whole(start, DAY) for start in starts):
        return Parts(frozenset({"first_hours", *names}), first, last, None, last)
    names |= {"days"} | ({"first_hours"} if first < first_day else set())
    names |= {"last_hours"} if last_day is not None and last is not None and last_day < last else set()
    return Parts(frozenset(names), first, first_day, last_day, last)


class Cell(NamedTuple):
    """One row of the hourly roll-ups."""

    hour: datetime
    orchestrator_id: int
    region_id: int
    model_id: int | None


def cells_of(entry: Row) -> list[Cell]:
    """Those of the results that an entry of the audit log marked."""
    columns = (entry.hours, entry.orchestrator_ids, entry.region_ids, entry.model_ids)
    return list(map(Cell._make, zip(*columns, strict=True)))


async def roll_up(connection: Connection, cells: Sequence[Cell]) -> None:
    """Roll cells and their days up anew, in a transaction of the caller's.

    Day by day, the last one last: whoever stores results of a day waits from its turn on, and most are posted just now.
    """
    for day, of_day in groupby(sorted(cells, key=_hour_of), key=lambda cell: _floor(cell.hour, DAY)):
        await connection.fetchval(LOCK_DAY, day=day)
        await _roll_up_cells(connection, day, list(of_day))


async def rebuild_day(db: Database, day: datetime) -> None:
    """Roll a day up anew, hour by hour, so that nobody who stores results waits for long; one that is gone is left."""
    for row in await db.write.fetch(HOURS, since=day):
        async with db.write.transaction() as transaction:
            if (await transaction.fetchval(HOLD_RESULTS_SINCE) or EVER) > day:
                return
            await transaction.fetchval(LOCK_DAY, day=day)
            await transaction.fetch(FORGET_HOUR, hour=row.hour)
            await transaction.fetch(SUM_HOUR, hour=row.hour)
    async with db.write.transaction() as transaction:
        await transaction.fetchval(LOCK_DAY, day=day)
        await transaction.fetch(FORGET_DAY, day=day)
        await transaction.fetch(SUM_DAY, day=day)
        await transaction.fetchval(ANNOUNCE)


async def build(db: Database, report: Callable[..., None]) -> None:
    """Roll up whatever was never rolled up, day by day from the last; what was interrupted goes on where it was."""
    since = (await read_state(db.write)).complete_since
    while since != EVER:
        day = await _day_before(db.write, since or _END)
        if day is not None:
            await rebuild_day(db, day)
        since = day or EVER
        await db.write.fetch(SET_COMPLETE_SINCE, time=since)
        report("rollups_built", since=since)


async def rebuild(db: Database, window: Window, report: Callable[..., None]) -> int:
    """Roll all days of a window up anew, from the last to the first; how many there were. Of all days, nothing is left
    to build.
    """
    count = 0
    async for day in days(db.write, window):
        await rebuild_day(db, day)
        count += 1
        report("rollups_rebuilt", day=day)
    if window == Window():
        await db.write.fetch(SET_COMPLETE_SINCE, time=EVER)
    return count


@dataclass(frozen=True, slots=True)
class CheckedDay:
    """A day whose roll-ups were compared with its results: how many cells of its hours and of itself are wrong."""

    day: datetime
    wrong_cells: int


async def check(db: Runner, window: Window) -> AsyncIterator[CheckedDay]:
    """The days of a window, compared one by one, from the last to the first."""
    async for day in days(db, window):
        yield CheckedDay(day, await db.fetchval(CHECK_DAY, since=day))


async def repair(db: Database, report: Callable[..., None], window: Window | None = None) -> None:
    """Roll those days anew up that are not what their results come to, among the last two where no window is given."""
    async for checked in check(db.write, window or Window(since=datetime.now(UTC) - DAY)):
        if checked.wrong_cells:
            await rebuild_day(db, checked.day)
            report("rollups_repaired", day=checked.day, wrong_cells=checked.wrong_cells)


async def days(db: Runner, window: Window) -> AsyncIterator[datetime]:
    """The days that a window touches and that have results or roll-ups, from the last to the first.

    Those whose results are gone are no more among them.
    """
    until = min(window.until or _END, _END - _MICROSECOND) + _MICROSECOND
    while (day := await _day_before(db, until)) is not None:
        results_since = (await read_state(db)).results_since  # which moves on while others are looked at
        if day + (DAY - _MICROSECOND) < max(window.since or EVER, results_since or EVER):
            return
        yield day
        until = day


async def _roll_up_cells(connection: Connection, day: datetime, cells: Sequence[Cell]) -> None:
    names = ("orchestrator_ids", "region_ids", "model_ids")
    hours = dict(zip(("hours", *names), zip(*cells, strict=True), strict=True))
    await connection.fetch(FORGET_CELLS_OF_HOURS, **hours)
    await connection.fetch(SUM_CELLS_OF_HOURS, **hours, day=day)
    of_day = dict(zip(names, zip(*{cell[1:] for cell in cells}, strict=True), strict=True))
    await connection.fetch(FORGET_CELLS_OF_DAY, **of_day, day=day)
    await connection.fetch(SUM_CELLS_OF_DAY, **of_day, day=day)


async def _day_before(db: Runner, time: datetime) -> datetime | None:
    latest = await db.fetchval(LATEST_BEFORE, time=time)
    return None if latest is None else _floor(latest, DAY)


def _floor(time: datetime, bucket: timedelta) -> datetime:
    return time - (time - EVER) % bucket


def _ceil(time: datetime, bucket: timedelta) -> datetime:
    return time + (EVER - time) % bucket


def _is_whole(time: datetime, bucket: timedelta) -> bool:
    return not (time - EVER) % bucket
