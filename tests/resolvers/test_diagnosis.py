"""Failures and coverage, against a plain computation."""

from collections import Counter, defaultdict
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.pool import Database
from resolvers.aggregation import Dimension
from resolvers.coverage import CoverageStatus, coverage
from resolvers.failures import failures
from resolvers.filters import StatFilter, Window
from resolvers.results import JobError, Result
from tests.resolvers.conftest import EXAMPLES, Record
from tests.resolvers.plain import NOW, Recorded, filters, key, matches, records

DAY = timedelta(days=1)
groupings = st.lists(st.sampled_from(Dimension), max_size=3, unique=True).map(tuple)


def codes_of(result: Result) -> Counter[str | None]:
    """How often each code happened; one failure without any code counts once."""
    counted: Counter[str | None] = Counter()
    for error in result.errors or [JobError(count=1)]:
        assert isinstance(error, JobError)
        counted[error.error_code or None] += error.count or 0
    return counted


@EXAMPLES
@given(found=records, wanted=filters, group_by=groupings)
async def test_failures_equal_a_plain_computation(
    db: Database, record: Record, found: list[Recorded], wanted: StatFilter, group_by: tuple[Dimension, ...]
) -> None:
    await record(found)
    samples: Counter[tuple[str | None, ...]] = Counter()
    failed: dict[tuple[str | None, ...], list[Recorded]] = defaultdict(list)
    for one in found:
        if matches(one, wanted):
            samples[key(one.result, group_by)] += 1
            if one.result.success_rate < 1 or one.result.errors:
                failed[key(one.result, group_by)].append(one)
    answer = await failures(db.read, wanted, group_by)
    assert {tuple(group.key) for group in answer} == set(failed)
    assert [group.failures for group in answer] == sorted((len(found) for found in failed.values()), reverse=True)
    for group in answer:
        members = failed[tuple(group.key)]
        assert (group.samples, group.failures) == (samples[tuple(group.key)], len(members))
        assert group.share == len(members) / group.samples
        assert group.last_at == max(one.at for one in members)
        expected: dict[str | None, list[tuple[int, datetime]]] = defaultdict(list)
        for one in members:
            for code, count in codes_of(one.result).items():
                expected[code].append((count, one.at))
        assert {code.error_code: (code.results, code.count, code.share, code.last_at) for code in group.codes} == {
            code: (len(hits), sum(n for n, _ in hits), len(hits) / len(members), max(at for _, at in hits))
            for code, hits in expected.items()
        }
        assert [code.results for code in group.codes] == sorted((code.results for code in group.codes), reverse=True)


@EXAMPLES
@given(found=records, days=st.integers(0, 4), orchestrator=st.sampled_from((None, "0xA", "0xunknown")))
async def test_coverage_equals_a_plain_computation(
    db: Database, record: Record, found: list[Recorded], days: int, orchestrator: str | None
) -> None:
    await record(found)
    since = NOW - days * DAY

    def kind(one: Recorded) -> tuple[str, str, str | None, str | None]:
        result = one.result
        return result.region, result.job_type, result.pipeline or None, result.model or None

    expected: dict[str, dict[object, tuple[CoverageStatus, int, datetime | None]]] = {}
    for address in {one.result.orchestrator for one in found} if orchestrator is None else {orchestrator.lower()}:
        own = [one for one in found if one.result.orchestrator == address]
        kinds = {kind(one) for one in found if one.at >= since} | {kind(one) for one in own}
        expected[address] = {}
        for one_kind in kinds:
            ever = [one for one in own if kind(one) == one_kind]
            lately = [one for one in ever if one.at >= since]
            status = CoverageStatus.NOT_LATELY if ever else CoverageStatus.NEVER
            if lately:
                good = any(one.result.success_rate for one in lately)
                status = CoverageStatus.SCORED if good else CoverageStatus.FAILING
            last_at = max((one.at for one in ever), default=None)
            expected[address][one_kind] = (status, len(lately), last_at)
    answer = await coverage(db.read, orchestrator, Window(since), NOW, limit=100)
    got = {
        one.orchestrator: {
            (c.region, c.job_type, c.pipeline, c.model): (c.status, c.samples, c.last_at) for c in one.cells
        }
        for one in answer
    }
    assert {address: cells for address, cells in got.items() if address in expected} == {
        address: cells for address, cells in expected.items() if cells or orchestrator
    }


@pytest.mark.parametrize(("limit", "addresses"), [(1, ["0xa"]), (5, ["0xa", "0xb"])])
async def test_coverage_has_the_first_orchestrators_by_address(
    db: Database, record: Record, limit: int, addresses: list[str]
) -> None:
    await record([Recorded(Result("FRA", address), NOW) for address in ("0xb", "0xa")])
    answer = await coverage(db.read, None, Window(NOW - DAY), NOW, limit)
    assert [one.orchestrator for one in answer] == addresses
