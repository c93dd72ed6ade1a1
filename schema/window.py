"""The time range that answers are made of, which is wider than what was asked for where single results are gone."""

from datetime import datetime
from typing import Annotated

import strawberry
from strawberry import Info

from resolvers.rollups import read_state, widened
from schema.context import context_of
from schema.permissions import READ
from schema.scalars import TimeRange


@strawberry.type(description="A time range that answers are made of; null is unbounded.")
class AnsweredWindow:
    since: datetime | None = strawberry.field(description="From this time on.")
    until: datetime | None = strawberry.field(description="Up to this time.")
    is_widened: bool = strawberry.field(
        description="Whether it is wider than what was asked for: single results of then are kept no longer, so that "
        "it begins or ends with a whole hour."
    )
    results_since: datetime | None = strawberry.field(
        description="Since when single results are kept; null is since ever. Distributions, failures and filters by "
        "success rate, round trip time, error or warmth, know nothing of before."
    )


@strawberry.type
class WindowQuery:
    @strawberry.field(
        extensions=[READ],
        description="What aggregates, series, ranks, coverage and pipelines answer for when they are asked for a time "
        "range.",
    )
    async def answered_window(
        self,
        info: Info,
        during: Annotated[TimeRange | None, strawberry.argument(description="The default window if null.")] = None,
    ) -> AnsweredWindow:
        context = context_of(info)
        asked, state = context.window(during), await read_state(context.db)
        window = widened(asked, state.results_since)
        return AnsweredWindow(
            since=window.since,
            until=window.until,
            is_widened=window != asked,
            results_since=state.results_since,
        )
