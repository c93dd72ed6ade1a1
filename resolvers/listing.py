"""Single results and orchestrators, page by page: orders, and the cursors that go with them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from db.pool import Row, Runner
from db.statements import STATEMENTS
from resolvers.filters import StatFilter, Window
from resolvers.page import MAX_ID, Page, PageRequest, page_of, to_micros
from resolvers.recording import ResultKey

RESULTS = STATEMENTS["results.results"]
RESULTS_BY_KEY = STATEMENTS["results.results_by_key"]
COUNT_RESULTS = STATEMENTS["results.count_results"]
ORCHESTRATORS = STATEMENTS["catalog.orchestrators_page"]
COUNT_ORCHESTRATORS = STATEMENTS["catalog.count_orchestrators"]
ORCHESTRATORS_BY_ADDRESS = STATEMENTS["catalog.orchestrators_by_address"]


class ResultOrder(StrEnum):
    """How single results are ordered; equal ones follow the time they were recorded at."""

    NEWEST = "newest"
    OLDEST = "oldest"
    SLOWEST = "slowest"
    FASTEST = "fastest"
    BEST = "best"
    WORST = "worst"


class OrchestratorOrder(StrEnum):
    """How orchestrators are ordered: by address, or by when podium first heard of them."""

    FIRST_ADDRESS = "first_address"
    LAST_ADDRESS = "last_address"
    NEWEST = "newest"
    OLDEST = "oldest"


_PAIRS: list[tuple[StrEnum, StrEnum]] = [
    (ResultOrder.NEWEST, ResultOrder.OLDEST),
    (ResultOrder.SLOWEST, ResultOrder.FASTEST),
    (ResultOrder.BEST, ResultOrder.WORST),
    (OrchestratorOrder.FIRST_ADDRESS, OrchestratorOrder.LAST_ADDRESS),
    (OrchestratorOrder.NEWEST, OrchestratorOrder.OLDEST),
]
_OPPOSITE = dict(_PAIRS) | {second: first for first, second in _PAIRS}
_VALUES = {
    **dict.fromkeys((ResultOrder.SLOWEST, ResultOrder.FASTEST), "round_trip_time"),
    **dict.fromkeys((ResultOrder.BEST, ResultOrder.WORST), "success_rate"),
}


@dataclass(frozen=True, slots=True)
class OrchestratorFilter:
    """Conditions that all hold; None holds for every orchestrator. `tested` wants a matching result."""

    addresses: tuple[str, ...] | None = None
    contains: str | None = None
    first_seen: Window | None = None
    tested: StatFilter | None = None

    async def parameters(self, db: Runner) -> dict[str, Any]:
        """The parameters of statements that use `{matching_orchestrators}`."""
        window = self.first_seen or Window()
        return {
            **await (self.tested or StatFilter()).counted.parameters(db),
            "addresses": None if self.addresses is None else [address.lower() for address in self.addresses],
            "contains": None if self.contains is None else self.contains.lower(),
            "seen_since": window.since,
            "seen_until": window.until,
            "is_tested": self.tested is not None,
        }


async def all_results(db: Runner, wanted: StatFilter) -> list[Row]:
    """Every matching result, newest first."""
    position = _result_position(PageRequest(0, None, backwards=False), ResultOrder.NEWEST)
    statement = RESULTS.pick(page=ResultOrder.NEWEST)
    return await db.fetch(statement, **await wanted.parameters(db), **position, limit=None)


async def results_page(
    db: Runner,
    wanted: StatFilter,
    request: PageRequest,
    order: ResultOrder = ResultOrder.NEWEST,
    columns: Collection[str] | None = None,
) -> Page[Row]:
    """A page of matching results in an order; of the optional parts of the statement those that are named, or all."""
    rows = await db.fetch(
        RESULTS.pick(columns, page=_direction(order, request)),
        **await wanted.parameters(db),
        **_result_position(request, order),
        limit=request.size + 1,
    )
    return page_of(rows, request)


def result_cursor(row: Row, order: ResultOrder = ResultOrder.NEWEST) -> list[Any]:
    """Where a result stands in an order: its time in microseconds, its id, and the value that is ordered by."""
    position = [to_micros(row.recorded_at), row.id]
    return [*position, row[_VALUES[order]]] if order in _VALUES else position


async def count_results(db: Runner, wanted: StatFilter) -> int:
    """How many results match."""
    return int(await db.fetchval(COUNT_RESULTS, **await wanted.parameters(db)))


async def results_by_key(db: Runner, keys: Sequence[ResultKey]) -> list[Row]:
    """The results with these keys, in their order; those that are gone are left out."""
    return await db.fetch(
        RESULTS_BY_KEY,
        orchestrators=[key.orchestrator for key in keys],
        recorded_ats=[key.recorded_at for key in keys],
        ids=[key.id for key in keys],
    )


async def orchestrators_page(
    db: Runner,
    wanted: OrchestratorFilter,
    request: PageRequest,
    order: OrchestratorOrder = OrchestratorOrder.FIRST_ADDRESS,
) -> Page[Row]:
    """A page of orchestrators (id, address, created_at) in an order."""
    rows = await db.fetch(
        ORCHESTRATORS.pick(orchestrators=_direction(order, request)),
        **await wanted.parameters(db),
        **_orchestrator_position(request, order),
        limit=request.size + 1,
    )
    return page_of(rows, request)


def orchestrator_cursor(row: Row, order: OrchestratorOrder = OrchestratorOrder.FIRST_ADDRESS) -> list[Any]:
    """Where an orchestrator stands in an order: its address, and the time in microseconds that is ordered by."""
    return [row.address, to_micros(row.created_at)] if _is_by_time(order) else [row.address]


async def count_orchestrators(db: Runner, wanted: OrchestratorFilter) -> int:
    """How many orchestrators match."""
    return int(await db.fetchval(COUNT_ORCHESTRATORS, **await wanted.parameters(db)))


async def orchestrators_by_address(db: Runner, addresses: list[str]) -> list[Row | None]:
    """The orchestrators of these addresses, in their order; None for an unknown one."""
    wanted = [address.lower() for address in addresses]
    found = {row.address: row for row in await db.fetch(ORCHESTRATORS_BY_ADDRESS, addresses=wanted)}
    return [found.get(address) for address in wanted]


def _direction(order: StrEnum, request: PageRequest) -> str:
    return _OPPOSITE[order] if request.backwards else order


def _result_position(request: PageRequest, order: ResultOrder) -> dict[str, Any]:
    match request.cursor:
        case None:
            return {"cursor_at": None, "cursor_id": None, "cursor_value": None}
        case [int(micros), int(id_)] if order not in _VALUES and abs(id_) < MAX_ID:
            return {"cursor_at": request.time(micros), "cursor_id": id_, "cursor_value": None}
        case [int(micros), int(id_), int() | float() as value] if order in _VALUES and abs(id_) < MAX_ID:
            return {"cursor_at": request.time(micros), "cursor_id": id_, "cursor_value": float(value)}
        case _:
            raise request.foreign_cursor()


def _orchestrator_position(request: PageRequest, order: OrchestratorOrder) -> dict[str, Any]:
    match request.cursor:
        case None:
            return {"cursor_address": None, "cursor_at": None}
        case [str(address)] if not _is_by_time(order):
            return {"cursor_address": address, "cursor_at": None}
        case [str(address), int(micros)] if _is_by_time(order):
            return {"cursor_address": address, "cursor_at": request.time(micros)}
        case _:
            raise request.foreign_cursor()


def _is_by_time(order: OrchestratorOrder) -> bool:
    return order in (OrchestratorOrder.NEWEST, OrchestratorOrder.OLDEST)
