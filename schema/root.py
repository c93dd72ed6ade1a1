"""The graph's entry points: everything that can be asked and done."""

from datetime import datetime
from functools import partial
from typing import Annotated, Any

import strawberry
from graphql import GraphQLSchema
from strawberry import Info
from strawberry.schema.config import StrawberryConfig

from resolvers import aggregation, leaderboard
from resolvers.errors import InvalidArgument, InvalidRegion
from resolvers.filters import Window
from resolvers.page import MAX_PAGE, encode_cursor, from_micros, page_request, to_micros
from resolvers.recording import MAX_ID, MAX_RESULTS, ResultKey
from schema.connection import After, Before, Connection, First, Last, connection
from schema.context import Context, context_of
from schema.inputs import (
    AggregateOrder,
    Dimension,
    StatFilter,
    StatOrder,
    dimensions,
    order_steps,
    result_filter,
)
from schema.leaderboard import Aggregate, Orchestrator, Pipeline, Region, TopAiScore, aggregate_of
from schema.node import Node, from_global_id
from schema.results import RecordStatsPayload, Stat, StatInput, posted_result, refusal
from schema.scalars import DATE_TIME, DURATION, Duration, JobType, TimeRange

Filter = Annotated[StatFilter | None, strawberry.argument(description="Which results.")]
Address = Annotated[str, strawberry.argument(description="The orchestrator's address, in any case.")]


@strawberry.type(description="What this server accepts.")
class Limits:
    max_page: int = strawberry.field(description="Items on a page of a connection.")
    max_results: int = strawberry.field(description="Results in one recordStats.")
    max_body_bytes: int = strawberry.field(description="Bytes of a request's body.")


@strawberry.type(description="This server.")
class Service:
    version: str = strawberry.field(description="The version of podium.")
    default_window: Duration = strawberry.field(description="How far questions look back that name no window.")
    posting_enabled: bool = strawberry.field(description="Whether results can be posted: a SECRET is configured.")
    limits: Limits = strawberry.field(description="What it accepts.")


