"""What results are about, asked for: regions, pipelines and orchestrators."""

from collections.abc import Awaitable
from functools import partial
from typing import Annotated, Any

import strawberry
from strawberry import Info
from strawberry.utils.await_maybe import await_maybe

from resolvers import leaderboard, listing
from resolvers.page import encode_cursor, page_request
from schema.connection import After, Before, Connection, First, Last, connection
from schema.context import context_of
from schema.inputs import OrchestratorFilter, OrchestratorOrder, orchestrator_filter
from schema.leaderboard import Orchestrator, Pipeline, Region, TopAiScore
from schema.permissions import READ
from schema.scalars import JobType, TimeRange

Address = Annotated[str, strawberry.argument(description="The orchestrator's address, in any case.")]


@strawberry.type
class CatalogQuery:
    @strawberry.field(extensions=[READ], description="The places that tests run from, by code.")
    def regions(
        self,
        info: Info,
        job_type: Annotated[JobType | None, strawberry.argument(description="Only those for this kind.")] = None,
    ) -> list[Region]:
        rows: Any = context_of(info).regions()
        return rows if job_type is None else _tested(rows, job_type)  # type: ignore[return-value]

    @strawberry.field(extensions=[READ], description="The AI pipelines seen in results, by name.")
    async def pipelines(
        self,
        info: Info,
        region: Annotated[str | None, strawberry.argument(description="A region code, in any case.")] = None,
        during: Annotated[TimeRange | None, strawberry.argument(description="The default window if null.")] = None,
    ) -> list[Pipeline]:
        context = context_of(info)
        rows: Any = await leaderboard.pipelines(context.db, context.window(during), region)
        return list(rows)

    @strawberry.field(extensions=[READ], description="The nodes that results are about.")
    async def orchestrators(
        self,
        info: Info,
        filter: Annotated[OrchestratorFilter | None, strawberry.argument(description="Which ones.")] = None,
        order_by: Annotated[
            OrchestratorOrder, strawberry.argument(description="The order.")
        ] = OrchestratorOrder.ADDRESS_ASC,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Orchestrator]:
        context = context_of(info)
        wanted = orchestrator_filter(filter, context)
        order = listing.OrchestratorOrder(str(order_by.value))
        page = await listing.orchestrators_page(context.db, wanted, page_request(first, after, last, before), order)
        return connection(
            page,
            lambda row: encode_cursor(*listing.orchestrator_cursor(row, order)),
            partial(listing.count_orchestrators, context.db, wanted),
        )

    @strawberry.field(extensions=[READ], description="One node; null when podium never heard of it.")
    async def orchestrator(self, info: Info, address: Address) -> Orchestrator | None:
        found: Orchestrator | None = await context_of(info).orchestrators.load(address)
        return found

    @strawberry.field(
        extensions=[READ],
        description="The best AI cell of an orchestrator in the default window; null without results.",
    )
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


async def _tested(rows: list[Any] | Awaitable[list[Any]], job_type: JobType) -> list[Region]:
    return [row for row in await await_maybe(rows) if row.job_type == job_type.value]
