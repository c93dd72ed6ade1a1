"""The import from the original of telemetry, from real legacy databases: what is taken, and that nothing is twice."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import asyncpg
import pytest

from db.pool import Database
from resolvers.leaderboard_import import Counts
from resolvers.legacy_database import ImportFailed
from resolvers.telemetry import legacy
from resolvers.telemetry.importing import TelemetryImport
from resolvers.telemetry.legacy import open_legacy
from resolvers.telemetry.retention import purge
from tests.harness import NewDatabase, StartGateway
from tests.legacy_telemetry import FIRST_TABLES, OLD_BENCHMARKS, OPENED_AT, LegacyTelemetry, legacy_telemetry

YEAR = timedelta(days=365)
AT = datetime(2020, 8, 19, 9, 38, 5, 398355, UTC)
CONNECTED = {"msg": "system.connected", "ts": "2020-08-19T11:38:05.398355+02:00", "target": "telemetry"}

Run = Callable[..., Awaitable[dict[str, Counts]]]


def ignore(event: str, **facts: Any) -> None:
    """Report to nobody."""


@pytest.fixture
async def original(new_database: NewDatabase) -> AsyncIterator[LegacyTelemetry]:
    async with legacy_telemetry(new_database) as made:
        yield made


@pytest.fixture
def run(db: Database, original: LegacyTelemetry) -> Run:
    """Imports the legacy database, or another one, into the test's database."""

    async def run(url: str = original.url, report: Callable[..., None] = ignore, **options: Any) -> dict[str, Counts]:
        async with open_legacy(url) as opened:
            return await TelemetryImport(opened, db, YEAR, report).run(**options)

    return run


async def rows(connection: asyncpg.Connection, table: str) -> list[asyncpg.Record]:
    """A table of podium's, by id."""
    found: list[asyncpg.Record] = await connection.fetch(f"SELECT * FROM podium.{table} ORDER BY id DESC")  # noqa: S608
    return found


async def test_a_node_and_what_it_said_are_stored_under_the_negatives_of_their_ids(
    original: LegacyTelemetry, run: Run, connection: asyncpg.Connection
) -> None:
    facts = {"name": "n", "chain": "c", "version": "v", "implementation": "i", "authority": True, "startup_time": 7}
    node = await original.node("Qm1", **facts)
    log = await original.log(node, CONNECTED, ts="2020-08-19 09:38:06.5")
    began = datetime.now(UTC)
    assert await run() == {
        **dict.fromkeys(("host_systems", "benchmarks", "benchmark_events"), Counts()),
        "peer_connections": Counts(1, imported=1),
        "substrate_logs": Counts(1, imported=1),
    }
    (peer,) = await rows(connection, "peers")
    assert (peer["peer_id"], peer["created_at"]) == ("Qm1", AT)
    (stored,) = await rows(connection, "peer_connections")
    assert {**stored} == {
        **facts,
        "id": -node,
        "peer_id": peer["id"],
        "writer": 0,
        "ip_addr": "10.0.0.1:5",
        "is_audit": False,
        "has_logs": True,
        "opened_at": AT,
        "closed_at": datetime(2020, 8, 19, 9, 38, 6, 500_000, UTC),
    }
    (message,) = await rows(connection, "peer_logs")
    assert json.loads(message.get("message")) == CONNECTED
    assert message["stored_at"] >= began
    assert {**message} == {
        "id": -log,
        "peer_id": peer["id"],
        "connection_id": -node,
        "ts": stored["closed_at"],
        "is_audit": False,
        "type": "system.connected",
        "target": "telemetry",
        "message": message["message"],
        "stored_at": message["stored_at"],
    }


async def test_messages_are_taken_in_every_form(
    original: LegacyTelemetry, run: Run, connection: asyncpg.Connection
) -> None:
    node = await original.node("Qm1")
    forms = [
        ({"msg": "m" * 129, "target": "t" * 200}, "m" * 128, "t" * 128),
        ({"id": 1, "payload": {"msg": "wrapped", "target": "t"}}, "wrapped", "t"),
        ({"msg": "plain", "payload": {"msg": "inside"}}, "plain", None),
        ({"payload": [1]}, None, None),
        ({"msg": 7, "target": None}, None, None),
        ([1], None, None),
        ("text", None, None),
    ]
    for form, _, _ in forms:
        await original.log(node, form)
    await run()
    found = await rows(connection, "peer_logs")
    assert [(json.loads(row["message"]), row["type"], row["target"]) for row in found] == forms


