"""Who may watch what, against a model of it: whatever comes, in any order, with leases that end and other settings."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from db.pool import Pool, PoolOptions
from resolvers.errors import from_driver
from resolvers.streams.deciding import Ask, Rules, Verdict, decide
from resolvers.streams.tidying import expire, forget_unused
from resolvers.streams.viewers import viewers_by_id
from tests.harness import Database

START = datetime(2026, 3, 1, tzinfo=UTC)
VIEWERS, STREAMS = ("v1", "v2"), ("s1", "s2", "s3", "s4", "s5")
ASKS = st.lists(
    st.builds(
        Ask,
        viewer=st.sampled_from((*VIEWERS, "nobody", "")),
        stream=st.sampled_from((*STREAMS, "nothing", "")),
        activates=st.booleans() | st.just(True),
    ),
    min_size=1,
    max_size=12,
)


class Model:
    """What each viewer watches, and until when."""

    def __init__(self) -> None:
        self.watched: dict[str, dict[str, float | None]] = {viewer: {} for viewer in VIEWERS}
        self.limits: dict[str, int] = {}

    def decide(self, ask: Ask, rules: Rules, now_s: float) -> Verdict:
        if ask.viewer not in self.watched:
            return Verdict.UNKNOWN_VIEWER
        held = self.held(ask.viewer, now_s)
        until = None if rules.lease_s is None else now_s + rules.lease_s
        is_held = ask.stream in held
        if not is_held and ask.stream not in STREAMS:
            return Verdict.UNKNOWN_STREAM
        if not ask.activates:
            held.pop(ask.stream, None)
            return Verdict.DEACTIVATED if is_held else Verdict.WAS_NOT_ACTIVE
        if not is_held and len(held) >= self.limits.get(ask.viewer, rules.limit):
            return Verdict.LIMIT_REACHED
        held[ask.stream] = until
        return Verdict.RENEWED if is_held else Verdict.ACTIVATED

    def held(self, viewer: str, now_s: float) -> dict[str, float | None]:
        watched = self.watched[viewer]
        for stream in [stream for stream, until in watched.items() if until is not None and until <= now_s]:
            del watched[stream]
        return watched


class Watching(RuleBasedStateMachine):
    """Gateways come and go, time goes on, and viewers ask."""

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.model, self.now_s, self.rules = Model(), 0.0, Rules(3)
        self.pool = self.runner.run(opened(self.url))

    @property
    def now(self) -> datetime:
        return START + timedelta(seconds=self.now_s)

    @initialize()
    def nobody_watches(self) -> None:
        self.runner.run(fresh(self.url))

    @rule(asks=ASKS)
    def they_ask(self, asks: list[Ask]) -> None:
        decided = self.runner.run(decide(self.pool, asks, self.rules, self.now))
        assert decided.verdicts == [self.model.decide(ask, self.rules, self.now_s) for ask in asks]

    @rule(seconds=st.sampled_from((0.001, 1, 29.999, 30, 31, 3600)))
    def time_goes_on(self, seconds: float) -> None:
        self.now_s = round(self.now_s + seconds, 3)

    @rule(batch=st.sampled_from((1, 1000)))
    def the_leader_tidies(self, batch: int) -> None:
        self.runner.run(expire(self.pool, self.now, batch))

    @rule()
    def unused_ids_go(self) -> None:
        self.runner.run(forget_unused(self.pool, -1e9, lambda *_, **__: None, self.now))
        self.runner.run(fresh(self.url, anew=False))

    @rule(limit=st.sampled_from((0, 1, 3)), lease_s=st.sampled_from((None, 30, 60)))
    def a_gateway_starts_with_other_settings(self, limit: int, lease_s: float | None) -> None:
        self.runner.run(self.pool.close())
        self.pool, self.rules = self.runner.run(opened(self.url)), Rules(limit, lease_s)

    @rule(viewer=st.sampled_from(VIEWERS), limit=st.sampled_from((None, 0, 2, 4)))
    def a_viewer_gets_a_limit(self, viewer: str, limit: int | None) -> None:
        self.runner.run(limited(self.url, viewer, limit))
        self.model.limits.pop(viewer, None)
        if limit is not None:
            self.model.limits[viewer] = limit

    @invariant()
    def they_watch_what_the_model_has(self) -> None:
        shown = self.runner.run(viewers_by_id(self.pool, VIEWERS, default_limit=self.rules.limit, at=self.now))
        for id_, viewer in zip(VIEWERS, shown, strict=True):
            assert viewer
            held = self.model.held(id_, self.now_s)
            found = {s.id: s.expires_at and (s.expires_at - START).total_seconds() for s in viewer.active_streams}
            assert found == pytest.approx(held)

    def teardown(self) -> None:
        self.runner.run(self.pool.close())
        self.runner.close()


async def opened(url: str) -> Pool:
    pool = Pool(url, PoolOptions(size=2, timeout_s=10), from_driver)
    await pool.open()
    return pool


async def fresh(url: str, *, anew: bool = True) -> None:
    connection = await asyncpg.connect(url)
    if anew:
        await connection.execute("TRUNCATE podium.viewers, podium.streams")
    for table, ids in (("viewers", VIEWERS), ("streams", STREAMS)):
        add = f"INSERT INTO podium.{table} (id) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING"
        await connection.execute(add, ids)
    await connection.close()


async def limited(url: str, viewer: str, limit: int | None) -> None:
    connection = await asyncpg.connect(url)
    set_limit = "UPDATE podium.viewers SET stream_limit = $2, is_used = true WHERE id = $1"
    await connection.execute(set_limit, viewer, limit)
    await connection.close()


async def test_whatever_comes_viewers_watch_what_a_model_of_them_does(database: Database) -> None:
    machine: Any = type("Machine", (Watching,), {"url": database.logins.superuser})
    few = settings(max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck))
    await asyncio.to_thread(run_state_machine_as_test, machine, settings=few)
