"""The import from the original leaderboard, from real legacy databases: what is taken, what is refused, never twice."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from db.pool import Database as Pools
from db.pool import Pool, PoolOptions
from resolvers.errors import from_driver
from resolvers.leaderboard_import import FIRST_ID, OVERLAP, Counts, Import, Refusal, Rehearsal, Summary, Target
from resolvers.legacy_database import ImportFailed
from resolvers.legacy_leaderboard import imported_id, open_legacy
from tests.conformance.replay import replay
from tests.harness import SECRET, Database, NewDatabase, StartGateway
from tests.legacy import MODEL, PAYLOAD, POSTED_AT, RECORDED_AT, V1_TABLES, Legacy, legacy_database

DUMP = Path(__file__).parents[3] / "shared" / "conformance" / "legacy_leaderboard.sql.gz"
REGION_TABLES = [
    *("ash", "atl", "atl2", "fra", "hnd", "hou", "lax", "lon", "mad", "mdw", "mia", "mos2", "nyc", "prg", "sao", "sea"),
    *("sin", "sjo", "sto", "syd", "tor"),
]

REFUSED = [
    ({"payload": MODEL, "region": "ATL"}, "invalid region: ATL is not known for ai jobs"),
    ({"region": "OLD"}, "invalid region: OLD is not known for transcoding jobs"),
    ({"region": None}, "invalid region: the row has none"),
    ({"payload": {"round_trip_time": -1.5}}, "round_trip_time: a number from 0 to 1e+100, not -1.5"),
    ({"payload": {"success_rate": "1"}}, "success_rate: Expected float, got str"),
    ({"payload": {"timestamp": 1.5}}, "timestamp: Expected int, got float"),
    ({"payload": {"model": "m" * 257, "pipeline": "p"}}, "model: at most 256 characters, not 257"),
    ({"payload": "[1]"}, "payload: it is no JSON object"),
    ({"payload": "null"}, "payload: it is no JSON object"),
    ({"payload": '{"seg_duration": 1e400}'}, "payload: number is infinity when parsed as double"),
    ({"payload": {"x": json.loads("[" * 300 + "]" * 300)}}, "x: nested too deeply"),
    ({"orchestrator": ""}, "orchestrator is a required field"),
    ({"orchestrator": "İ" * 56}, "orchestrator: at most 56 characters, not 112"),
    (
        {"at": datetime.max.replace(tzinfo=UTC)},
        "event_time: the time of recording, before the year 10000",
    ),
    ({"id": -5}, "id: a number from 1 to 1099511627775, not -5"),
]


@dataclass
class Report:
    """What an import reported."""

    refusals: list[Refusal] = field(default_factory=list)
    batches: list[Counts] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    on_batch: Callable[[], None] = lambda: None

    def __call__(self, event: str, **facts: Any) -> None:
        if event == "row_refused":
            self.refusals.append(facts["refusal"])
        elif event == "table_opened":
            self.rows[facts["table"]] = facts["rows"]
        else:
            self.batches.append(facts["counts"])
            self.on_batch()

    @property
    def reasons(self) -> dict[int, str]:
        """Why, by the row's id."""
        return {refusal.id: refusal.reason for refusal in self.refusals}


RunImport = Callable[..., Awaitable[Summary]]


@pytest.fixture
async def legacy(new_database: NewDatabase) -> AsyncIterator[Legacy]:
    async with legacy_database(new_database) as made:
        yield made


@pytest.fixture
async def v1(legacy: Legacy) -> Legacy:
    """A legacy database of v1, with regions and without events."""
    await legacy.connection.execute(V1_TABLES)
    return legacy


@pytest.fixture
def report() -> Report:
    return Report()


@pytest.fixture
async def run(database: Database, legacy: Legacy, report: Report) -> AsyncIterator[RunImport]:
    """Imports the legacy database, or another one, into the test's database."""
    pool = Pool(database.logins.writer, PoolOptions(size=1, timeout_s=60), from_driver)
    await pool.open()
    pools = Pools(write=pool, read=pool)

    async def run(url: str = legacy.url, *, dry_run: bool = False, from_start: bool = False) -> Summary:
        async with open_legacy(url) as opened:
            target = Rehearsal(pools) if dry_run else Target(pools)
            return await Import(opened, target, report).run(from_start=from_start)

    yield run
    await pool.close()


