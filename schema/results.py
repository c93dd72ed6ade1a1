"""Single results in the graph, and asked for."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Annotated, Any

import strawberry
from strawberry import Info
from strawberry.utils.await_maybe import await_maybe

from resolvers import listing
from resolvers.filters import Window
from resolvers.listing import ResultOrder
from resolvers.page import encode_cursor, from_micros, page_request, to_micros
from resolvers.recording import MAX_ID, ResultKey
from resolvers.results import reported_at
from schema.audit import AuditEntry
from schema.connection import After, Before, Connection, First, Last, connection
from schema.context import context_of
from schema.inputs import Filter, StatOrder, result_filter
from schema.leaderboard import Orchestrator, Region, source_row
from schema.node import Node, global_id
from schema.permissions import READ
from schema.scalars import JobType
from schema.selection import wanted_columns


@strawberry.type(description="Why a part of a job failed.")
class StatError:
    error_code: str = strawberry.field(description="A short code, like `Timeout`.")
    message: str | None = strawberry.field(description="What happened, for people.")
    count: int = strawberry.field(description="How often it happened.")


def _orchestrators(rows: Sequence[Any], info: Info) -> list[Any]:
    return context_of(info).find_orchestrators([row["orchestrator"] for row in rows])


def _regions(rows: Sequence[Any], info: Info) -> Any:
    return context_of(info).regions_of([row["region_id"] for row in rows])


@strawberry.type(description="The result of one test job.")
class Stat(Node):
    success_rate: float = strawberry.field(description="As a fraction; testers may send more than 1.")
    round_trip_time: float = strawberry.field(description="From sending to receiving, in seconds.")
    seg_duration: float | None = strawberry.field(description="Mean length of a segment, in seconds.")
    segments_sent: int | None = strawberry.field(description="Segments sent to the node.")
    segments_received: int | None = strawberry.field(description="Renditions received from the node.")
    upload_time: float | None = strawberry.field(description="How long the upload took, in seconds.")
    download_time: float | None = strawberry.field(description="How long the download took, in seconds.")
    transcode_time: float | None = strawberry.field(description="How long the node transcoded, in seconds.")
    pipeline: str | None = strawberry.field(description="The AI pipeline.", metadata={"columns": ("model",)})
    model: str | None = strawberry.field(description="The AI model.")
    job_type: JobType = strawberry.field(description="The kind of job.")
    model_is_warm: bool | None = strawberry.field(description="Whether the model was loaded already.")
    recorded_at: datetime = strawberry.field(description="When podium stored it, by the database's clock.")

    @strawberry.field(description="The global id.", metadata={"columns": ("orchestrator",)})
    def id(self) -> strawberry.ID:
        return stat_id(source_row(self))

    @strawberry.field(
        description="The node that was tested.", metadata={"columns": ("orchestrator",), "many": _orchestrators}
    )
    def orchestrator(self, info: Info) -> Orchestrator:
        found: Orchestrator = _orchestrators([self], info)[0]
        return found

    @strawberry.field(description="Where the test ran.", metadata={"columns": ("region_id",), "many": _regions})
    async def region(self, info: Info) -> Region:
        (found,) = await await_maybe(_regions([self], info))
        region: Region = found
        return region

    @strawberry.field(description="What went wrong; empty when nothing did.", metadata={"columns": ("errors",)})
    def errors(self) -> list[StatError]:
        items = source_row(self).errors or []
        return [StatError(error_code=i["error_code"], message=i.get("message"), count=i["count"]) for i in items]

    @strawberry.field(
        description="The tester's own time of the result; null when it sent none.", metadata={"columns": ("timestamp",)}
    )
    def reported_at(self) -> datetime | None:
        return reported_at(source_row(self).timestamp)

    @strawberry.field(
        description="What the model was asked, as the tester sent it.", metadata={"columns": ("payload",)}
    )
    def input_parameters(self) -> str | None:
        return (source_row(self).payload or {}).get("input_parameters")

    @strawberry.field(description="What the node answered, as the tester sent it.", metadata={"columns": ("payload",)})
    def response_payload(self) -> str | None:
        return (source_row(self).payload or {}).get("response_payload")

    @strawberry.field(
        description="Why it counts nowhere, who said so, and when; null for a result that counts.",
        metadata={"columns": ("withdrawal_id",)},
    )
    async def withdrawal(self, info: Info) -> AuditEntry | None:
        id_: int | None = source_row(self).withdrawal_id
        entry: AuditEntry | None = None if id_ is None else await context_of(info).audit_entries.load(id_)
        return entry

    @classmethod
    def is_type_of(cls, source: Any, _info: Any) -> bool:
        """A result is a row with a round trip time."""
        return "round_trip_time" in source


@strawberry.type
class ResultsQuery:
    @strawberry.field(
        extensions=[READ], description="Single results, newest first, of all times when nothing else is said."
    )
    async def stats(
        self,
        info: Info,
        filter: Filter = None,
        order_by: Annotated[StatOrder, strawberry.argument(description="The order.")] = StatOrder.RECORDED_AT_DESC,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Stat]:
        context = context_of(info)
        wanted = result_filter(filter, context, Window())
        order = ResultOrder(str(order_by.value))
        columns = wanted_columns(info, "nodes", "edges.node")
        page = await listing.results_page(context.db, wanted, page_request(first, after, last, before), order, columns)
        return connection(
            page,
            lambda row: encode_cursor(*listing.result_cursor(row, order)),
            partial(listing.count_results, context.db, wanted),
        )


def stat_id(row: Any) -> strawberry.ID:
    """The global id of a result."""
    return global_id("Stat", row.orchestrator, to_micros(row.recorded_at), row.id)


def stat_key(address: str, micros: int, id_: int) -> ResultKey | None:
    """The key in the global id of a result; None when there cannot be such a result."""
    try:
        return ResultKey(address, from_micros(micros), id_) if abs(id_) <= MAX_ID else None
    except OverflowError:
        return None
