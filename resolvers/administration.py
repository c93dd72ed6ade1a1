"""What administrators do: withdraw and restore results, register and rename regions; the audit log tells of each."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any, NamedTuple

import orjson

from db.pool import Connection, Pool, Row
from db.statements import STATEMENTS
from resolvers import listing
from resolvers.audit import entries_by_id
from resolvers.catalog import Catalog
from resolvers.errors import AlreadyExists, InvalidArgument, NotFound, TooMany
from resolvers.filters import StatFilter
from resolvers.recording import ResultKey
from resolvers.results import JobType
from resolvers.rollups import cells_of, roll_up

LOCK_WITHDRAWALS = STATEMENTS["audit.lock_withdrawals"]
WITHDRAW_MATCHING = STATEMENTS["audit.withdraw_matching"]
WITHDRAW_BY_KEY = STATEMENTS["audit.withdraw_by_key"]
RESTORE_RESULTS = STATEMENTS["audit.restore_results"]
REGISTER_REGION = STATEMENTS["audit.register_region"]
RENAME_REGION = STATEMENTS["audit.rename_region"]

MAX_IDS = 1000
MAX_WITHDRAWN = 100_000
MAX_REASON_LENGTH = 1000
MAX_CODE_LENGTH = 56
MAX_REGION_NAME_LENGTH = 128


class Deed(NamedTuple):
    """Who does something, and why; or who only wants to know what it would do."""

    actor: str
    reason: str
    is_rehearsed: bool = False


class Outcome(NamedTuple):
    """How many results were marked, or would be, and the entry of the log; None where nothing was done."""

    affected: int
    entry: Row | None = None


async def withdraw_listed(db: Pool, keys: Sequence[ResultKey | None], deed: Deed) -> Outcome:
    """Withdraw the results with these keys, all or none; NotFound has the indexes of those that are not there.

    A key of None is of no result. Results that are withdrawn already stay as they are, and are not counted.
    """
    _check_reason(deed.reason)
    if not 1 <= len(keys) <= MAX_IDS:
        raise InvalidArgument(f"ids: 1 to {MAX_IDS}, not {len(keys)}", field="ids")
    async with _withdrawing(db) as transaction:
        rows = await listing.results_by_key(transaction, [key for key in keys if key])
        standing = _standing(keys, rows)
        if deed.is_rehearsed:
            return Outcome(len(standing))
        entry = await transaction.fetchrow(
            WITHDRAW_BY_KEY,
            orchestrators=[key.orchestrator for key in standing],
            recorded_ats=[key.recorded_at for key in standing],
            ids=[key.id for key in standing],
            actor=deed.actor,
            reason=deed.reason,
            details=orjson.dumps({"ids": len(keys)}),
        )
        return await _rolled_up(transaction, entry)


async def withdraw_matching(db: Pool, wanted: StatFilter, deed: Deed) -> Outcome:
    """Withdraw the results that match; TooMany when they are more than `MAX_WITHDRAWN`."""
    _check_reason(deed.reason)
    _check_filter(wanted)
    async with _withdrawing(db) as transaction:
        affected = await listing.count_results(transaction, wanted)
        if affected > MAX_WITHDRAWN:
            message = f"filter: it matches {affected} results, and at most {MAX_WITHDRAWN} can be withdrawn at once"
            raise TooMany(message, hint="narrow the window, and withdraw part by part", field="filter")
        if deed.is_rehearsed:
            return Outcome(affected)
        entry = await transaction.fetchrow(
            WITHDRAW_MATCHING,
            **await wanted.parameters(transaction),
            actor=deed.actor,
            reason=deed.reason,
            details=orjson.dumps({"filter": _conditions(wanted)}),
        )
        return await _rolled_up(transaction, entry)


async def restore(db: Pool, withdrawal_id: int, deed: Deed) -> Outcome:
    """Undo one withdrawal; NotFound when the log has none with this id. What is restored already is not counted."""
    _check_reason(deed.reason)
    async with _withdrawing(db) as transaction:
        (withdrawal,) = await entries_by_id(transaction, [withdrawal_id])
        if withdrawal is None or withdrawal.action != "withdraw_stats":
            raise NotFound("withdrawal: there is no such withdrawal", field="withdrawal")
        entry = await transaction.fetchrow(
            RESTORE_RESULTS,
            withdrawal_id=withdrawal_id,
            actor=deed.actor,
            reason=deed.reason,
            details=orjson.dumps({"withdrawal_id": withdrawal_id}),
        )
        return await _rolled_up(transaction, entry)


async def register_region(db: Pool, catalog: Catalog, *, code: str, job_type: JobType, name: str, actor: str) -> Row:
    """Add a region (id, code, job_type, name, created_at), with its code in upper case; AlreadyExists when it is there.

    This gateway's `catalog` knows it at once.
    """
    code = _region_code(code)
    _check_text("name", name, MAX_REGION_NAME_LENGTH)
    region = await db.fetchrow(REGISTER_REGION, code=code, job_type=job_type, name=name, actor=actor)
    catalog.forget_regions()
    if region is None:
        raise AlreadyExists(f"code: {code} is registered for {job_type} jobs already", field="code")
    return region


async def rename_region(db: Pool, catalog: Catalog, *, code: str, job_type: JobType, name: str, actor: str) -> Row:
    """Give a region another name, which is not logged when it is the same; NotFound when there is no such region."""
    code = _region_code(code)
    _check_text("name", name, MAX_REGION_NAME_LENGTH)
    region = await db.fetchrow(RENAME_REGION, code=code, job_type=job_type, name=name, actor=actor)
    catalog.forget_regions()
    if region is None:
        raise NotFound(f"code: {code} is not registered for {job_type} jobs", field="code")
    return region


@asynccontextmanager
async def _withdrawing(db: Pool) -> AsyncIterator[Connection]:
    async with db.transaction() as transaction:
        await transaction.fetchval(LOCK_WITHDRAWALS)
        yield transaction


async def _rolled_up(transaction: Connection, entry: Row | None) -> Outcome:
    if entry is None:
        return Outcome(0)
    await roll_up(transaction, cells_of(entry))
    return Outcome(entry.affected, entry)


def _standing(keys: Sequence[ResultKey | None], rows: Sequence[Row]) -> list[ResultKey]:
    """The keys of those that are not withdrawn; all of them must be there."""
    found = {ResultKey(row.orchestrator, row.recorded_at, row.id): row for row in rows}
    missing = tuple(index for index, key in enumerate(keys) if key not in found)
    if missing:
        raise NotFound("ids: there is no such result", field="ids", indexes=missing)
    return [key for key, row in found.items() if row.withdrawal_id is None]


def _check_filter(wanted: StatFilter) -> None:
    if wanted.window.since is None:
        raise InvalidArgument("filter: during must have since or last", field="filter.during")
    if wanted.is_withdrawn is not False:
        raise InvalidArgument("filter: withdrawn results stay as they are", field="filter.withdrawn")
    if set(_conditions(wanted)) <= {"since", "until"}:
        raise InvalidArgument("filter: it must have a condition beside during", field="filter")


def _conditions(wanted: StatFilter) -> dict[str, Any]:
    """The conditions that a filter has, by name; times are absolute."""
    given = {**asdict(wanted.window), **asdict(wanted)}
    return {
        name: value for name, value in given.items() if value is not None and name not in ("window", "is_withdrawn")
    }


def _region_code(code: str) -> str:
    code = code.upper()
    _check_text("code", code, MAX_CODE_LENGTH)
    return code


def _check_text(name: str, text: str, limit: int) -> None:
    # What cannot be seen would let two regions look the same.
    if not 1 <= len(text) <= limit or text != text.strip() or not text.isprintable():
        message = f"{name}: 1 to {limit} visible characters, without white space at the ends"
        raise InvalidArgument(message, field=name)


def _check_reason(reason: str) -> None:
    if not reason.strip() or "\0" in reason or len(reason) > MAX_REASON_LENGTH:
        message = f"reason: 1 to {MAX_REASON_LENGTH} characters, not only white space, and no NUL"
        raise InvalidArgument(message, field="reason")