async def results(connection: asyncpg.Connection) -> dict[int, asyncpg.Record]:
    """What podium has stored, by id."""
    rows = await connection.fetch(
        "SELECT r.*, o.address, g.code, g.job_type, m.name AS model, p.name AS pipeline FROM podium.results AS r"
        " JOIN podium.orchestrators AS o ON o.id = r.orchestrator_id JOIN podium.regions AS g ON g.id = r.region_id"
        " LEFT JOIN podium.models AS m ON m.id = r.model_id LEFT JOIN podium.pipelines AS p ON p.id = m.pipeline_id"
    )
    return {row["id"]: row for row in rows}


async def test_an_event_is_recorded_when_it_was_inserted_under_the_negative_of_its_id(
    v1: Legacy, run: RunImport, connection: asyncpg.Connection
) -> None:
    id_ = await v1.event({"upload_time": 0.25, "segments_sent": 7, "node_version": "1.2"}, orchestrator="0xABcd")
    assert (await run()).total == Counts(read=1, imported=1)
    row = (await results(connection))[-id_]
    assert (row["recorded_at"], row["timestamp"], row["address"], row["code"], row["job_type"]) == (
        *(RECORDED_AT, POSTED_AT, "0xabcd", "FRA", "transcoding"),
    )
    assert (row["round_trip_time"], row["upload_time"], row["segments_sent"]) == (2.5, 0.25, 7)
    assert json.loads(row["payload"]) == {"node_version": "1.2"}


async def test_the_columns_of_an_event_count_and_not_its_payload(
    v1: Legacy, run: RunImport, connection: asyncpg.Connection
) -> None:
    await v1.event({"region": "NOWHERE", "orchestrator": 17}, orchestrator="0xb", region="BER")
    await run()
    assert [(row["address"], row["code"]) for row in (await results(connection)).values()] == [("0xb", "BER")]


async def test_errors_are_taken_in_every_form(v1: Legacy, run: RunImport, connection: asyncpg.Connection) -> None:
    forms = [None, ["Timeout"], [{"error_code": "X", "message": "", "count": 2}], [{"error_code": None, "count": None}]]
    ids = [await v1.event({"errors": form}) for form in forms]
    await run()
    rows = await results(connection)
    assert [json.loads(rows[-id_]["errors"] or "null") for id_ in ids] == [
        None,
        [{"error_code": "Timeout", "count": 1}],
        [{"error_code": "X", "count": 2}],
        [{"error_code": "", "count": 0}],
    ]


async def test_a_null_field_counts_as_absent(v1: Legacy, run: RunImport, connection: asyncpg.Connection) -> None:
    id_ = await v1.event({"success_rate": None, "seg_duration": None, "model": None, "pipeline": None})
    assert (await run()).total.imported == 1
    row = (await results(connection))[-id_]
    assert (row["success_rate"], row["seg_duration"], row["job_type"]) == (0, None, "transcoding")


async def test_a_result_is_ai_when_it_has_both_model_and_pipeline(
    v1: Legacy, run: RunImport, connection: asyncpg.Connection
) -> None:
    ids = [await v1.event(MODEL | more) for more in ({}, {"model": ""}, {"model": None}, {"pipeline": ""})]
    await run()
    rows = await results(connection)
    assert [rows[-id_]["job_type"] for id_ in ids] == ["ai", "transcoding", "transcoding", "transcoding"]
    assert (rows[-ids[0]]["model"], rows[-ids[0]]["pipeline"]) == ("m/1", "text-to-image")
    assert json.loads(rows[-ids[1]]["payload"]) == {"pipeline": "text-to-image"}


async def test_rows_that_cannot_be_taken_are_reported_and_the_others_are_imported(
    v1: Legacy, run: RunImport, report: Report, connection: asyncpg.Connection
) -> None:
    sound, refused = [await v1.event()], {}
    for row, reason in REFUSED:
        refused[await v1.event(**row)] = reason
        sound.append(await v1.event())
    counts = Counts(len(sound) + len(refused), imported=len(sound), refused=len(refused))
    assert (await run()).tables == {"events": counts}
    assert report.reasons == refused
    assert (await results(connection)).keys() == {-id_ for id_ in sound}


