"""The application: doors, resolvers and loops, put together."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from prometheus_client import Metric
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route, WebSocketRoute
from starlette_compress import add_compress_type, remove_compress_type

from compat_rest.answering import WindowAnswer
from compat_rest.benchmarks import BenchmarksApi
from compat_rest.endpoint import nothing_here
from compat_rest.export import MEDIA_TYPES, ExportApi
from compat_rest.leaderboard import LeaderboardApi
from compat_rest.resource import Access
from compat_rest.telemetry import TelemetryApi
from db.leading import LeadershipLine
from db.listening import ListeningLine
from db.pool import Pool, Reads
from db.routing import RoutedReads, Source
from db.statements import STATEMENTS
from db.vacuuming import vacuum
from gateway import pages
from gateway.document_files import read_manifest
from gateway.health import health_routes
from gateway.live_logs import LiveLogs
from gateway.metrics import Metrics, exposition
from gateway.middleware import BodyLimit, CancelWhenGone, ForBrowsers, Observe
from gateway.parts import Urls, authenticator_of, database_of, limits_of, operations_of, replica_of, spans_of
from gateway.retention import retention_steps
from gateway.server_timing import ServerTiming
from gateway.settings import VERSION, Settings
from gateway.streams import ViewerLimits
from gateway.telemetry import Telemetry
from resolvers.announcements import CHANGES_CHANNEL, CHANNELS
from resolvers.answers import AnswerMemory, Answers
from resolvers.broadcast import Broadcast
from resolvers.catalog import Catalog
from resolvers.errors import Overloaded, Unavailable
from resolvers.idempotency import forget_keys, record_once
from resolvers.jwks import Issuer
from resolvers.probe_feed import ProbeFeed
from resolvers.recording import (
    CheckedResult,
    PostKey,
    Recorded,
    Recorder,
    ResultKey,
    create_partitions,
    store_results,
)
from resolvers.replica import INTERVAL_S as REPLICA_INTERVAL_S
from resolvers.replica import Replica
from resolvers.rollups import build, repair
from resolvers.shared_changes import SharedChanges
from resolvers.streams.feed import CHANNEL as VIEWERS
from resolvers.telemetry.retention import create_log_partitions, purge
from resolvers.versions import PRESENT_S, Versions
from schema.allowed import AllowedDocuments
from schema.answering import Answering
from schema.context import Backend, ServiceFacts
from schema.feeds import Feeds
from schema.http import GraphQLEndpoint
from schema.persisted import Documents, PersistedDocuments
from schema.results import stat_id
from schema.sse import EVENT_STREAM, EventStreams
from schema.websocket import WebSocketEndpoint
from workers.batcher import Batcher
from workers.key_purger import purge_keys
from workers.leader import Leader, Loops
from workers.listener import listen
from workers.partition_maker import make_partitions
from workers.purger import purge_regularly
from workers.region_refresher import refresh_now, refresh_regions
from workers.replica_watcher import watch_replica
from workers.retainer import let_go
from workers.rollup_keeper import keep_rollups

FIRST_REGIONS_TIMEOUT_S = 1.0
# By pages of other origins.
READABLE_HEADERS = ("ETag", "X-Request-Id", "Retry-After", "WWW-Authenticate", "Podium-Window")

# The middleware has one list for the whole process. Of an event stream, each subscriber would have a compressor of its
# own for the same events.
remove_compress_type(EVENT_STREAM)
for _media_type in MEDIA_TYPES.values():
    add_compress_type(_media_type.partition(";")[0])


async def only_own(families: list[Metric]) -> list[Metric]:
    """The metrics of a process that is alone."""
    return families


@dataclass(frozen=True, slots=True)
class Siblings:
    """What a process has to do with the other workers of its gateway; nothing when it is alone.

    `gather` makes of its own metrics those of all; `changes` is what all of them change.
    """

    gather: Callable[[list[Metric]], Awaitable[list[Metric]]] = only_own
    changes: SharedChanges | None = None


ALONE = Siblings()


class Gateway:
    """One gateway process: what its parts share, and its life. ManifestError when its documents cannot be used."""

    def __init__(self, settings: Settings, urls: Urls, siblings: Siblings = ALONE) -> None:
        self.settings = settings
        self._gather = siblings.gather
        self._spans = spans_of(settings)
        self.metrics = Metrics(settings.slow_operation_s, self._spans.send if self._spans else None)
        self.draining = False
        present_s = settings.cache_update_interval_ms.total_seconds()
        self.versions = Versions(shared=siblings.changes, present_s=min(present_s, PRESENT_S))
        self.answers = AnswerMemory(settings.answer_cache_bytes)
        self.db = database_of(settings, urls, self.versions.wrote, self._reads_moved)
        self.replica = replica_of(settings, urls, self.db)
        regions_ttl_s = settings.regions_cache_timeout.total_seconds()
        self.catalog = Catalog(self.db, regions_ttl_s, versions=self.versions)
        self.results: Batcher[CheckedResult, ResultKey] = Batcher(
            self._store_results,
            is_away=lambda error: isinstance(error, Unavailable),
            is_full=lambda: Overloaded("too many results are waiting to be stored"),
        )
        self.recorder = Recorder(self.catalog, self.results.submit, self._store_once)
        self._issuer = Issuer(settings.jwt_jwks_url, self.metrics.report) if settings.jwt_jwks_url else None
        self.authenticator = authenticator_of(settings, self._issuer)
        direct = settings.postgres_direct or urls.write
        self._open_line = partial(ListeningLine.open, direct, CHANNELS)
        self._vacuum = partial(vacuum, direct)
        connect = partial(self._open_line, "podium listener")
        report = self.metrics.report
        self.broadcast = Broadcast(self.db.write, partial(listen, connect=connect, report=report), report)
        hear_of_runs = partial(ListeningLine.open, direct, (CHANGES_CHANNEL,), "podium probes")
        self.probe_feed = ProbeFeed(self.db.write, partial(listen, connect=hear_of_runs, report=report), report)
        self.live_logs = LiveLogs(settings, self.db.beside_writers, self.authenticator, report)
        connect_for_viewers = partial(ListeningLine.open, direct, (VIEWERS,), "podium viewers")
        self.viewers = ViewerLimits(settings, self.db.write, connect_for_viewers, report)
        self.feeds = Feeds(operations_of(settings), self._backend())
        self.documents = self._documents()
        self.answering = Answering(self.feeds.operations, self.feeds.backend, Answers(self.versions, self.answers))
        self.event_streams = EventStreams()
        self.telemetry = Telemetry(settings, direct, self._create_partitions, report, self.versions.wrote)
        self.leader = Leader(
            partial(LeadershipLine.open, direct, "podium leadership"), self._loops_of_the_leader(), report
        )
        self._watch()

    def application(self) -> Starlette:
        """The ASGI application."""
        shows_timing = self.settings.shows_timing
        application = Starlette(
            routes=[
                *self._graphql_routes(),  # first, because routes are tried in order and these are the busiest
                *self.viewers.api(self.authenticator, is_open=self.settings.legacy_writes_open).routes(),
                *self._leaderboard_api().routes(),
                *self._benchmarks_api().routes(),
                *self.telemetry.ingest.routes(),
                *self._telemetry_api().routes(),
                *self.live_logs.endpoint.routes(),
                *ExportApi(self.db.read, self.authenticator, stat_id, self.metrics.report).routes(),
                *pages.routes(),
                *health_routes(self._exposition, self.database_answers, lambda: self.draining),
                *([Route("/schema.graphql", pages.sdl)] if self.settings.shows_schema else []),
            ],
            middleware=[
                Middleware(Observe, metrics=self.metrics, log_all=self.settings.log_level == "DEBUG"),
                *([Middleware(self._spans.keep_parent)] if self._spans else []),
                *([Middleware(ServerTiming, readers=self.settings.http_origins)] if shows_timing else []),
                Middleware(CancelWhenGone),
                Middleware(BodyLimit, max_bytes=self.settings.max_body_bytes),
                Middleware(
                    ForBrowsers,
                    memory=self.answers,
                    allow_origins=self.settings.http_origins,
                    allow_methods=["GET", "HEAD", "PATCH", "POST"],
                    allow_headers=["*"],
                    expose_headers=[*READABLE_HEADERS, *(["Server-Timing"] if shows_timing else [])],
                ),
            ],
            exception_handlers={404: nothing_here},
            lifespan=self._lifespan,
        )
        application.router.redirect_slashes = False
        return application

    async def open(self) -> None:
        """Connect, before the application starts; PodiumError when the database is away or not migrated."""
        await self.db.open()
        if self.replica:
            await self.replica.look()
        await self._create_partitions()
        await self.telemetry.store.open()

    async def close(self) -> None:
        """Disconnect, when the application has ended or never started."""
        if self._issuer:
            await self._issuer.close()
        if self.replica:
            self.replica.close()
        await self.telemetry.store.close()
        await self.db.close()
        if self._spans:
            await self._spans.close()

    async def database_answers(self) -> None:
        """Fail unless the database answers a small question."""
        await self.db.read.fetch(STATEMENTS["catalog.regions"])

    async def _exposition(self) -> bytes:
        return exposition(await self._gather(self.metrics.collect()))

    @asynccontextmanager
    async def _lifespan(self, application: Starlette) -> AsyncIterator[None]:
        writer = asyncio.create_task(self.results.run(), name="results")
        log_writer = asyncio.create_task(self.telemetry.writer.run(), name="logs")
        decider = asyncio.create_task(self.viewers.queue.run(), name="viewers")
        loops = {name: asyncio.create_task(loop, name=name) for name, loop in self._loops().items()}
        try:
            if first_regions := loops.get("first_regions"):
                await asyncio.wait([first_regions], timeout=FIRST_REGIONS_TIMEOUT_S)
            yield
        finally:
            await self.broadcast.close()
            await self.live_logs.feed.close()
            await self.probe_feed.close()
            await self.viewers.feed.close()
            self.results.stop()
            self.viewers.queue.stop()
            await asyncio.gather(writer, decider)
            await self.telemetry.writer.stop(log_writer)
            for task in loops.values():
                task.cancel()
            await asyncio.gather(*loops.values(), return_exceptions=True)
            await self.close()

    def _loops(self) -> dict[str, Coroutine[None, None, None]]:
        """What runs in every process."""
        report = self.metrics.report
        loops = {"leadership": self.leader.run(), "heartbeat": self.telemetry.ingest.beat()}
        if url := self.settings.catalyst_region_url:
            # Once in each, so that it knows the regions before it serves, whoever leads.
            loops["first_regions"] = refresh_now(url, self._register_regions, report)
        if self.settings.answer_cache_bytes:
            loops["versions"] = listen(self.versions, partial(self._open_line, "podium versions"), report)
        if self.replica:
            loops["replica"] = watch_replica(self.replica.look, report, REPLICA_INTERVAL_S)
        return loops

    def _loops_of_the_leader(self) -> Loops:
        """What runs in one process among all gateways of a database: a loop that others must not run goes here."""
        report = self.metrics.report
        loops: dict[str, Callable[[], Coroutine[None, None, None]]] = {
            "partitions": partial(make_partitions, self._create_partitions, report),
            "keys": partial(purge_keys, partial(forget_keys, self.db), report),
            "purge": partial(purge_regularly, self._purge, report, self.settings.purge_interval_s.total_seconds()),
            "rollups": partial(keep_rollups, partial(build, self.db, report), partial(repair, self.db, report), report),
            **self.viewers.loops_of_the_leader(),
        }
        if steps := retention_steps(self.settings, self.db, report):
            loops["retention"] = partial(let_go, steps, report)
        if url := self.settings.catalyst_region_url:
            interval_s = self.settings.regions_cache_timeout.total_seconds()
            loops["regions"] = partial(refresh_regions, url, self._register_regions, report, interval_s)
        return loops

    async def _create_partitions(self) -> int:
        return await create_partitions(self.db) + await create_log_partitions(self.db, self.settings.log_expiry_h)

    async def _purge(self) -> None:
        await purge(self.db, self.settings.log_expiry_h, self._vacuum, self.metrics.report)

    def _reads_moved(self, source: Source, reason: str) -> None:
        self.versions.reads_lead_elsewhere(are_fresh=source is not Source.REPLICA)
        self.metrics.report("replica_not_used" if source is Source.PRIMARY else "replica_used", reason=reason)

    async def _register_regions(self, names: dict[str, str]) -> None:
        await self.catalog.register_regions(names, "transcoding")

    async def _store_results(self, checked: list[CheckedResult]) -> list[ResultKey]:
        stored = await store_results(self.db, self.catalog, checked)
        self.metrics.report("results_stored", count=len(stored))
        return stored

    async def _store_once(self, key: PostKey, checked: list[CheckedResult]) -> Recorded:
        recorded = await record_once(self.db, self.catalog, key, checked)
        if recorded.is_replay:
            self.metrics.report("results_replayed", count=len(recorded.keys))
        else:
            self.metrics.report("results_stored", count=len(recorded.keys))
        return recorded

    def _leaderboard_api(self) -> LeaderboardApi:
        return LeaderboardApi(
            db=self.db.read,
            catalog=self.catalog,
            answers=Answers(self.versions, self.answers),
            recorder=self.recorder,
            authenticator=self.authenticator,
            reads_are_open=self.settings.legacy_reads_open,
            default_window=self.settings.start_time_window,
            report=self.metrics.report,
        )

    def _benchmarks_api(self) -> BenchmarksApi:
        settings = self.settings
        access = Access(self.authenticator, settings.legacy_reads_open, settings.legacy_writes_open)
        return BenchmarksApi(self.db.read, self.db.write, Answers(self.versions, self.answers), access)

    def _telemetry_api(self) -> TelemetryApi:
        answers: Answers[WindowAnswer] = Answers(self.versions, self.answers)
        return TelemetryApi(self.db.read, answers, self.authenticator, self.settings.legacy_reads_open)

    def _documents(self) -> Documents:
        operations, report = self.feeds.operations, self.metrics.report
        if self.settings.documents:
            return AllowedDocuments(operations, read_manifest(self.settings.documents), report)
        return PersistedDocuments(operations, self.settings.persisted_documents_bytes, report)

    def _graphql_routes(self) -> list[Route | WebSocketRoute]:
        origins = self.settings.named_origins
        page = pages.documents_only if self.settings.documents else pages.graphiql
        http = GraphQLEndpoint(
            self.feeds,
            self.documents,
            self.answering,
            self.event_streams,
            page,
            origins,
            max_age=self.settings.answer_max_age,
        )
        socket = WebSocketEndpoint(self.feeds, self.documents, self.answering, origins)
        return [Route("/graphql", http), WebSocketRoute("/graphql", socket)]

    def _backend(self) -> Backend:
        facts = ServiceFacts(
            version=VERSION,
            default_window=self.settings.start_time_window,
            max_body_bytes=self.settings.max_body_bytes,
            posting_enabled=self.authenticator.lets_post,
            limits=limits_of(self.settings),
        )
        return Backend(
            db=self.db.read,
            write_db=self.db.write,
            catalog=self.catalog,
            recorder=self.recorder,
            broadcast=self.broadcast,
            log_feed=self.live_logs.feed,
            watching=self.viewers.watching,
            probe_feed=self.probe_feed,
            versions=self.versions,
            authenticator=self.authenticator,
            service=facts,
            report=self.metrics.report,
        )

    def _watch(self) -> None:
        watch = self.metrics.watch
        if self.replica and isinstance(self.db.read, RoutedReads):
            _watch_replica(self.metrics, self.replica, self.db.read)
        pools: dict[str, Pool | Reads] = {"write": self.db.write, "read": self.db.read}
        for name, pool in pools.items():
            watch(f"podium_{name}_pool_connections", f"Connections of the {name} pool.", partial(_pool_state, pool))
        watch("podium_answers_kept", "Answers kept until what they are made of changes.", lambda: len(self.answers))
        watch("podium_answers_bytes", "Memory that they take.", lambda: self.answers.used_bytes)
        self.metrics.watch_counts(
            "podium_answers", "Answers given, by where they came from.", lambda: self.answers.counts
        )
        watch("podium_results_waiting", "Results waiting to be stored.", lambda: self.results.waiting)
        watch("podium_persisted_documents_kept", "Documents kept for their hash.", lambda: len(self.documents))
        watch("podium_persisted_documents_bytes", "Memory that they take.", lambda: self.documents.bytes)
        watch("podium_subscribers", "Subscriptions that are told of events.", lambda: self.feeds.ready)
        watch("podium_feeds", "Different subscriptions among them.", lambda: self.feeds.number)
        self.telemetry.show(self.metrics)
        self.viewers.show(self.metrics, lambda: self.leader.leads)
        self.live_logs.show(self.metrics)
        watch("podium_is_leader", "1 where the loops run that one gateway runs for all.", lambda: self.leader.leads)


def _watch_replica(metrics: Metrics, replica: Replica, reads: RoutedReads) -> None:
    metrics.watch("podium_replica_lag_seconds", "How old the replica's data are at most.", lambda: replica.lag_s)
    is_used = "Whether questions are asked of the replica."
    metrics.watch("podium_replica_used", is_used, lambda: float(reads.source is Source.REPLICA))
    metrics.watch_counts("podium_reads", "Statements that read, by the server that answered.", lambda: reads.counts)


def _pool_state(pool: Pool | Reads) -> dict[str, float]:
    return {"busy": pool.size - pool.idle, "idle": pool.idle}
