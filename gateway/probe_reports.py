"""Has the prober's runs stored, beside the probes: what cannot be stored now waits, and is tried again."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import uniform

import httpx

from gateway.probe_forms import stored_form
from gateway.run_stores import DatabaseStore, GatewayStore, NotStored, RunRefused, RunStore
from gateway.settings import Settings
from gateway.waiting_runs import WaitingRuns
from prober.run import Run
from resolvers.probe_runs import ProbeRun

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0


class StoredRuns:
    """Stores runs one after the other, the oldest first; probes never wait for it.

    `report` is told `probe_store_failed` when that begins to fail, `probe_store_works_again`, and `probe_run_refused`.
    """

    def __init__(
        self, store: RunStore, waiting: WaitingRuns, report: Callable[..., None], first_pause_s: float = FIRST_PAUSE_S
    ) -> None:
        self._store = store
        self._waiting = waiting
        self._report = report
        self._first_pause_s = first_pause_s
        self._has_news = asyncio.Event()
        self._is_done = asyncio.Event()
        self._failures = 0

    async def __call__(self, run: Run) -> None:
        """Take a run that has ended."""
        self._is_done.clear()
        self._waiting.add(stored_form(run))
        self._has_news.set()

    async def run(self) -> None:
        """Store what waits and what comes, until cancelled."""
        while True:
            self._has_news.clear()
            while run := self._waiting.first():
                await self._store_one(run)
            self._is_done.set()
            await self._has_news.wait()

    async def stored(self, within_s: float) -> None:
        """Wait until nothing waits any more, but not for long: what does so then is stored after the next start."""
        try:
            await asyncio.wait_for(self._is_done.wait(), within_s)
        except TimeoutError:
            self._report("probe_runs_wait", count=len(self._waiting))

    async def _store_one(self, run: ProbeRun) -> None:
        try:
            await self._store.store(run)
        except NotStored as error:
            await self._pause(str(error))
            return
        except RunRefused as error:
            self._report("probe_run_refused", stream=run.stream, run_id=run.id, why=str(error))
        except Exception as error:  # a mistake of our own must not keep the others waiting
            self._report("internal_error", stream=run.stream, error=error)
        self._waiting.remove(run)
        if self._failures:
            self._failures = 0
            self._report("probe_store_works_again", waiting=len(self._waiting))

    async def _pause(self, why: str) -> None:
        self._failures += 1
        if self._failures == 1:
            self._report("probe_store_failed", why=why, waiting=len(self._waiting))
        longest_s = min(self._first_pause_s * 2 ** min(self._failures - 1, 10), LONGEST_PAUSE_S)
        await asyncio.sleep(uniform(longest_s / 2, longest_s))  # noqa: S311


@asynccontextmanager
async def stored_runs(
    settings: Settings, client: httpx.AsyncClient, report: Callable[..., None]
) -> AsyncIterator[list[StoredRuns]]:
    """What stores runs where the settings say; nothing where they say nothing."""
    store = _store_of(settings, client)
    if store is None:
        yield []
        return
    try:
        yield [StoredRuns(store, WaitingRuns(settings.podium_data_dir / "probe-runs", report), report)]
    finally:
        await store.close()


def _store_of(settings: Settings, client: httpx.AsyncClient) -> RunStore | None:
    if settings.probe_runs_url:
        return GatewayStore(client, settings.probe_runs_url, settings.probe_runs_token, settings.secret)
    if settings.postgres:
        return DatabaseStore(settings.postgres, pooled_by_pgbouncer=settings.postgres_direct is not None)
    return None