@pytest.mark.parametrize("dry_run", [False, True])
async def test_what_is_older_than_results_are_kept_is_refused(
    v1: Legacy, run: RunImport, report: Report, connection: asyncpg.Connection, dry_run: bool
) -> None:
    since = datetime(2024, 5, 6, tzinfo=UTC)
    await connection.execute("UPDATE podium.rollup_state SET results_since = $1", since)
    old = await v1.event(at=since - timedelta(microseconds=1))
    await v1.event(at=since)
    assert (await run(dry_run=dry_run)).total == Counts(read=2, imported=1, refused=1)
    assert report.reasons == {old: "recorded before 2024-05-06, and such results are kept no longer"}


async def test_what_expires_during_a_long_import_is_refused_from_then_on(
    v1: Legacy, run: RunImport, report: Report, connection: asyncpg.Connection
) -> None:
    await v1.events(2001)
    expiring: list[asyncio.Task[str]] = []

    def expire() -> None:
        if not expiring:
            moved = connection.execute("UPDATE podium.rollup_state SET results_since = '2126-01-01'")
            expiring.append(asyncio.create_task(moved))

    report.on_batch = expire
    total = (await run()).total
    assert (total.present, total.imported + total.refused) == (0, 2001)
    assert total.imported >= 1000
    assert total.refused == len(report.refusals) >= 1
    await expiring[0]


async def test_what_expires_while_it_is_being_stored_is_refused(
    v1: Legacy, run: RunImport, report: Report, connection: asyncpg.Connection
) -> None:
    old = await v1.event(at=datetime(2024, 5, 6, tzinfo=UTC))
    await v1.event(at=datetime(2024, 5, 8, tzinfo=UTC))
    async with connection.transaction():
        await connection.execute("UPDATE podium.rollup_state SET results_since = '2024-05-07'")
        running = asyncio.create_task(run())
        while not await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            await asyncio.sleep(0.01)
    assert (await running).total == Counts(read=2, imported=1, refused=1)
    assert report.reasons == {old: "recorded before 2024-05-07, and such results are kept no longer"}


async def test_a_refused_row_is_reported_with_its_payload(v1: Legacy, run: RunImport, report: Report) -> None:
    await v1.event('[1, "two"]')
    await run()
    assert report.refusals == [Refusal("events", 1, "payload: it is no JSON object", '[1, "two"]')]


async def test_a_row_that_only_the_database_refuses_takes_no_other_with_it(
    v1: Legacy, run: RunImport, report: Report, connection: asyncpg.Connection
) -> None:
    await connection.execute("ALTER TABLE podium.results ADD CONSTRAINT unlucky CHECK (round_trip_time <> 13)")
    await connection.execute("ALTER TABLE podium.orchestrators ADD CONSTRAINT unloved CHECK (address <> '0xbad')")
    for number in range(8):
        await v1.event({"round_trip_time": 13 if number == 2 else 1}, orchestrator="0xbad" if number == 6 else "0xb")
    assert (await run()).total == Counts(read=8, imported=6, refused=2)
    assert report.reasons.keys() == {3, 7}
    assert report.reasons[3].startswith("the database refuses it: ")
    assert "unlucky" in report.reasons[3]
    assert "\n" not in report.reasons[3]


async def test_regions_of_the_source_are_registered_and_known_ones_keep_their_names(
    v1: Legacy, run: RunImport, connection: asyncpg.Connection
) -> None:
    summary = await run()
    assert (summary.regions, summary.new_regions) == (6, 3)
    names = await connection.fetch(
        "SELECT code, job_type, name FROM podium.regions WHERE code = ANY ($1)",
        ["FRA", "ATL", "BER", "OSL", "OLD", "GPU", ""],
    )
    assert {tuple(row) for row in names} == {
        *(("FRA", "transcoding", "Frankfurt"), ("FRA", "ai", "Frankfurt"), ("ATL", "transcoding", "Atlanta")),
        *(("BER", "transcoding", "Berlin"), ("BER", "ai", "Berlin"), ("OSL", "transcoding", "OSL")),
    }


