"""Runs of the prober on their way into the database: by a gateway or directly, once, whatever is away meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import orjson
import pytest
from starlette.requests import Request
from starlette.responses import Response

from gateway.probe_forms import RECORD_PROBE_RUN, stored_form
from gateway.probe_reports import StoredRuns, stored_runs
from gateway.run_stores import DatabaseStore, GatewayStore, NotStored, RunRefused, RunStore
from gateway.settings import Settings
from gateway.waiting_runs import WaitingRuns
from prober.run import Run
from tests.harness import (
    SECRET,
    TOKEN_SECRET,
    Database,
    NewDatabase,
    Running,
    StartGateway,
    bearer,
    eventually,
    serving_answers,
)
from tests.probes import a_failed_run, a_run

DOCS = Path(__file__).parents[2] / "docs" / "probe.md"
IDS = "SELECT array_agg(id ORDER BY recorded_at, id) FROM podium.probe_runs"
TOKEN = bearer(scope="publish")["Authorization"].removeprefix("Bearer ")


class Events:
    """What is reported."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, event: str, **facts: Any) -> None:
        self.heard.append((event, facts))

    @property
    def names(self) -> list[str]:
        """The events."""
        return [name for name, _ in self.heard]


class Switched:
    """A store that can be away."""

    def __init__(self, store: RunStore) -> None:
        self.store_behind = store
        self.is_away = True
        self.asked = 0

    async def store(self, run: Any) -> None:
        """Store a run, or not."""
        self.asked += 1
        if self.is_away:
            raise NotStored("away")
        await self.store_behind.store(run)

    async def close(self) -> None:
        """Let go."""
        await self.store_behind.close()


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient() as client:
        yield client


@asynccontextmanager
async def at_work(reports: StoredRuns) -> AsyncIterator[StoredRuns]:
    task = asyncio.create_task(reports.run())
    yield reports
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def settings_of(tmp_path: Path, **given: Any) -> Settings:
    return Settings(_env_file=None, podium_data_dir=tmp_path, **given)


async def tell(settings: Settings, *runs: Run) -> Events:
    """Report runs as `podium probe` does, and end."""
    events = Events()
    async with httpx.AsyncClient() as client, stored_runs(settings, client, events) as (reports,), at_work(reports):
        for run in runs:
            await reports(run)
        await reports.stored(5)
    return events


async def stored_ids(connection: asyncpg.Connection) -> list[str]:
    return await connection.fetchval(IDS) or []


RUNS = (a_run("a"), a_failed_run("b"), a_run("c"))


async def test_runs_are_stored_by_a_gateway_that_trusts_a_token(
    start_gateway: StartGateway, connection: asyncpg.Connection, tmp_path: Path
) -> None:
    running = await start_gateway(jwt_secret=TOKEN_SECRET, secret=None)
    events = await tell(settings_of(tmp_path, probe_runs_url=running.url, probe_runs_token=TOKEN), *RUNS)
    assert await stored_ids(connection) == ["a", "b", "c"]
    assert events.names == []
    assert list((tmp_path / "probe-runs").iterdir()) == []


async def test_runs_are_stored_by_a_gateway_that_shares_a_secret(
    running: Running, connection: asyncpg.Connection, tmp_path: Path
) -> None:
    await tell(settings_of(tmp_path, probe_runs_url=f"{running.url}/graphql", secret=SECRET), *RUNS)
    assert await stored_ids(connection) == ["a", "b", "c"]


async def test_runs_are_stored_in_a_database(
    database: Database, connection: asyncpg.Connection, tmp_path: Path
) -> None:
    await tell(settings_of(tmp_path, postgres=database.logins.writer), *RUNS)
    assert await stored_ids(connection) == ["a", "b", "c"]


async def test_nothing_is_stored_where_nothing_says_so(client: httpx.AsyncClient, tmp_path: Path) -> None:
    async with stored_runs(settings_of(tmp_path), client, Events()) as stores:
        assert stores == []


@pytest.mark.parametrize("way", ["gateway", "database"])
async def test_all_that_a_run_tells_is_stored_by_either_way(
    running: Running, database: Database, client: httpx.AsyncClient, connection: asyncpg.Connection, way: str
) -> None:
    stores: dict[str, RunStore] = {
        "gateway": GatewayStore(client, running.url, None, SECRET),
        "database": DatabaseStore(database.logins.writer),
    }
    for run in (a_run("whole", orchestrator="0x1"), a_failed_run("failed")):
        await stores[way].store(stored_form(run))
        row = await connection.fetchrow("SELECT * FROM podium.probe_runs WHERE id = $1", run.id)
        told = stored_form(run)
        for name in told.__struct_fields__:
            if name != "renditions":
                assert (list(row[name]) if name == "expected_renditions" else row[name]) == (
                    list(getattr(told, name)) if name == "expected_renditions" else getattr(told, name)
                )
        assert orjson.loads(row["renditions"]) == orjson.loads(orjson.dumps([to_dict(it) for it in told.renditions]))
    for store in stores.values():
        await store.close()


def to_dict(struct: Any) -> Any:
    return {
        name: to_dict(value) if hasattr(value, "__struct_fields__") else value
        for name in struct.__struct_fields__
        for value in [getattr(struct, name)]
    }


async def test_runs_wait_while_their_store_is_away_and_come_in_order(
    database: Database, connection: asyncpg.Connection, tmp_path: Path
) -> None:
    events, store = Events(), Switched(DatabaseStore(database.logins.writer))
    async with at_work(StoredRuns(store, WaitingRuns(tmp_path, events), events, first_pause_s=0.01)) as reports:
        for run in RUNS:
            await reports(run)
        await eventually(lambda: store.asked >= 3)
        assert await stored_ids(connection) == []
        store.is_away = False
        await reports.stored(5)
    await store.close()
    assert await stored_ids(connection) == ["a", "b", "c"]
    assert events.heard[0] == ("probe_store_failed", {"why": "away", "waiting": events.heard[0][1]["waiting"]})
    assert events.names == ["probe_store_failed", "probe_store_works_again"]


