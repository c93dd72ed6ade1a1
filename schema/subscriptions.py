"""What clients are told of as it happens."""

from collections.abc import AsyncIterator
from typing import Annotated, Any, cast

import strawberry
from strawberry import Info

from resolvers.errors import InvalidArgument
from resolvers.filters import Window
from resolvers.telemetry.live_logs import live_logs
from resolvers.telemetry.live_rows import Pair
from schema.context import context_of
from schema.inputs import Filter, result_filter
from schema.peer_logs import PeerLog
from schema.permissions import READ, WATCH
from schema.probes import ProbeRun, WhichRuns, probe_filter
from schema.results import Stat
from schema.selection import wanted_values
from schema.standings import (
    During,
    FirstPlaces,
    LeaderboardOrder,
    OneJobType,
    OneModel,
    OnePipeline,
    OneRegion,
    RankedBy,
    Standing,
    first_standings,
    standings_filter,
)
from schema.telemetry import PeerId
from schema.viewers import Viewer, ViewerId

OneMsg = Annotated[
    str | None, strawberry.argument(description="Messages of this kind alone, like `block.import`, compared exactly.")
]


@strawberry.type(description="Everything that can be listened to. It is told from the moment of subscribing on.")
class Subscription:
    # Strawberry makes the same of a coroutine that answers the source as of a generator, and extensions fit it.
    @strawberry.subscription(
        extensions=[READ], description="Each result that podium records, as soon as it is; imported ones are not told."
    )
    async def stat_recorded(self, info: Info, filter: Filter = None) -> AsyncIterator[Stat]:
        context = context_of(info)
        wanted = result_filter(filter, context, Window())
        if wanted.is_withdrawn:
            raise InvalidArgument("filter: what is withdrawn is not told", field="filter.withdrawn")
        source: Any = await context.backend.broadcast.results(wanted)
        return cast(AsyncIterator[Stat], source)

    @strawberry.subscription(
        extensions=[READ],
        description="Each run of the prober that podium stores, as soon as it is, whenever it started.",
    )
    async def probe_run_recorded(self, info: Info, filter: WhichRuns = None) -> AsyncIterator[ProbeRun]:
        context = context_of(info)
        source: Any = await context.backend.probe_feed.runs(probe_filter(filter, context, Window()))
        return cast(AsyncIterator[ProbeRun], source)

    @strawberry.subscription(
        extensions=[READ],
        description="Each message of a node, as soon as podium has stored it, whatever time the node says that it was. "
        "About once a second it is looked for new ones.",
    )
    async def peer_log(self, info: Info, peer_id: PeerId, msg: OneMsg = None) -> AsyncIterator[PeerLog]:
        make = live_logs(wanted_values(info, "value", "path", ""))
        source: Any = await context_of(info).backend.log_feed.stream(Pair(peer_id, msg), make)
        return cast(AsyncIterator[PeerLog], source)

    @strawberry.subscription(
        extensions=[READ],
        description="The first places of a leaderboard when what you ask of them has changed: at most once a second, "
        "after results were recorded or withdrawn, or because the window went on. The leaderboard at the moment of "
        "subscribing is not told.",
    )
    async def leaderboard_changed(
        self,
        info: Info,
        job_type: OneJobType,
        pipeline: OnePipeline = None,
        model: OneModel = None,
        region: OneRegion = None,
        during: During = None,
        order_by: RankedBy = LeaderboardOrder.LOWER_BOUND,
        first: FirstPlaces = None,
    ) -> AsyncIterator[list[Standing]]:
        context = context_of(info)

        async def compute() -> list[Standing]:
            anew = context.renewed(context.backend.on_primary)
            wanted = standings_filter(anew, job_type, pipeline, model, region, during)
            return await first_standings(anew, wanted, order_by, first)

        source: Any = await context.backend.broadcast.states(compute)
        return cast(AsyncIterator[list[Standing]], source)

    @strawberry.subscription(
        extensions=[WATCH],
        description="A viewer when what you ask of it has changed, at most once a second: what it watches, also "
        "because a lease has ended, or its limit. What it is at the moment of subscribing is not told.",
    )
    async def viewer_changed(self, info: Info, id: ViewerId) -> AsyncIterator[Viewer]:
        source: Any = await context_of(info).backend.watching.feed.states(id)
        return cast(AsyncIterator[Viewer], source)