async def test_times_of_long_ago_and_far_apart_find_their_partitions(
    v1: Legacy, run: RunImport, connection: asyncpg.Connection
) -> None:
    years = (2, 1970, 2021, 2024, 9998)
    for year in years:
        await v1.event(at=datetime(year, 3, 1, 12, tzinfo=UTC))
    before = await connection.fetchval("SELECT count(*) FROM pg_class WHERE relname ~ '^results_[0-9_]+$'")
    assert (await run()).total.imported == len(years)
    stored = [row["recorded_at"].year for row in (await results(connection)).values()]
    after = await connection.fetchval("SELECT count(*) FROM pg_class WHERE relname ~ '^results_[0-9_]+$'")
    assert (sorted(stored), after - before) == ([*years], len(years))


async def test_rows_of_before_v1_that_are_among_the_events_are_left_out(
    v1: Legacy, run: RunImport, connection: asyncpg.Connection
) -> None:
    copied, only_here = PAYLOAD | {"timestamp": POSTED_AT + 1}, PAYLOAD | {"timestamp": POSTED_AT + 2}
    await v1.event(copied)
    await v1.event(only_here | {"region": "BER"}, region="BER")  # equal but for the region: another result
    await v1.region_table("fra", copied, only_here | {"region": "BER"}, only_here, copied, only_here)
    summary = await run()
    assert summary.tables == {"events": Counts(2, imported=2), "fra": Counts(5, imported=3, present=2)}
    rows = await results(connection)
    assert {row["code"] for id_, row in rows.items() if id_ < -(2**40)} == {"FRA"}
    assert len(rows) == 5


async def test_a_database_of_before_v1_has_the_posters_times_only(
    legacy: Legacy, run: RunImport, report: Report, connection: asyncpg.Connection
) -> None:
    await legacy.region_table("fra", PAYLOAD | {"orchestrator": "0xAB"}, PAYLOAD | MODEL, PAYLOAD | {"model": "m/1"})
    await legacy.region_table(
        "atl", PAYLOAD | MODEL, PAYLOAD | {"orchestrator": "0" * 57}, None, PAYLOAD | {"timestamp": None}
    )
    await legacy.region_table("atl", PAYLOAD | {"timestamp": POSTED_AT * 1000})
    assert (await run()).tables == {"fra": Counts(3, imported=3), "atl": Counts(5, refused=5)}
    rows = await results(connection)
    assert {row["recorded_at"] for row in rows.values()} == {datetime.fromtimestamp(POSTED_AT, UTC)}
    assert [rows[imported_id("fra", id_)]["job_type"] for id_ in (1, 2, 3)] == ["transcoding", "ai", "transcoding"]
    assert rows[imported_id("fra", 1)]["address"] == "0xab"
    no_time = "timestamp: the time of recording, before the year 10000"
    assert report.reasons == {
        1: "invalid region: ATL is not known for ai jobs",
        2: "orchestrator: at most 56 characters, not 57",
        3: "payload: it is no JSON object",
        4: no_time,
        5: no_time,
    }


async def test_every_table_of_before_v1_is_read(legacy: Legacy, run: RunImport) -> None:
    for name in REGION_TABLES:
        await legacy.region_table(name, PAYLOAD)
    summary = await run()
    assert list(summary.tables) == REGION_TABLES
    assert summary.total == Counts(read=21, imported=21)


async def test_nothing_is_doubled_when_the_original_was_upgraded_between_two_imports(
    legacy: Legacy, run: RunImport, connection: asyncpg.Connection
) -> None:
    await legacy.region_table("fra", PAYLOAD, PAYLOAD, PAYLOAD | {"timestamp": POSTED_AT + 1})
    assert (await run()).total == Counts(read=3, imported=3)
    await legacy.upgrade()
    await legacy.event({"round_trip_time": 9}, at=datetime(2024, 1, 1, tzinfo=UTC))
    summary = await run()
    assert summary.tables == {"events": Counts(4, imported=1, present=3), "fra": Counts(3, present=3)}
    assert len(await results(connection)) == 4


