"""Aggregates asked for: groups of results with their scores."""

from functools import partial
from typing import Annotated

import strawberry
from strawberry import Info

from resolvers import aggregation, leaderboard
from resolvers.page import encode_cursor, page_request
from schema.connection import After, Before, Connection, First, Last, connection
from schema.context import Question, context_of
from schema.inputs import (
    AggregateHaving,
    AggregateOrder,
    Dimension,
    Filter,
    bounds,
    dimensions,
    order_steps,
    result_filter,
)
from schema.leaderboard import Aggregate, aggregate_of
from schema.permissions import READ

ORCHESTRATOR_AND_REGION = [Dimension.ORCHESTRATOR, Dimension.REGION]


@strawberry.type
class AggregatesQuery:
    @strawberry.field(
        extensions=[READ],
        description="Means, scores, distributions and counts per group, in the default window when no other is given. "
        "They are ordered by the group's key when nothing else is said.",
    )
    async def aggregates(
        self,
        info: Info,
        filter: Filter = None,
        group_by: Annotated[
            list[Dimension] | None,
            strawberry.argument(description="What makes a group; an empty list makes a single group."),
        ] = ORCHESTRATOR_AND_REGION,
        having: Annotated[AggregateHaving | None, strawberry.argument(description="Which of the groups.")] = None,
        order_by: Annotated[
            list[AggregateOrder] | None,
            strawberry.argument(
                description="The order; each breaks the ties of those before it, and the key, in the order of "
                "`groupBy`, the last."
            ),
        ] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Aggregate]:
        context = context_of(info)
        wanted = result_filter(filter, context)
        grouped = dimensions(ORCHESTRATOR_AND_REGION if group_by is None else group_by)
        order = aggregation.GroupOrder(order_steps(order_by), grouped)
        request = page_request(first, after, last, before)
        groups = aggregation.having(await leaderboard.aggregates(context.db, wanted, grouped), bounds(having))
        page = aggregation.aggregates_page(groups, order, request)
        return connection(
            page,
            lambda group: encode_cursor(*aggregation.aggregate_cursor(group, order)),
            partial(_number, len(groups)),
            show=lambda group: aggregate_of(group, Question(wanted, grouped)),
        )


async def _number(number: int) -> int:
    return number
