"""Lists page by page: filters, orders, and cursors that stay right while rows arrive."""

from datetime import timedelta
from itertools import count
from random import Random

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.pool import Database
from resolvers.catalog import Catalog
from resolvers.errors import InvalidArgument
from resolvers.filters import StatFilter, Window
from resolvers.listing import (
    OrchestratorFilter,
    OrchestratorOrder,
    ResultOrder,
    count_orchestrators,
    count_results,
    orchestrator_cursor,
    orchestrators_page,
    result_cursor,
    results_page,
)
from resolvers.page import PageRequest
from resolvers.recording import CheckedResult, store_results
from resolvers.results import Result
from tests.resolvers.conftest import EXAMPLES, Record
from tests.resolvers.plain import NOW, Recorded, filters, matches, records

VALUES = {"slowest": "round_trip_time", "fastest": "round_trip_time", "best": "success_rate", "worst": "success_rate"}
HOUR = timedelta(hours=1)


@EXAMPLES
@given(
    found=records,
    wanted=filters,
    order=st.sampled_from(ResultOrder),
    size=st.integers(1, 7),
    backwards=st.booleans(),
)
async def test_pages_of_results_equal_a_plain_computation(
    db: Database,
    record: Record,
    found: list[Recorded],
    wanted: StatFilter,
    order: ResultOrder,
    size: int,
    backwards: bool,
) -> None:
    await record(found)
    walked, cursor, more = [], None, True
    while more:
        page = await results_page(db.read, wanted, PageRequest(size, cursor, backwards), order)
        walked = page.items + walked if backwards else walked + page.items
        more = page.has_previous if backwards else page.has_next
        cursor = result_cursor(page.items[0 if backwards else -1], order) if page.items else cursor
    expected = sorted((one for one in found if matches(one, wanted)), key=lambda one: one.at)
    assert sorted(row.recorded_at for row in walked) == [one.at for one in expected]
    assert await count_results(db.read, wanted) == len(expected)
    name = VALUES.get(order, "recorded_at")
    positions = [(row[name], row.recorded_at, row.id) for row in walked]
    assert positions == sorted(positions, reverse=order in ("newest", "slowest", "best"))


@pytest.mark.parametrize("order", ResultOrder)
@pytest.mark.parametrize("backwards", [False, True])
async def test_no_result_comes_twice_or_is_missed_while_others_arrive(
    db: Database, connection: asyncpg.Connection, order: ResultOrder, backwards: bool
) -> None:
    random, numbers, catalog = Random(1), count(), Catalog(db, ttl_s=60)

    async def store(many: int) -> None:
        fresh = [
            Result(
                "FRA",
                f"0x{random.randrange(9)}",
                random.choice((0.0, 0.5, 1.0)),
                random.choice((1.0, 2.0, 3.0)),
                timestamp=next(numbers),
            )
            for _ in range(many)
        ]
        await store_results(db, catalog, [CheckedResult(one) for one in fresh])

    for _ in range(10):
        await store(500)
    seen: list[int] = []
    cursor, more, arriving = None, True, 1000
    while more:
        page = await results_page(db.read, StatFilter(), PageRequest(400, cursor, backwards), order)
        seen += [row.timestamp for row in page.items]
        cursor = result_cursor(page.items[0 if backwards else -1], order) if page.items else cursor
        more = page.has_previous if backwards else page.has_next
        if arriving:
            await store(100)
            arriving -= 100
    assert len(seen) == len(set(seen))
    assert set(range(5000)) <= set(seen)


ADDRESSES = ("0xa1", "0xa2", "0xb1", "0xb2", "0xc1")