async def test_runs_wait_over_a_restart(database: Database, connection: asyncpg.Connection, tmp_path: Path) -> None:
    events, away = Events(), Switched(DatabaseStore(database.logins.writer))
    async with at_work(StoredRuns(away, WaitingRuns(tmp_path / "probe-runs", events), events)) as reports:
        for run in reversed(RUNS):
            await reports(run)
        await reports.stored(0.1)
    assert events.names[-1] == "probe_runs_wait"
    assert events.heard[-1][1] == {"count": 3}
    await tell(settings_of(tmp_path, postgres=database.logins.writer), a_run("d"))
    assert await stored_ids(connection) == ["a", "b", "c", "d"]


async def test_a_run_is_stored_once_when_its_answer_is_lost(
    database: Database, connection: asyncpg.Connection, tmp_path: Path
) -> None:
    store = DatabaseStore(database.logins.writer)
    await store.store(stored_form(RUNS[0]))
    await store.store(stored_form(RUNS[0]))
    await store.close()
    assert await stored_ids(connection) == ["a"]


async def test_a_run_that_is_refused_holds_up_no_other(
    running: Running, connection: asyncpg.Connection, tmp_path: Path
) -> None:
    settings = settings_of(tmp_path, probe_runs_url=running.url, secret=SECRET)
    events = await tell(settings, a_run("x" * 200), a_run("b"))
    assert await stored_ids(connection) == ["b"]
    assert events.names == ["probe_run_refused"]
    assert events.heard[0][1]["why"] == "input.runId: 1 to 128 characters, not 200"
    assert list((tmp_path / "probe-runs").iterdir()) == []


async def test_a_database_refuses_what_a_gateway_refuses(database: Database) -> None:
    store = DatabaseStore(database.logins.writer)
    with pytest.raises(RunRefused, match="id: 1 to 128"):
        await store.store(stored_form(a_run("")))
    await store.close()


async def test_what_may_pass_is_not_taken_for_a_refusal(
    start_gateway: StartGateway, new_database: NewDatabase, client: httpx.AsyncClient
) -> None:
    running = await start_gateway(jwt_secret=TOKEN_SECRET)
    run = stored_form(a_run())
    wrong = bearer(secret="another" * 8, scope="publish")["Authorization"].removeprefix("Bearer ")
    poor = bearer(scope="read")["Authorization"].removeprefix("Bearer ")
    for token, why in ((wrong, "UNAUTHENTICATED"), (poor, "FORBIDDEN"), (None, "UNAUTHENTICATED")):
        with pytest.raises(NotStored, match=why):
            await GatewayStore(client, running.url, token, None).store(run)
    with pytest.raises(NotStored, match="ConnectError"):
        await GatewayStore(client, "http://127.0.0.1:1", TOKEN, None).store(run)
    nobody = DatabaseStore("postgresql://nobody:x@127.0.0.1:1/podium")
    with pytest.raises(NotStored, match="UNAVAILABLE"):
        await nobody.store(run)
    await nobody.close()


ANSWERS = [b"", b"[]", b"{}", b'{"data": null}', b'{"data": {"recordProbeRun": {"errors": null}}}', b"<html>", b"null"]


@pytest.mark.parametrize("body", ANSWERS)
async def test_an_answer_that_says_nothing_is_no_success(client: httpx.AsyncClient, body: bytes) -> None:
    async def answer(request: Request) -> Response:
        return Response(body, status_code=502)

    async with serving_answers(answer, "/graphql", "POST") as url:
        with pytest.raises(NotStored, match="HTTP status 502"):
            await GatewayStore(client, url, None, None).store(stored_form(a_run()))


def test_the_oldest_run_is_lost_when_too_many_wait(tmp_path: Path) -> None:
    events = Events()
    waiting = WaitingRuns(tmp_path, events, most=2)
    for run in RUNS:
        waiting.add(stored_form(run))
    assert waiting.first() == stored_form(RUNS[1])
    assert (len(waiting), len(list(tmp_path.iterdir()))) == (2, 2)
    assert events.heard == [("probe_run_lost", {"stream": "fra-to-lax", "run_id": "a"})]


def test_runs_wait_in_memory_where_there_is_no_directory(tmp_path: Path) -> None:
    events, path = Events(), tmp_path / "file"
    path.write_text("in the way")
    waiting = WaitingRuns(path / "probe-runs", events)
    waiting.add(stored_form(RUNS[0]))
    assert waiting.first() == stored_form(RUNS[0])
    waiting.remove(stored_form(RUNS[0]))
    assert len(waiting) == 0
    assert set(events.names) == {"probe_runs_dir_failed"}


def test_a_file_that_is_damaged_does_not_hold_up_the_others(tmp_path: Path) -> None:
    waiting = WaitingRuns(tmp_path, Events())
    waiting.add(stored_form(RUNS[0]))
    for name, content in (("x.json", b"{"), ("y.json", b"{}"), ("z.part", b"")):
        (tmp_path / name).write_bytes(content)
    events = Events()
    assert len(WaitingRuns(tmp_path, events)) == 1
    assert events.names == ["probe_runs_dir_failed"] * 2


def test_the_documented_operation_is_the_one_that_is_sent() -> None:
    assert RECORD_PROBE_RUN in DOCS.read_text()
