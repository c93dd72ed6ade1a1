"""What takes telemetry in one process, put together: sockets, the writer behind them, its store, and metrics."""

from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from functools import partial
from ipaddress import ip_network

from compat_rest.ingest import Ingest, IngestRules
from db.copying import CopyLine
from gateway.metrics import Metrics
from gateway.settings import Settings
from resolvers.telemetry.news import News
from resolvers.telemetry.storing import LANES, Batch, LogStore
from workers.log_writer import LogWriter

# Of what becomes of messages, beside being stored as they came.
REFUSALS = ("malformed", "no_object", "too_deep", "too_many_nodes", "unstorable")
CHANGES = ("escaped", "without_time")


class Telemetry:
    """Ingest, its writer and its store, which share counts. `direct` is the URL past any pgbouncer, `wrote` is told of
    tables that have changed.
    """

    def __init__(
        self,
        settings: Settings,
        direct: str,
        create_partitions: Callable[[], Awaitable[int]],
        report: Callable[..., None],
        wrote: Callable[[Collection[str]], None],
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.store = LogStore(
            partial(CopyLine.open, direct),
            create_partitions,
            self._store_nodes_again,
            self.counts,
            lambda node: self.writer.changed(node),
        )
        self.news = News(wrote)
        self.writer = LogWriter(
            [partial(self._store, lane) for lane in range(LANES)],
            report,
            batch_size=settings.db_batch_size,
            latency_s=settings.db_save_latency_ms.total_seconds(),
            max_rows=settings.telemetry_buffer_messages,
            max_bytes=settings.telemetry_buffer_bytes,
        )
        self.ingest = Ingest(self.writer, self.store.new_connection_id, rules_of(settings), self.counts)

    def _store_nodes_again(self) -> None:
        for node in self.ingest.nodes():
            self.writer.changed(node)

    def show(self, metrics: Metrics) -> None:
        """The metrics of the original by its names, and podium's own."""
        counts, ingest, writer = self.counts, self.ingest, self.writer
        originals = {
            "substrate_message_count": ("Messages received.", lambda: counts["messages"]),
            "substrate_bytes_received": ("Bytes of the messages received.", lambda: counts["bytes"]),
            "nodes_connected_count": ("Sockets of nodes opened.", lambda: counts["opened"]),
            "nodes_dropped_count": ("Sockets of nodes closed.", lambda: counts["closed"]),
        }
        for name, (documentation, read) in originals.items():
            metrics.watch_original(name, documentation, read)
        metrics.watch_original("requests", "HTTP requests, but for those of metrics.", lambda: metrics.requests)
        metrics.watch("current_substrate_connections", "Sockets of nodes that are open.", lambda: len(ingest))
        watch_counts = partial(self._watch_counts, metrics)
        watch_counts("podium_logs_refused", "Messages of nodes that were not stored.", REFUSALS)
        watch_counts("podium_logs_changed", "Messages of nodes that were stored otherwise than they came.", CHANGES)
        watch_counts("podium_telemetry_sockets_refused", "Sockets of nodes refused.", ("not_allowed", "overloaded"))
        metrics.watch_counts("podium_logs_stored", "Messages of nodes stored.", lambda: writer.stored)
        metrics.watch_counts("podium_log_batches", "Transactions that stored them.", lambda: writer.batches)
        metrics.watch_counts("podium_log_pauses", "Times that a node had to wait for room.", lambda: writer.pauses)
        metrics.watch("podium_logs_waiting", "Messages waiting to be stored.", lambda: writer.waiting)
        metrics.watch("podium_logs_held_bytes", "Memory that they take.", lambda: writer.held_bytes)
        metrics.watch("podium_logs_waiting_seconds", "Age of the oldest of them.", lambda: writer.age_s)

    async def _store(self, lane: int, batch: Batch) -> list[Batch]:
        instead = await self.store.store(batch, lane)
        self.news.stored()
        return instead

    def _watch_counts(self, metrics: Metrics, name: str, documentation: str, keys: tuple[str, ...]) -> None:
        metrics.watch_counts(name, documentation, lambda: {key: self.counts[key] for key in keys})


def rules_of(settings: Settings) -> IngestRules:
    """Who may send, as the settings have it."""
    networks = settings.telemetry_allow
    return IngestRules(
        max_bytes=settings.ws_max_payload,
        heartbeat_s=settings.heartbeat_interval.total_seconds(),
        timeout_s=settings.client_timeout_s.total_seconds(),
        networks=None if networks is None else tuple(map(ip_network, networks)),
        token=settings.telemetry_token,
    )
