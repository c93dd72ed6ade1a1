"""What a gateway lets go of, by its settings."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial

from db.pool import Database
from gateway.settings import Settings
from resolvers.probe_runs import forget_runs
from resolvers.retention import clear_payloads, drop_results

Report = Callable[..., None]


def retention_steps(settings: Settings, db: Database, report: Report) -> list[Callable[[datetime], Awaitable[None]]]:
    """What is to be done every hour with the present time; nothing for what is kept for ever."""
    ages = {
        drop_results: settings.stats_retention_days,
        clear_payloads: settings.payload_retention_days,
        forget_runs: settings.probe_retention_days,
    }
    return [partial(step, db, timedelta(days=days), report) for step, days in ages.items() if days]
