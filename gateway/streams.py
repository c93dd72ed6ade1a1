"""Viewer limits in one process, put together: who decides, the queue before it, its doors, and metrics."""

from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial

from compat_rest.streams import StreamsApi
from db.pool import Pool
from gateway.metrics import Metrics
from gateway.settings import Settings
from resolvers.errors import Overloaded, Unavailable
from resolvers.identity import Authenticator
from resolvers.rates import Rates
from resolvers.streams.deciding import Ask, Rules, Verdict
from resolvers.streams.feed import ViewerFeed
from resolvers.streams.seats import REFUSALS, Seats
from resolvers.streams.tidying import active_streams, expire, forget_unused
from resolvers.streams.watching import Watching
from workers.batcher import Batcher
from workers.leader import Loops
from workers.listener import Heard, Line, listen
from workers.stream_tidier import tidy

EXPIRE_EVERY_S = 1.0
COUNT_EVERY_S = 5.0
FORGET_EVERY_S = 60.0
MAX_BATCH = 200
LANES = 2  # one batch is on its way to the disk while the next is decided


class ViewerLimits:
    """`connect` opens a line on which the database calls out which viewers have changed."""

    def __init__(
        self,
        settings: Settings,
        db: Pool,
        connect: Callable[[Heard], Awaitable[Line]],
        report: Callable[..., None],
    ) -> None:
        self.counts: Counter[str] = Counter()
        lease_s = settings.stream_lease_s.total_seconds() or None
        self.rates = Rates(settings.stream_mint_rate)
        self.seats = Seats(db, Rules(settings.stream_limit, lease_s), self.counts)
        self.queue: Batcher[Ask, Verdict] = Batcher(
            self.seats.decide_together,
            is_away=lambda error: isinstance(error, Unavailable),
            is_full=lambda: Overloaded("too many viewers are waiting"),
            max_batch=MAX_BATCH,
            lanes=LANES,
        )
        self.seats.submit = self.queue.submit
        self.feed = ViewerFeed(self.seats, partial(listen, connect=connect, report=report))
        self._db = db
        self._report = report
        self._unused_age_s = settings.stream_id_expiry_h.total_seconds()
        self._watching = (0, 0)

    @property
    def watching(self) -> Watching:
        """What the graph needs of it."""
        return Watching(self.seats, self.feed, self.rates)

    def api(self, authenticator: Authenticator, *, is_open: bool) -> StreamsApi:
        """The old URLs."""
        return StreamsApi(self.seats, self.rates, authenticator, is_open)

    def loops_of_the_leader(self) -> Loops:
        """What only one gateway of a database does."""
        return {
            "leases": partial(tidy, self._expire, self._report, EXPIRE_EVERY_S),
            "watching": partial(tidy, self._count, self._report, COUNT_EVERY_S),
            **({"unused_ids": partial(tidy, self._forget, self._report, FORGET_EVERY_S)} if self._unused_age_s else {}),
        }

    def show(self, metrics: Metrics, leads: Callable[[], bool]) -> None:
        """Metrics; only the leader knows how many streams all viewers watch."""
        counts, watch_counts = self.counts, metrics.watch_counts
        accepted = {"activated": Verdict.ACTIVATED, "renewed": Verdict.RENEWED}
        watch_counts(
            "podium_stream_activations",
            "Activations accepted, of streams that were not active, and of those that were.",
            lambda: {name: counts[verdict] for name, verdict in accepted.items()},
            "kind",
        )
        watch_counts(
            "podium_stream_refusals",
            "Activations and deactivations refused.",
            lambda: {reason: counts[reason] for reason in (*REFUSALS, "unavailable")},
            "reason",
        )
        watch_counts("podium_stream_deactivations", "Streams deactivated.", lambda: counts[Verdict.DEACTIVATED])
        watch_counts("podium_stream_leases_expired", "Streams given back at their end.", lambda: counts["expired"])
        watch = metrics.watch
        watch("podium_viewers_watching", "Viewers that watch, told by the leader.", lambda: leads() * self._watching[0])
        watch("podium_active_streams", "Streams that they watch, as well.", lambda: leads() * self._watching[1])
        watch("podium_activations_waiting", "Requests waiting to be decided.", lambda: self.queue.waiting)

    async def _expire(self) -> None:
        self.counts["expired"] += await expire(self._db)

    async def _count(self) -> None:
        self._watching = await active_streams(self._db)

    async def _forget(self) -> None:
        await forget_unused(self._db, self._unused_age_s, self._report)
