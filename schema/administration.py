"""What administrators do through the graph: withdraw and restore results, register and rename regions."""

from collections.abc import Sequence
from enum import Enum
from typing import Annotated, Any

import strawberry
from strawberry import Info

from resolvers import administration
from resolvers.administration import MAX_IDS, MAX_WITHDRAWN, Deed, Outcome
from resolvers.audit import MAX_ENTRY_ID
from resolvers.errors import (
    AlreadyExists,
    InvalidArgument,
    NotFound,
    PodiumError,
    RateLimited,
    StreamLimitReached,
    TooMany,
)
from resolvers.filters import Window
from resolvers.recording import ResultKey
from schema.audit import AuditEntry
from schema.context import Context, context_of
from schema.inputs import StatFilter, result_filter
from schema.leaderboard import Region
from schema.node import from_global_id
from schema.permissions import ADMIN
from schema.results import stat_key
from schema.scalars import JobType

EXPECTED = (InvalidArgument, NotFound, AlreadyExists, TooMany)

Code = Annotated[str, strawberry.argument(description="The code, 1 to 56 characters; kept in upper case.")]
Name = Annotated[str, strawberry.argument(description="The name for people, 1 to 128 characters.")]
Kind = Annotated[JobType, strawberry.argument(description="The kind of job that is tested from there.")]
Reason = Annotated[str, strawberry.argument(description="Why, 1 to 1,000 characters; everybody can read it.")]


@strawberry.enum(description="Why a mutation did nothing.")
class MutationErrorCode(Enum):
    INVALID_ARGUMENT = strawberry.enum_value(InvalidArgument.code, description="An argument cannot be.")
    NOT_FOUND = strawberry.enum_value(NotFound.code, description="What an argument names is not there.")
    ALREADY_EXISTS = strawberry.enum_value(AlreadyExists.code, description="What was to be added is there already.")
    TOO_MANY = strawberry.enum_value(TooMany.code, description="It is about more results than one request may change.")
    STREAM_LIMIT_REACHED = strawberry.enum_value(
        StreamLimitReached.code, description="The viewer watches as many streams as it may."
    )
    RATE_LIMITED = strawberry.enum_value(RateLimited.code, description="You do it too often; `hint` says when to try.")


@strawberry.type(description="Why a mutation did nothing.")
class MutationError:
    code: MutationErrorCode = strawberry.field(description="A stable code.")
    message: str = strawberry.field(description="What is wrong, for people.")
    hint: str | None = strawberry.field(description="What to do, for people.")
    field: str | None = strawberry.field(description="Which argument; `filter.during` is a field of one.")
    index: int | None = strawberry.field(description="Which item of the argument, counted from 0, if it is a list.")


@strawberry.type(description="The region that was registered, or why none was.")
class RegisterRegionPayload:
    region: Region | None = strawberry.field(description="The region; null when there are errors.")
    errors: list[MutationError] = strawberry.field(description="Why nothing was done; empty when all is well.")


@strawberry.type(description="The region with its name, or why it was not renamed.")
class RenameRegionPayload:
    region: Region | None = strawberry.field(description="The region; null when there are errors.")
    errors: list[MutationError] = strawberry.field(description="Why nothing was done; empty when all is well.")


@strawberry.type(description="What was withdrawn: all that was asked for, or nothing and there are errors.")
class WithdrawStatsPayload:
    withdrawn: int = strawberry.field(description="How many results count no more, or would after a dry run.")
    entry: AuditEntry | None = strawberry.field(
        description="The log's entry, which names this withdrawal; null when nothing was withdrawn."
    )
    errors: list[MutationError] = strawberry.field(description="Why nothing was done; empty when all is well.")


@strawberry.type(description="What was restored, or why nothing was.")
class RestoreStatsPayload:
    restored: int = strawberry.field(description="How many results count again.")
    entry: AuditEntry | None = strawberry.field(description="The log's entry; null when nothing was restored.")
    errors: list[MutationError] = strawberry.field(description="Why nothing was done; empty when all is well.")