@strawberry.type(description="Everything that can be asked.")
class Query:
    @strawberry.field(description="The object with this global id; null when it is gone.")
    async def node(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="A global id.")]
    ) -> Node | None:
        context = context_of(info)
        found: Node | None = None
        match from_global_id(id):
            case "Region", [str(code), str(job_type)]:
                found = await context.region(code, job_type)
            case "Orchestrator", [str(address)]:
                found = await context.orchestrators.load(address)
            case "Stat", [str(address), int(micros), int(id_)]:
                found = await _stat(context, address, micros, id_)
            case _:
                raise InvalidArgument("id: this is no id of this service", field="id")
        return found

    @strawberry.field(description="The places that tests run from, by code.")
    async def regions(
        self,
        info: Info,
        job_type: Annotated[JobType | None, strawberry.argument(description="Only those for this kind.")] = None,
    ) -> list[Region]:
        rows: Any = await context_of(info).backend.catalog.regions()
        return [row for row in rows if job_type is None or row.job_type == job_type.value]

    @strawberry.field(description="The AI pipelines seen in results, by name.")
    async def pipelines(
        self,
        info: Info,
        region: Annotated[str | None, strawberry.argument(description="A region code, in any case.")] = None,
        during: Annotated[TimeRange | None, strawberry.argument(description="The default window if null.")] = None,
    ) -> list[Pipeline]:
        context = context_of(info)
        rows: Any = await leaderboard.pipelines(context.db, _window(during, context), region)
        return list(rows)

    @strawberry.field(description="The nodes that results are about, by address.")
    async def orchestrators(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[Orchestrator]:
        db = context_of(info).db
        page = await leaderboard.orchestrators_page(db, page_request(first, after, last, before))
        return connection(page, lambda row: encode_cursor(row.address), partial(leaderboard.count_orchestrators, db))

    @strawberry.field(description="One node; null when podium never heard of it.")
    async def orchestrator(self, info: Info, address: Address) -> Orchestrator | None:
        found: Orchestrator | None = await context_of(info).orchestrators.load(address)
        return found

    @strawberry.field(description="Single results, newest first, of all times when nothing else is said.")
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
        db = context_of(info).db
        wanted = result_filter(filter, Window(), context_of(info).now)
        newest_first = order_by is StatOrder.RECORDED_AT_DESC
        request = page_request(first, after, last, before)
        page = await leaderboard.results_page(db, wanted, request, newest_first=newest_first)
        return connection(page, _stat_cursor, partial(leaderboard.count_results, db, wanted))

    @strawberry.field(
        description="Means, scores, distributions and counts per group, in the default window when no other is given. "
        "They are ordered by the group's key when nothing else is said."
    )
    async def aggregates(
        self,
        info: Info,
        filter: Filter = None,
        group_by: Annotated[list[Dimension] | None, strawberry.argument(description="What makes a group.")] = None,
        order_by: Annotated[list[AggregateOrder] | None, strawberry.argument(description="The order.")] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Aggregate]:
        context = context_of(info)
        wanted = result_filter(filter, context.default_window, context.now)
        grouped = dimensions([Dimension.ORCHESTRATOR, Dimension.REGION] if group_by is None else group_by)
        order = order_steps(order_by)
        request = page_request(first, after, last, before)
        groups = await leaderboard.aggregates(context.db, wanted, grouped)
        page = aggregation.aggregates_page(groups, order, request)
        return connection(
            page,
            lambda group: encode_cursor(*aggregation.aggregate_cursor(group, order)),
            partial(_number, len(groups)),
            show=lambda group: aggregate_of(group, wanted, grouped),
        )

    @strawberry.field(description="The best AI cell of an orchestrator in the default window; null without results.")
    async def top_ai_score(self, info: Info, orchestrator: Address) -> TopAiScore | None:
        context = context_of(info)
        top = await leaderboard.top_ai_score(context.db, orchestrator, context.default_window)
        if top is None:
            return None
        return TopAiScore(
            value=top["value"],
            pipeline=top["pipeline"],
            model=top["model"],
            orchestrator=await context.orchestrators.load(top["orchestrator"]),
            region=await context.region(top["region"], "ai"),
        )

    @strawberry.field(description="What this server is and accepts.")
    def service(self, info: Info) -> Service:
        facts = context_of(info).backend.service
        return Service(
            version=facts.version,
            default_window=Duration(facts.default_window),
            posting_enabled=facts.posting_enabled,
            limits=Limits(max_page=MAX_PAGE, max_results=MAX_RESULTS, max_body_bytes=facts.max_body_bytes),
        )


@strawberry.type(description="Everything that can be done.")
class Mutation:
    @strawberry.mutation(
        description="Stores results, all or none; answers after the commit. The request carries the HMAC-SHA256 of its "
        "body with SECRET, in hex, as `Authorization`."
    )
    async def record_stats(
        self,
        info: Info,
        results: Annotated[list[StatInput], strawberry.argument(description=f"At most {MAX_RESULTS} results.")],
    ) -> RecordStatsPayload:
        context = context_of(info)
        context.require_signature()
        if len(results) > MAX_RESULTS:
            raise InvalidArgument(f"results: at most {MAX_RESULTS} at once, not {len(results)}", field="results")
        recorder, checked, errors = context.backend.recorder, [], []
        for index, given in enumerate(results):
            try:
                checked.append(await recorder.check(posted_result(given)))
            except (InvalidArgument, InvalidRegion) as error:
                errors.append(refusal(index, error))
        if errors or not checked:
            context.backend.report("results_refused", reason="INVALID_RESULTS", count=len(results))
            return RecordStatsPayload(stats=[], errors=errors)
        stored = await recorder.store(checked)
        rows: Any = await leaderboard.results_by_key(context.backend.write_db, stored)
        return RecordStatsPayload(stats=rows, errors=[])


async def _stat(context: Context, address: str, micros: int, id_: int) -> Any:
    try:
        key = ResultKey(address, from_micros(micros), id_)
    except OverflowError:
        return None
    if abs(id_) > MAX_ID:
        return None
    rows = await leaderboard.results_by_key(context.db, [key])
    return rows[0] if rows else None


def _window(during: TimeRange | None, context: Context) -> Window:
    return during.window(context.now) if during else context.default_window


def _stat_cursor(row: Any) -> str:
    return encode_cursor(to_micros(row.recorded_at), row.id)


async def _number(number: int) -> int:
    return number


schema = strawberry.Schema(
    query=Query,
    mutation=Mutation,
    types=[Region, Orchestrator, Stat],
    config=StrawberryConfig(scalar_map={Duration: DURATION, datetime: DATE_TIME}),
)
GRAPHQL_SCHEMA: GraphQLSchema = schema._schema  # Strawberry has no public name for it
SDL = schema.as_str() + "\n"