@pytest.fixture
async def nodes(db: Database, connection: asyncpg.Connection) -> None:
    """Five orchestrators, first heard of an hour apart, in no order of their addresses, with a result each."""
    for number, address in enumerate(("0xb1", "0xa2", "0xc1", "0xa1", "0xb2")):
        result = Result("FRA" if number % 2 else "LAX", address, float(number > 2))
        await store_results(db, Catalog(db, ttl_s=60), [CheckedResult(result, recorded_at=NOW + number * HOUR)])
        await connection.execute(
            "UPDATE podium.orchestrators SET created_at = $2 WHERE address = $1", address, NOW + number * HOUR
        )


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (OrchestratorFilter(), ADDRESSES),
        (OrchestratorFilter(addresses=("0xA1", "0xb2", "0xzz")), ("0xa1", "0xb2")),
        (OrchestratorFilter(addresses=()), ()),
        (OrchestratorFilter(contains="XB"), ("0xb1", "0xb2")),
        (OrchestratorFilter(contains="%"), ()),
        (OrchestratorFilter(first_seen=Window(NOW + HOUR, NOW + 2 * HOUR)), ("0xa2", "0xc1")),
        (OrchestratorFilter(tested=StatFilter(regions=("fra",))), ("0xa1", "0xa2")),
        (OrchestratorFilter(tested=StatFilter(min_success_rate=0.5)), ("0xa1", "0xb2")),
        (OrchestratorFilter(tested=StatFilter(Window(NOW + 3 * HOUR)), contains="a"), ("0xa1",)),
        (OrchestratorFilter(tested=StatFilter(job_type="ai")), ()),
    ],
)
@pytest.mark.usefixtures("nodes")
async def test_orchestrators_are_filtered(db: Database, wanted: OrchestratorFilter, found: tuple[str, ...]) -> None:
    page = await orchestrators_page(db.read, wanted, PageRequest(100, None, backwards=False))
    assert tuple(row.address for row in page.items) == found
    assert await count_orchestrators(db.read, wanted) == len(found)


@pytest.mark.parametrize(
    ("order", "addresses"),
    [
        (OrchestratorOrder.FIRST_ADDRESS, ADDRESSES),
        (OrchestratorOrder.LAST_ADDRESS, ADDRESSES[::-1]),
        (OrchestratorOrder.OLDEST, ("0xb1", "0xa2", "0xc1", "0xa1", "0xb2")),
        (OrchestratorOrder.NEWEST, ("0xb2", "0xa1", "0xc1", "0xa2", "0xb1")),
    ],
)
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.usefixtures("nodes")
async def test_orchestrators_are_paged_in_their_order(
    db: Database, order: OrchestratorOrder, addresses: tuple[str, ...], backwards: bool
) -> None:
    walked, cursor, more = [], None, True
    while more:
        page = await orchestrators_page(db.read, OrchestratorFilter(), PageRequest(2, cursor, backwards), order)
        walked = page.items + walked if backwards else walked + page.items
        cursor = orchestrator_cursor(page.items[0 if backwards else -1], order)
        more = page.has_previous if backwards else page.has_next
    assert tuple(row.address for row in walked) == addresses


@pytest.mark.parametrize("cursor", [[], ["x"], [1], [1, 2, 3, 4], [1, 2, "x"], [10**30, 1, 1.0], [1, 10**30, 1.0]])
@pytest.mark.parametrize("order", [ResultOrder.SLOWEST, ResultOrder.NEWEST])
async def test_the_cursor_of_another_list_is_refused(db: Database, cursor: list[object], order: ResultOrder) -> None:
    with pytest.raises(InvalidArgument, match="no cursor of this list and order"):
        await results_page(db.read, StatFilter(), PageRequest(1, cursor, backwards=False), order)


@pytest.mark.parametrize("cursor", [[], [1], ["0x1", "x"], ["0x1", 10**30], [None]])
@pytest.mark.parametrize("order", OrchestratorOrder)
async def test_the_cursor_of_another_list_of_orchestrators_is_refused(
    db: Database, cursor: list[object], order: OrchestratorOrder
) -> None:
    with pytest.raises(InvalidArgument, match="no cursor of this list and order"):
        await orchestrators_page(db.read, OrchestratorFilter(), PageRequest(1, cursor, backwards=False), order)
