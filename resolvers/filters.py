"""Which results a question is about."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from db.pool import Runner
from db.statements import STATEMENTS
from resolvers.errors import InvalidArgument
from resolvers.results import JobType

FILTER_IDS = STATEMENTS["leaderboard.filter_ids"]

_EARLIEST = datetime.min.replace(tzinfo=UTC)
_LATEST = datetime.max.replace(tzinfo=UTC)
# What a Postgres timestamp can hold, in Unix seconds.
_MIN_UNIX_S = -210_866_803_200
_MAX_UNIX_S = 9_224_318_016_000


@dataclass(frozen=True, slots=True)
class Window:
    """Times of recording, both bounds included; None is unbounded."""

    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class StatFilter:
    """Conditions that all hold; None holds for every result, an empty tuple for none."""

    window: Window = Window()
    job_type: JobType | None = None
    orchestrators: tuple[str, ...] | None = None
    regions: tuple[str, ...] | None = None
    pipelines: tuple[str, ...] | None = None
    models: tuple[str, ...] | None = None
    min_success_rate: float | None = None
    max_success_rate: float | None = None
    min_round_trip_time: float | None = None
    max_round_trip_time: float | None = None
    error_codes: tuple[str, ...] | None = None
    model_is_warm: bool | None = None
    is_withdrawn: bool | None = False

    @property
    def is_of_whole_cells(self) -> bool:
        """Whether it asks beside the window for nothing but cells, of which it has all results that count."""
        single = replace(self, window=Window(), job_type=None, orchestrators=None, regions=None)
        return replace(single, pipelines=None, models=None) == StatFilter()

    @property
    def counted(self) -> "StatFilter":
        """The same without withdrawn results, which count nowhere."""
        return replace(self, is_withdrawn=False)

    async def parameters(self, db: Runner) -> dict[str, Any]:
        """The parameters of statements that use `{matching}`, with the ids of everything that is named."""
        return {
            "since": self.window.since,
            "until": self.window.until,
            "job_type": self.job_type,
            **await self._ids(db),
            "min_success_rate": self.min_success_rate,
            "max_success_rate": self.max_success_rate,
            "min_round_trip_time": self.min_round_trip_time,
            "max_round_trip_time": self.max_round_trip_time,
            "error_codes": self.error_codes,
            "model_is_warm": self.model_is_warm,
            "is_withdrawn": self.is_withdrawn,
        }

    def matches(self) -> Callable[[Any], bool]:
        """The same for rows that are here already, with the names that `result_columns` has: what `{matching}` says."""
        conditions = list(self._conditions())
        return lambda row: all(holds(row) for holds in conditions)

    def _conditions(self) -> Iterator[Callable[[Any], bool]]:
        yield from _in_range("recorded_at", self.window.since, self.window.until)
        yield from _in_range("success_rate", self.min_success_rate, self.max_success_rate)
        yield from _in_range("round_trip_time", self.min_round_trip_time, self.max_round_trip_time)
        if self.job_type is not None:
            yield lambda row: row["job_type"] == self.job_type
        for name, wanted in self._names().items():
            if wanted is not None:
                yield partial(_is_among, name.removesuffix("s"), frozenset(wanted))
        if self.error_codes is not None:
            yield partial(_has_error, frozenset(self.error_codes))
        if self.model_is_warm is not None:
            yield lambda row: bool(row["model_is_warm"]) == self.model_is_warm
        if self.is_withdrawn is not None:
            yield lambda row: (row["withdrawal_id"] is not None) == self.is_withdrawn

    def _names(self) -> dict[str, Sequence[str] | None]:
        return {
            "orchestrators": None if self.orchestrators is None else [name.lower() for name in self.orchestrators],
            "regions": None if self.regions is None else [code.upper() for code in self.regions],
            "pipelines": self.pipelines,
            "models": self.models,
        }

    async def _ids(self, db: Runner) -> dict[str, Any]:
        names = self._names()
        if all(wanted is None for wanted in names.values()):
            return {"orchestrator_ids": None, "region_ids": None, "model_ids": None}
        return dict((await db.fetch(FILTER_IDS, **names))[0])


def _in_range(name: str, least: Any, most: Any) -> Iterator[Callable[[Any], bool]]:
    if least is not None:
        yield lambda row: row[name] >= least
    if most is not None:
        yield lambda row: row[name] <= most


def _is_among(name: str, wanted: frozenset[str], row: Any) -> bool:
    return row[name] in wanted


def _has_error(wanted: frozenset[str], row: Any) -> bool:
    return any(error.get("error_code") in wanted for error in row["errors"] or ())


def from_unix(name: str, seconds: float) -> datetime:
    """The time of Unix seconds, which may be before 1970 and have a fraction; InvalidArgument when out of range."""
    if not _MIN_UNIX_S <= seconds < _MAX_UNIX_S:
        raise InvalidArgument(f"{name}: out of range", field=name)
    if seconds <= _EARLIEST.timestamp():
        return _EARLIEST
    if seconds >= _LATEST.timestamp():
        return _LATEST
    return datetime.fromtimestamp(0, UTC) + timedelta(seconds=seconds)