async def test_tables_of_others_do_not_disturb(v1: Legacy, run: RunImport) -> None:
    await v1.connection.execute(
        "CREATE TABLE public.sin (id uuid, angle float); CREATE TABLE public.tor (id serial, stats text);"
        "CREATE TABLE public.global (id serial, stats jsonb);"
        "CREATE VIEW public.lax AS SELECT 1 AS id, '{}'::jsonb AS stats;"
        "CREATE SCHEMA other; CREATE TABLE other.fra (id serial, stats jsonb); SET search_path = other"
    )
    await v1.event()
    assert list((await run()).tables) == ["events"]


async def test_wider_columns_do_not_disturb(v1: Legacy, run: RunImport) -> None:
    await v1.connection.execute("ALTER TABLE public.events ALTER id TYPE bigint, ALTER orchestrator TYPE text")
    await v1.event(id=2**40 - 1)
    assert (await run()).total.imported == 1


async def test_a_database_without_the_originals_tables_is_refused(legacy: Legacy, run: RunImport) -> None:
    await legacy.connection.execute("CREATE TABLE public.events (id serial, name text)")
    with pytest.raises(ImportFailed, match=r"no table of the original leaderboard .* check its name in the URL"):
        await run()


async def test_a_user_who_may_not_read_is_told_so(v1: Legacy, run: RunImport) -> None:
    with pytest.raises(
        ImportFailed, match=r"permission denied for table regions.*: let its user SELECT from all tables"
    ):
        await run(v1.url.replace("//postgres@", "//podium_reader@"))


async def test_the_legacy_database_is_read_only_and_has_no_time_limit(v1: Legacy, run: RunImport) -> None:
    await v1.event()
    await v1.connection.execute(
        "GRANT SELECT ON ALL TABLES IN SCHEMA public TO podium_writer;"
        "ALTER TABLE public.events ENABLE ROW LEVEL SECURITY;"
        "CREATE POLICY readers ON public.events TO podium_writer USING ("
        " current_setting('transaction_read_only') = 'on' AND current_setting('statement_timeout') = '0')"
    )
    assert (await run(v1.url.replace("//postgres@", "//podium_writer@"))).total.imported == 1