@strawberry.type
class AdministrationMutation:
    @strawberry.mutation(extensions=[ADMIN], description="Adds a place that tests run from, for one kind of job.")
    async def register_region(self, info: Info, code: Code, name: Name, job_type: Kind) -> RegisterRegionPayload:
        try:
            region: Any = await administration.register_region(**_region(context_of(info), code, name, job_type))
        except EXPECTED as error:
            return RegisterRegionPayload(region=None, errors=mutation_errors(error))
        return RegisterRegionPayload(region=region, errors=[])

    @strawberry.mutation(extensions=[ADMIN], description="Gives a region another name; its code stays.")
    async def rename_region(self, info: Info, code: Code, job_type: Kind, name: Name) -> RenameRegionPayload:
        try:
            region: Any = await administration.rename_region(**_region(context_of(info), code, name, job_type))
        except EXPECTED as error:
            return RenameRegionPayload(region=None, errors=mutation_errors(error))
        return RenameRegionPayload(region=region, errors=[])

    @strawberry.mutation(
        extensions=[ADMIN],
        description="Withdraws wrong results, by either their ids or a filter: they are kept, and are in no aggregate, "
        "no score and none of the old URLs any more. `stats` shows them where it is asked to.",
    )
    async def withdraw_stats(
        self,
        info: Info,
        reason: Reason,
        ids: Annotated[
            list[strawberry.ID] | None,
            strawberry.argument(description=f"Ids of results, at most {MAX_IDS:,}; all of them must be there."),
        ] = None,
        filter: Annotated[
            StatFilter | None,
            strawberry.argument(
                description=f"Which results, at most {MAX_WITHDRAWN:,}: it must have `during` with a start, and a "
                "further condition."
            ),
        ] = None,
        dry_run: Annotated[bool, strawberry.argument(description="Only count what would be withdrawn.")] = False,
    ) -> WithdrawStatsPayload:
        context = context_of(info)
        try:
            done = await _withdraw(context, ids, filter, Deed(context.actor, reason, is_rehearsed=dry_run))
        except EXPECTED as error:
            return WithdrawStatsPayload(withdrawn=0, entry=None, errors=mutation_errors(error))
        return WithdrawStatsPayload(withdrawn=done.affected, entry=_entry(done), errors=[])

    @strawberry.mutation(
        extensions=[ADMIN], description="Undoes a withdrawal: all results that it withdrew count again."
    )
    async def restore_stats(
        self,
        info: Info,
        withdrawal: Annotated[strawberry.ID, strawberry.argument(description="The id of the withdrawal's entry.")],
        reason: Reason,
    ) -> RestoreStatsPayload:
        context = context_of(info)
        try:
            id_ = _withdrawal_id(withdrawal)
            done = await administration.restore(context.backend.write_db, id_, Deed(context.actor, reason))
        except EXPECTED as error:
            return RestoreStatsPayload(restored=0, entry=None, errors=mutation_errors(error))
        return RestoreStatsPayload(restored=done.affected, entry=_entry(done), errors=[])


def mutation_errors(error: PodiumError) -> list[MutationError]:
    """An expected failure as the graph shows it, once for each item that it is about."""
    indexes: Sequence[int | None] = (error.indexes if isinstance(error, NotFound) else ()) or (None,)
    code = MutationErrorCode(error.code)
    return [
        MutationError(code=code, message=error.message, hint=error.hint, field=error.field, index=i) for i in indexes
    ]


def _region(context: Context, code: str, name: str, job_type: JobType) -> dict[str, Any]:
    given = {"code": code, "name": name, "job_type": job_type.value, "actor": context.actor}
    return {"db": context.backend.write_db, "catalog": context.backend.catalog, **given}


async def _withdraw(context: Context, ids: list[strawberry.ID] | None, given: StatFilter | None, deed: Deed) -> Outcome:
    db = context.backend.write_db
    if ids is not None and given is None:
        return await administration.withdraw_listed(db, [_key(id_) for id_ in ids], deed)
    if given is not None and ids is None:
        return await administration.withdraw_matching(db, result_filter(given, context, Window()), deed)
    raise InvalidArgument("ids: either ids or filter, and not both", field="ids")


def _key(id_: str) -> ResultKey | None:
    match _named(id_):
        case "Stat", [str(address), int(micros), int(number)]:
            return stat_key(address, micros, number)
    return None


def _withdrawal_id(id_: str) -> int:
    match _named(id_):
        case "AuditEntry", [int(number)] if 0 < number <= MAX_ENTRY_ID:
            return number
    raise NotFound("withdrawal: this is no id of a withdrawal", field="withdrawal")


def _named(id_: str) -> tuple[str, list[Any]] | None:
    try:
        return from_global_id(id_)
    except InvalidArgument:
        return None


def _entry(done: Outcome) -> Any:
    return done.entry
