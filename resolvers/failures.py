"""Why results failed: error codes and counts per group."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from db.pool import Row, Runner
from db.statements import STATEMENTS
from resolvers.aggregation import Dimension, GroupKey, by_dimension, comparable, key_of
from resolvers.filters import StatFilter

FAILURES = STATEMENTS["leaderboard.failures"]
FAILURE_CODES = STATEMENTS["leaderboard.failure_codes"]


@dataclass(frozen=True, slots=True)
class FailureCode:
    """An error code of a group: in how many failed results, how often, and when last; None stands for no code.

    `share` is the fraction of the group's failed results that have it.
    """

    error_code: str | None
    results: int
    count: int
    share: float
    last_at: datetime


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """A group with failed results, the most frequent code first; `share` is the fraction of results that failed."""

    key: GroupKey
    samples: int
    failures: int
    share: float
    last_at: datetime
    codes: list[FailureCode]


async def failures(db: Runner, wanted: StatFilter, group_by: tuple[Dimension, ...]) -> list[FailureGroup]:
    """The groups that have failed results, the one with the most first.

    A result fails when its success rate is below 1, or when it names an error.
    """
    parameters = await wanted.counted.parameters(db) | by_dimension(group_by)
    codes: dict[GroupKey, list[Row]] = defaultdict(list)
    for row in await db.fetch(FAILURE_CODES, **parameters):
        codes[key_of(row)].append(row)
    groups = [_group(row, codes[key_of(row)]) for row in await db.fetch(FAILURES, **parameters)]
    return sorted(groups, key=lambda group: (-group.failures, comparable(group.key, group_by)))


def _group(row: Row, codes: list[Row]) -> FailureGroup:
    found = [
        FailureCode(code.error_code, code.results, code.count, code.results / row.failures, code.last_at)
        for code in codes
    ]
    return FailureGroup(
        key=key_of(row),
        samples=row.samples,
        failures=row.failures,
        share=row.failures / row.samples,
        last_at=row.last_at,
        codes=sorted(found, key=lambda code: (-code.results, code.error_code or "")),
    )
