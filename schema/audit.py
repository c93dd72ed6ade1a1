"""The audit log in the graph: what administrators did, who it was, and why."""

from datetime import datetime
from enum import Enum
from functools import partial
from typing import Annotated, Any, cast

import orjson
import strawberry
from strawberry import Info

from resolvers import audit
from resolvers.filters import Window
from resolvers.identity import Scope
from resolvers.page import encode_cursor, page_request
from resolvers.telemetry.listing import peers_by_name
from schema.connection import After, Before, Connection, First, Last, connection
from schema.context import context_of
from schema.leaderboard import Orchestrator, Region, source_row
from schema.node import Node, global_id
from schema.permissions import READ
from schema.scalars import TimeRange
from schema.telemetry import Peer


@strawberry.enum(description="What an administrator did.")
class AuditAction(Enum):
    WITHDRAW_STATS = strawberry.enum_value("withdraw_stats", description="Took results out of everything that counts.")
    RESTORE_STATS = strawberry.enum_value("restore_stats", description="Undid a withdrawal.")
    REGISTER_REGION = strawberry.enum_value("register_region", description="Added a region.")
    RENAME_REGION = strawberry.enum_value("rename_region", description="Gave a region another name.")
    LINK_PEER = strawberry.enum_value("link_peer", description="Said which orchestrator a node belongs to.")
    SET_STREAM_LIMIT = strawberry.enum_value(
        "set_stream_limit", description="Said how many streams a viewer may watch at the same time."
    )
    RELEASE_STREAMS = strawberry.enum_value("release_streams", description="Freed streams that a viewer watched.")


@strawberry.type(description="What an entry of the audit log is about; what does not belong to its action is null.")
class AuditDetails:
    @strawberry.field(description="The region that was registered or renamed, as it is now.")
    async def region(self, info: Info) -> Region | None:
        details = source_row(self)
        if "code" not in details:
            return None
        region: Region | None = await context_of(info).region(details["code"], details["job_type"])
        return region

    @strawberry.field(description="The name that the region was given.")
    def name(self) -> str | None:
        name: str | None = source_row(self).get("name")
        return name

    @strawberry.field(description="The name that the region had before it was renamed.")
    def previous_name(self) -> str | None:
        previous_name: str | None = source_row(self).get("previous_name")
        return previous_name

    @strawberry.field(description="How many results a withdrawal named by their ids.")
    def ids(self) -> int | None:
        ids: int | None = source_row(self).get("ids")
        return ids

    @strawberry.field(
        description="The conditions of a withdrawal by filter, as JSON. Its times are absolute; without `until`, the "
        "window ended when it was withdrawn."
    )
    def filter(self) -> str | None:
        conditions = source_row(self).get("filter")
        return None if conditions is None else orjson.dumps(conditions).decode()

    @strawberry.field(description="The withdrawal that was undone.")
    async def withdrawal(self, info: Info) -> "AuditEntry | None":
        id_ = source_row(self).get("withdrawal_id")
        entry: AuditEntry | None = None if id_ is None else await context_of(info).audit_entries.load(id_)
        return entry

    @strawberry.field(description="The node that was linked to an orchestrator, or to none.")
    async def peer(self, info: Info) -> Peer | None:
        peer_id = source_row(self).get("peer_id")
        peer: Peer | None = None if peer_id is None else await context_of(info).loader(peers_by_name).load(peer_id)
        return peer

    @strawberry.field(description="The orchestrator that a node was linked to; null for none.")
    async def orchestrator(self, info: Info) -> Orchestrator | None:
        return await _orchestrator(source_row(self).get("orchestrator"), info)

    @strawberry.field(description="The orchestrator that a node belonged to before; null for none.")
    async def previous_orchestrator(self, info: Info) -> Orchestrator | None:
        return await _orchestrator(source_row(self).get("previous_orchestrator"), info)

    @strawberry.field(
        description="The viewer whose limit was set, or whose streams were freed. Null for those who lack the scope "
        "admin: whoever knows a viewer's id can watch in its place."
    )
    def viewer_id(self, info: Info) -> strawberry.ID | None:
        id_: strawberry.ID | None = source_row(self).get("viewer") if context_of(info).may(Scope.ADMIN) else None
        return id_

    @strawberry.field(description="The streams that were freed.")
    def streams(self) -> list[strawberry.ID] | None:
        streams: list[strawberry.ID] | None = source_row(self).get("streams")
        return streams

    @strawberry.field(description="The limit that a viewer was given; null for that of everybody else.")
    def stream_limit(self) -> int | None:
        limit: int | None = source_row(self).get("stream_limit")
        return limit

    @strawberry.field(description="The limit that it had before; null for that of everybody else.")
    def previous_stream_limit(self) -> int | None:
        limit: int | None = source_row(self).get("previous_stream_limit")
        return limit


async def _orchestrator(address: str | None, info: Info) -> Orchestrator | None:
    found: Orchestrator | None = None if address is None else await context_of(info).orchestrators.load(address)
    return found


@strawberry.type(description="Something that an administrator did; entries are never changed.")
class AuditEntry(Node):
    recorded_at: datetime = strawberry.field(description="When it was done, by the database's clock.")
    actor: str = strawberry.field(description="Who did it: the subject of the token. Everybody can read it.")
    reason: str | None = strawberry.field(description="Why, in the actor's words; null where none is asked for.")
    affected: int = strawberry.field(description="How many results, regions, nodes, viewers or streams it changed.")

    @strawberry.field(description="The global id.")
    def id(self) -> strawberry.ID:
        return global_id("AuditEntry", source_row(self).id)

    @strawberry.field(description="What was done.")
    def action(self) -> AuditAction:
        return AuditAction(source_row(self).action)

    @strawberry.field(description="What it was done to.")
    def details(self) -> AuditDetails:
        details: AuditDetails = source_row(self).details
        return details

    @classmethod
    def is_type_of(cls, source: Any, _info: Any) -> bool:
        """An entry is a row with an action."""
        return "action" in source


@strawberry.type
class AuditQuery:
    @strawberry.field(
        extensions=[READ],
        description="What administrators did, newest first. A public record shows who changed what counts, and why: "
        "everybody who may read sees the actors' names.",
    )
    async def audit_log(
        self,
        info: Info,
        action: Annotated[AuditAction | None, strawberry.argument(description="Only what is of this kind.")] = None,
        actor: Annotated[str | None, strawberry.argument(description="Only what this one did, exactly.")] = None,
        during: Annotated[TimeRange | None, strawberry.argument(description="When; all times if null.")] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[AuditEntry]:
        context = context_of(info)
        window = during.window(context) if during else Window()
        wanted = audit.EntryFilter(cast(audit.Action, action.value) if action else None, actor, window)
        page = await audit.entries_page(context.db, wanted, page_request(first, after, last, before))
        return connection(page, lambda row: encode_cursor(row.id), partial(audit.count_entries, context.db, wanted))