async def test_nodes_that_did_not_say_who_they_are_stay_unidentified(
    original: LegacyTelemetry, run: Run, connection: asyncpg.Connection
) -> None:
    for peer_id in (None, "", "p" * 257):
        await original.log(await original.node(peer_id), CONNECTED)
    await original.log(99, CONNECTED)  # of a connection that is gone
    await run()
    assert [row["peer_id"] for row in await rows(connection, "peer_connections")] == [None] * 3
    assert [row["peer_id"] for row in await rows(connection, "peer_logs")] == [0] * 4
    assert await rows(connection, "peers") == []


async def test_what_came_by_audit_is_kept_for_ever(
    original: LegacyTelemetry, run: Run, db: Database, connection: asyncpg.Connection
) -> None:
    for is_audit in (True, False):
        await original.log(await original.node("Qm1", audit=is_audit), CONNECTED)
    await original.node("Qm2", audit=True)
    await run()
    assert [row["is_audit"] for row in await rows(connection, "peer_logs")] == [True, False]
    await connection.execute("UPDATE podium.imports SET updated_at = '2021-01-01Z'")
    await connection.execute("UPDATE podium.peer_logs SET stored_at = now() - interval '1 minute'")
    await purge(db, timedelta(seconds=1), partial(asyncio.sleep, 0), ignore)
    assert [row["is_audit"] for row in await rows(connection, "peer_logs")] == [True]
    assert [row["id"] for row in await rows(connection, "peer_connections")] == [-1]
    assert [row["peer_id"] for row in await rows(connection, "peers")] == ["Qm1"]


async def test_what_is_old_there_expires_here_a_full_term_after_its_import(
    original: LegacyTelemetry, run: Run, db: Database, connection: asyncpg.Connection
) -> None:
    await original.log(await original.node("Qm1"), CONNECTED)
    await run()
    await purge(db, YEAR, partial(asyncio.sleep, 0), ignore)
    for table in ("peers", "peer_connections", "peer_logs"):
        assert len(await rows(connection, table)) == 1


async def test_a_repeated_import_brings_what_is_new_and_doubles_nothing(
    original: LegacyTelemetry, run: Run, connection: asyncpg.Connection
) -> None:
    node = await original.node()
    await original.log(node, {"n": 1})
    await original.insert("host_systems", HOST)
    assert (await run())["substrate_logs"] == Counts(1, imported=1)
    await original.connection.execute("UPDATE public.peer_connections SET peer_id = 'Qm1', name = 'n'")
    await original.log(node, {"n": 2})
    await original.node("Qm2")
    assert await run() == {
        **dict.fromkeys(("host_systems", "benchmarks", "benchmark_events"), Counts()),
        "peer_connections": Counts(2, imported=1, present=1),
        "substrate_logs": Counts(1, imported=1),
    }
    assert not any(counts.imported for counts in (await run()).values())
    (peer, other) = sorted(await rows(connection, "peers"), key=lambda row: row["peer_id"])
    assert [(row["peer_id"], row["name"]) for row in await rows(connection, "peer_connections")] == [
        *((peer["id"], "n"), (other["id"], None)),
    ]
    logs = await rows(connection, "peer_logs")
    # Also what it had said before it said who it is.
    assert [(json.loads(row["message"])["n"], row["peer_id"]) for row in logs] == [(1, peer["id"]), (2, peer["id"])]