async def test_a_database_is_known_by_its_server_or_else_by_its_address(v1: Legacy) -> None:
    async with open_legacy(v1.url) as by_identifier:
        pass
    await v1.connection.execute("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
    async with open_legacy(v1.url.replace("//postgres@", "//podium_reader@")) as by_address:
        pass
    identities = [opened.tables[0].identity.partition("/") for opened in (by_identifier, by_address)]
    assert identities[0][0].isdigit()
    assert identities[1][0] == "local"
    assert identities[0][2] == identities[1][2]


async def test_large_payloads_come_in_smaller_batches(v1: Legacy) -> None:
    await v1.connection.execute(
        "INSERT INTO public.events (orchestrator, payload) SELECT '0xa', to_jsonb(string_agg(md5(i::text || n), ''))"
        " FROM generate_series(1, 100000) AS i, generate_series(1, 5) AS n GROUP BY n"
    )
    async with open_legacy(v1.url) as opened:
        batches = [[row.id for row in rows] async for rows in opened.batches(opened.tables[0], FIRST_ID)]
    assert [id_ for batch in batches for id_ in batch] == [1, 2, 3, 4, 5]
    assert 1 < len(batches) < 5


async def test_a_second_import_brings_what_is_new(v1: Legacy, run: RunImport, connection: asyncpg.Connection) -> None:
    await v1.events(3)
    await run()
    assert (await run()).total == Counts(read=3, present=3)
    await v1.event()
    assert (await run()).total == Counts(read=4, imported=1, present=3)
    assert len(await results(connection)) == 4


async def test_an_event_that_was_committed_late_is_found(v1: Legacy, run: RunImport, report: Report) -> None:
    await v1.event(id=OVERLAP * 3)
    await run()
    await v1.event(id=OVERLAP * 2 + 1)
    assert (await run()).total == Counts(read=2, imported=1, present=1)
    await v1.event(id=1)
    assert (await run()).total == Counts(read=2, present=2)
    assert (await run(from_start=True)).total == Counts(read=3, imported=1, present=2)
    assert report.rows["events"] == 3


async def test_an_import_goes_on_where_it_was_interrupted(
    v1: Legacy, run: RunImport, report: Report, connection: asyncpg.Connection
) -> None:
    await v1.events(4500)
    importing = asyncio.ensure_future(run())
    report.on_batch = lambda: len(report.batches) == 3 and importing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await importing
    assert len(await results(connection)) == 3000
    assert (await run()).total == Counts(read=1500 + OVERLAP, imported=1500, present=OVERLAP)
    assert (await results(connection)).keys() == {-id_ for id_ in range(1, 4501)}


async def test_a_crash_between_the_results_and_the_progress_is_harmless(
    v1: Legacy, run: RunImport, connection: asyncpg.Connection
) -> None:
    await v1.events(1500)
    await connection.execute("REVOKE INSERT ON podium.imports FROM podium_writer")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await run()
    assert len(await results(connection)) == 1000
    await connection.execute("GRANT INSERT ON podium.imports TO podium_writer")
    assert (await run()).total == Counts(read=1500, imported=500, present=1000)


async def test_a_dry_run_counts_the_same_and_writes_nothing(
    v1: Legacy, run: RunImport, report: Report, connection: asyncpg.Connection
) -> None:
    await v1.event(region="BER")
    await v1.event({"round_trip_time": -1})
    await v1.event(at=datetime(1999, 1, 1, tzinfo=UTC), orchestrator="0xnew")
    await v1.region_table("fra", PAYLOAD, PAYLOAD | {"timestamp": 3}, "17")
    before = await _everything(connection)
    rehearsed, refusals = await run(dry_run=True), list(report.refusals)
    assert await _everything(connection) == before
    report.refusals.clear()
    assert (await run(), report.refusals) == (rehearsed, refusals)
    assert rehearsed.total == Counts(read=6, imported=3, present=1, refused=2)
    assert (await run(dry_run=True)).total == Counts(read=6, present=4, refused=2)


async def test_podiums_own_database_may_be_the_legacy_one(
    database: Database, connection: asyncpg.Connection, run: RunImport
) -> None:
    beside = Legacy(database.logins.superuser, connection)
    await connection.execute(V1_TABLES)
    await beside.event()
    await beside.region_table("fra", PAYLOAD | {"timestamp": 5})
    assert (await run(beside.url)).total == Counts(read=2, imported=2)
    assert (await run(beside.url)).total == Counts(read=2, present=2)


def test_every_row_has_an_id_of_its_own() -> None:
    ids = [imported_id(name, row_id) for name in ("events", *REGION_TABLES) for row_id in (1, 2, 2**40 - 1)]
    assert len(set(ids)) == len(ids)
    assert min(ids) >= -(2**63)
    assert max(ids) == -1


@pytest.mark.skipif(not DUMP.exists(), reason="the dump of an original database is not beside this checkout")
async def test_the_answers_of_the_original_hold_after_importing_its_database(
    legacy: Legacy, run: RunImport, start_gateway: StartGateway
) -> None:
    await legacy.connection.execute(gzip.decompress(DUMP.read_bytes()).decode())
    running = await start_gateway()
    summary = await run()
    copies = Counts(read=6, present=6)
    assert summary == Summary({"events": Counts(2012, imported=2012), "fra": copies, "mdw": copies}, 26, 0)
    assert await replay(running.client, "legacy_answers", SECRET) == []
    again = await run(from_start=True)
    assert again.tables == {"events": Counts(2012, present=2012), "fra": copies, "mdw": copies}


async def _everything(connection: asyncpg.Connection) -> list[Any]:
    tables = ("regions", "orchestrators", "pipelines", "models", "results", "imports")
    counts = [await connection.fetchval(f"SELECT count(*) FROM podium.{table}") for table in tables]  # noqa: S608
    return [*counts, await connection.fetchval("SELECT count(*) FROM pg_class")]
