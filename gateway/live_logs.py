"""What tells of what nodes say, live: who listens in this process, and the door of the original."""

from collections.abc import Callable

from compat_rest.feed import FeedEndpoint
from db.pool import Pool
from gateway.metrics import Metrics
from gateway.settings import Settings
from resolvers.identity import Authenticator
from resolvers.telemetry.live import LogFeed
from schema.outbox import wire_of


class LiveLogs:
    """The feed that both doors share, and `/feed`. `db` leads to the primary, with the login of writers."""

    def __init__(self, settings: Settings, db: Pool, authenticator: Authenticator, report: Callable[..., None]) -> None:
        interval_s = settings.cache_update_interval_ms.total_seconds()
        timeout_s = settings.cache_update_timeout_s.total_seconds()
        self.feed = LogFeed(db, report, interval_s=interval_s, timeout_s=timeout_s)
        self.endpoint = FeedEndpoint(self.feed, wire_of, authenticator, settings.legacy_reads_open, report)

    def show(self, metrics: Metrics) -> None:
        """The metrics of the original by its names, and podium's own."""
        feed, endpoint, counts = self.feed, self.endpoint, self.endpoint.counts
        metrics.watch_original("feeds_connected", "Sockets of /feed opened.", lambda: counts["connected"])
        metrics.watch_original("feeds_disconnected", "Sockets of /feed closed.", lambda: counts["disconnected"])
        metrics.watch("current_feed_connections", "Sockets of /feed that are open.", lambda: endpoint.sockets)
        metrics.watch("podium_log_subscriptions", "Subscriptions to what nodes say.", lambda: feed.number)
        rows = "Rows of /feed, by whether they were delivered, or left out since nobody read them."
        metrics.watch_counts("podium_feed_rows", rows, lambda: {key: counts[key] for key in ("delivered", "left_out")})