async def test_an_interrupted_import_goes_on_where_it_was(
    original: LegacyTelemetry, run: Run, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(legacy, "LOGS_ROWS", 3)
    await _many(original, 10)
    taken: list[int] = []

    def stop_at_the_second_batch(event: str, **facts: Any) -> None:
        if event == "rows_taken" and facts["table"] == "substrate_logs":
            taken.append(facts["counts"].read)
            if len(taken) == 2:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await run(report=stop_at_the_second_batch)
    assert len(await rows(connection, "peer_logs")) == 6
    assert (await run())["substrate_logs"] == Counts(4, imported=4)
    assert [row["id"] for row in await rows(connection, "peer_logs")] == [*range(-1, -11, -1)]


async def test_two_imports_at_once_exclude_each_other(
    original: LegacyTelemetry, run: Run, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(legacy, "LOGS_ROWS", 5)
    await _many(original, 200)
    ended = await asyncio.gather(run(), run(), return_exceptions=True)
    failed = [error for error in ended if isinstance(error, BaseException)]
    assert len(failed) < 2
    assert all("another import of the same database is going on" in str(error) for error in failed)
    assert [row["id"] for row in await rows(connection, "peer_logs")] == [*range(-1, -201, -1)]


async def test_large_messages_come_in_batches_that_fit_into_memory(
    original: LegacyTelemetry, run: Run, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(legacy, "LOGS_BYTES", 100)
    await _many(original, 20)
    batches: list[int] = []

    def report(event: str, **facts: Any) -> None:
        if event == "rows_taken" and facts["table"] == "substrate_logs":
            batches.append(facts["counts"].read)

    await run(report=report)
    assert sum(batches) == 20
    assert len(batches) > 1
    assert len(await rows(connection, "peer_logs")) == 20


async def test_rows_that_are_committed_late_are_waited_for(
    original: LegacyTelemetry, run: Run, connection: asyncpg.Connection
) -> None:
    node = await original.node("Qm1")
    late = await asyncpg.connect(original.url)
    transaction = late.transaction()
    await transaction.start()
    await LegacyTelemetry(original.url, late).log(node, {"n": 1})
    await original.log(node, {"n": 2})
    importing_ = asyncio.create_task(run())
    await asyncio.sleep(0.3)  # it would be done by then
    assert not importing_.done()
    await transaction.commit()
    assert (await importing_)["substrate_logs"] == Counts(2, imported=2)
    await late.close()


async def test_it_waits_no_longer_than_it_makes_sense(
    original: LegacyTelemetry, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(legacy, "PATIENCE_S", 0.1)
    late = await asyncpg.connect(original.url)
    async with late.transaction():
        await LegacyTelemetry(original.url, late).node("Qm1")
        with pytest.raises(ImportFailed, match="a transaction has been writing"):
            await run()
    await late.close()


async def test_times_that_no_calendar_has_become_the_nearest(
    original: LegacyTelemetry, run: Run, connection: asyncpg.Connection
) -> None:
    node = await original.node("Qm1", opened_at="-infinity")
    for ts in ("infinity", "0044-03-15 00:00:00 BC", "2099-01-01 00:00:00"):
        await original.log(node, {}, ts=ts)
    await run()
    found = [row["ts"] for row in await rows(connection, "peer_logs")]
    assert [ts.year for ts in found] == [9999, 1, 2099]
    (stored,) = await rows(connection, "peer_connections")
    assert stored["opened_at"].year == 1
    assert abs(stored["closed_at"] - datetime.now(UTC)) < timedelta(minutes=1)


async def test_the_first_version_of_the_original_will_do(
    new_database: NewDatabase, run: Run, connection: asyncpg.Connection
) -> None:
    async with legacy_telemetry(new_database, FIRST_TABLES) as first:
        await first.log(await first.node("Qm1"), CONNECTED)
        assert (await run(first.url)).keys() == {"peer_connections", "substrate_logs"}
    assert [row["is_audit"] for row in await rows(connection, "peer_logs")] == [False]


HOST = {"description": "d", "os": "o", "cpu_qty": 1, "cpu_clock": 2, "ram_mb": 3, "disk_info": "i"}
BENCHMARK = {"setup": {"substrate": {"peerId": "Qm1"}}, "created_at": OPENED_AT}
EVENT = {"name": "n", "phase": "p", "created_at": OPENED_AT}


async def test_benchmarks_keep_their_ids_and_podiums_own_come_after(
    original: LegacyTelemetry, run: Run, connection: asyncpg.Connection
) -> None:
    await original.insert("host_systems", {"id": 9, **HOST})
    await original.insert("benchmarks", {"id": 7, **BENCHMARK})
    await original.insert("benchmarks", {"id": 8, "created_at": OPENED_AT})
    await original.insert("benchmark_events", {"id": 5, "benchmark_id": 7, **EVENT})
    assert [counts.imported for counts in (await run()).values()][:3] == [1, 2, 1]
    (host,) = await rows(connection, "host_systems")
    assert {name: host[name] for name in HOST} == HOST
    none, benchmark = await rows(connection, "benchmarks")
    assert (benchmark["id"], json.loads(benchmark["setup"]), benchmark["created_at"]) == (7, BENCHMARK["setup"], AT)
    assert (none["id"], none["setup"], none["host_system_id"]) == (8, None, None)
    (event,) = await rows(connection, "benchmark_events")
    assert {**event} == {**EVENT, "id": 5, "benchmark_id": 7, "created_at": AT}
    for table, next_id in (("host_systems", 10), ("benchmarks", 9), ("benchmark_events", 6)):
        assert await connection.fetchval("SELECT nextval($1::regclass)", f"podium.{table}_id_seq") == next_id
    await original.insert("benchmark_events", {"id": 11, "benchmark_id": 8, **EVENT})
    assert [counts.imported for counts in (await run()).values()][:3] == [0, 0, 1]


async def test_benchmarks_of_the_older_form_stay_so(
    original: LegacyTelemetry, run: Run, connection: asyncpg.Connection
) -> None:
    await original.connection.execute(OLD_BENCHMARKS)
    host = await original.insert("host_systems", HOST)
    times = {"ts_start": OPENED_AT, "ts_end": "2020-08-20 00:00:00"}
    await original.insert(
        "benchmarks", {**times, "description": "d", "benchmark_spec": {"a": 1}, "host_system_id": host}
    )
    await run()
    (benchmark,) = await rows(connection, "benchmarks")
    assert (benchmark["created_at"], benchmark["started_at"], benchmark["ended_at"]) == (
        *(AT, AT, datetime(2020, 8, 20, tzinfo=UTC)),
    )
    assert (benchmark["host_system_id"], benchmark["description"], benchmark["setup"]) == (host, "d", None)
    assert (json.loads(benchmark["benchmark_spec"]), benchmark["chain_spec"]) == ({"a": 1}, None)


async def test_benchmarks_of_podiums_own_stop_it_before_anything_is_written(
    original: LegacyTelemetry, run: Run, connection: asyncpg.Connection
) -> None:
    await original.insert("host_systems", HOST)
    await original.insert("benchmarks", BENCHMARK)
    await original.log(await original.node("Qm1"), CONNECTED)
    await connection.execute("INSERT INTO podium.benchmarks (setup) VALUES ('{}')")
    with pytest.raises(ImportFailed, match=r"podium has benchmarks of its own .* leave them out with --no-benchmarks"):
        await run()
    for table in ("host_systems", "peers", "peer_connections", "peer_logs"):
        assert await rows(connection, table) == []
    assert await connection.fetchval("SELECT count(*) FROM podium.imports") == 0
    assert (await run(with_benchmarks=False)).keys() == {"peer_connections", "substrate_logs"}
    assert len(await rows(connection, "peer_logs")) == 1


async def test_a_second_database_is_refused(
    original: LegacyTelemetry, run: Run, new_database: NewDatabase, connection: asyncpg.Connection
) -> None:
    await run()
    async with legacy_telemetry(new_database) as other:
        await other.node("Qm1")
        with pytest.raises(ImportFailed, match="imported from another database before"):
            await run(other.url)
    assert await rows(connection, "peers") == []


async def test_a_database_without_the_tables_is_refused(run: Run, new_database: NewDatabase) -> None:
    made = await new_database(template="template0")
    with pytest.raises(ImportFailed, match="no table peer_connections of the original of telemetry"):
        await run(made.logins.superuser)


async def test_what_was_imported_is_answered_under_the_old_urls(
    original: LegacyTelemetry, run: Run, start_gateway: StartGateway
) -> None:
    node = await original.node("Qm1", name="n")
    await original.log(node, CONNECTED)
    await run()
    running = await start_gateway()
    (shown,) = (await running.client.get("/nodes")).json()
    assert (shown["id"], shown["peer_id"], shown["name"]) == (-node, "Qm1", "n")
    (log,) = (await running.client.get("/nodes/logs?peer_id=Qm1")).json()
    assert (log["created_at"], log["msg"], log["ip_addr"]) == (
        "2020-08-19T09:38:05.398355",
        *("system.connected",),
        "10.0.0.1:5",
    )


async def _many(original: LegacyTelemetry, number: int) -> None:
    await original.node("Qm1")
    await original.connection.execute(
        "INSERT INTO public.substrate_logs (logs, peer_connection_id)"
        """ SELECT jsonb_build_object('msg', 'block.import', 'n', i), 1 FROM generate_series(1, $1::integer) AS i""",
        number,
    )
