"""What a distributed Postgres asks of the schema and of every statement: the rules of Citus that a text can show."""

import re
from enum import Enum
from pathlib import Path

import asyncpg
import pytest

from db.statements import STATEMENTS, TABLES, Statement
from tests.harness import StartGateway

CITUS = Path(__file__).parents[2] / "db" / "scale" / "citus.sql"
SCALE = Path(__file__).parents[2] / "docs" / "scale.md"
DISTRIBUTED = frozenset(re.findall(r"create_distributed_table\('podium\.(\w+)'", CITUS.read_text()))
KEYS = dict(re.findall(r"create_distributed_table\('podium\.(\w+)', '(\w+)'", CITUS.read_text()))
REFERENCE = frozenset(re.findall(r"create_reference_table\('podium\.(\w+)'", CITUS.read_text()))
ON_COORDINATOR = frozenset(
    (
        *("audit_log", "benchmark_events", "benchmarks", "host_systems", "idempotency_keys", "imports"),
        *("kept_round_trips", "probe_runs", "rollup_state"),
    )
)


class Plan(Enum):
    """How Citus executes a statement."""

    NO_SHARDS = "reads and writes reference tables, and what is on the coordinator, alone"
    PARALLEL = "on the shards at once, or on those that it names by their key; what they find is put together"
    WRITES = "rows go to their shards from the coordinator, and are changed where they are"
    UNPROVEN = "no rule forbids it and nobody has tried: docs/scale.md"
    REWRITE = "Citus refuses it: docs/scale.md"


PLANS = {
    Plan.NO_SHARDS: (
        *("audit.entries", "audit.count_entries", "audit.entries_by_id", "audit.register_region"),
        *("audit.rename_region", "audit.lock_withdrawals", "catalog.regions", "catalog.register_regions"),
        *("catalog.orchestrators_by_address", "catalog.add_orchestrators", "catalog.add_pipelines"),
        *("catalog.add_models", "idempotency.claim_key", "idempotency.find_key", "idempotency.forget_keys"),
        *("imports.last_id", "imports.advance", "leaderboard.filter_ids", "results.create_partitions"),
        *("results.clock", "rollups.state", "rollups.set_complete_since", "rollups.lock_day"),
        *("rollups.announce", "rollups.hold_results_since", "retention.forget_round_trips", "retention.hold_state"),
        *(
            "retention.set_results_since",
            "retention.drop_partitions",
            "feed.clock",
            "feed.peers",
            "telemetry.next_writer",
            "peers.id_of",
            "peers.latest_connections",
            *("telemetry_retention.create_partitions", "telemetry_retention.drop_partitions"),
            *("telemetry_retention.cutoff", "telemetry_retention.border", "telemetry_retention.last_import"),
            *("telemetry_retention.open_writers", "telemetry_retention.living_writers"),
            *("telemetry_retention.try_writer", "telemetry_retention.close_connections"),
            *("telemetry_retention.forget_connections", "telemetry_retention.forget_peers"),
            *("telemetry_import.other_source", "telemetry_import.begin", "telemetry_import.move"),
            *("telemetry_import.store_connections", "telemetry_import.note_logs", "telemetry_import.taken"),
            *("telemetry_import.take_ids", "telemetry_import.store_host_systems"),
            *("telemetry_import.store_benchmarks", "telemetry_import.store_benchmark_events"),
            "peer_pages.peers_by_name",
            "peer_pages.peers_by_id",
            "peer_pages.peers_of_orchestrators",
            "peer_pages.states",
            "peer_pages.connections",
            "peer_pages.count_connections",
            "audit.add_peer",
            "audit.link_peer",
            *(
                "telemetry.add_peers",
                "telemetry.end_predecessors",
                "telemetry.hold_writer",
            ),
            *("telemetry.name_session", "telemetry.store_connections"),
            "server.position",
            "server.try_leadership",
            "server.relations",
            *("streams.add_stream", "streams.streams_by_id", "streams.forget_streams"),
            *("streams_import.wait_for_others", "streams_import.store_streams"),
        ),
        *("benchmarks.benchmarks", "benchmarks.count_benchmarks", "benchmarks.benchmarks_by_id"),
        *("benchmarks.add_benchmark", "benchmarks.events_of", "benchmarks.add_event"),
        *("probes.runs", "probes.count_runs", "probes.runs_by_id", "probes.add_run", "probes.forget_runs"),
        *("probes.latest_runs", "probes.runs_stored", "probes.groups", "probes.failures"),
        *("benchmarks.host_systems", "benchmarks.host_systems_by_id", "benchmarks.add_host_system"),
    ),
    Plan.PARALLEL: (
        *("leaderboard.groups", "leaderboard.medians", "leaderboard.distributions", "leaderboard.failures"),
        *("leaderboard.coverage", "results.results", "results.count_results", "results.results_missed"),
        *("rollups.hours", "rollups.latest_before", "retention.first_week"),
        *("feed.logs_between", "feed.logs_since"),
        *("peer_logs.newest", "peer_logs.counts", "reputation.about"),
        *("log_pages.count_logs", "opinions.about_in_some"),
        "telemetry_retention.trim_until",
        "telemetry.is_stored",
        *("streams.viewers_by_id", "streams.viewers", "streams.count_viewers", "streams.count_active"),
    ),
    Plan.WRITES: (
        *("results.store_results", "rollups.forget_hour", "rollups.sum_hour", "rollups.forget_day"),
        *("rollups.sum_day", "rollups.forget_cells_of_hours", "rollups.sum_cells_of_hours"),
        *("rollups.forget_cells_of_day", "rollups.sum_cells_of_day", "telemetry_retention.trim"),
        "telemetry_import.store_logs",
        "telemetry.adopt_logs",
        *("streams.add_viewer", "streams_import.store_viewers"),
    ),
    Plan.UNPROVEN: (
        *("audit.withdraw_matching", "audit.withdraw_by_key", "audit.restore_results"),
        *("audit.set_stream_limit", "audit.release_streams", "streams.follow"),
        *("leaderboard.failure_codes", "rollups.check_day", "retention.keep_round_trips", "retention.clear_payloads"),
    ),
    Plan.REWRITE: (
        *("catalog.orchestrators_page", "catalog.count_orchestrators", "imports.stored_ids"),
        *("imports.stored_from_region_tables", "leaderboard.top_ai_score", "leaderboard.pipelines"),
        *("results.results_by_key", "results.announced_results"),
        "reputation.latest",
        "benchmarks.targets",
        *("streams.decide", "streams.expire", "streams.forget_viewers", "streams_import.store_active"),
        *("peer_pages.by_name", "peer_pages.by_last_seen", "peer_pages.count_peers", "peer_pages.last_seen"),
        *("log_pages.logs", "log_pages.counts", "opinions.about", "opinions.count_about"),
        *("opinions.given", "opinions.count_given"),
    ),
}
PLAN_OF = {name: plan for plan, names in PLANS.items() for name in names}
OURS = [statement for name, statement in STATEMENTS.items() if not name.startswith("legacy_")]
SHARDED = "|".join(sorted(DISTRIBUTED))

UNIQUE = """
SELECT c.relname AS table, i.indexrelid::regclass::text AS index,
  ARRAY(SELECT a.attname::text FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum = ANY (i.indkey)) AS columns
FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indrelid
WHERE i.indisunique AND c.relnamespace = 'podium'::regnamespace AND c.relname = ANY ($1::text[])
"""
TRIGGERS = """
SELECT c.relname FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid
WHERE NOT t.tgisinternal AND c.relnamespace = 'podium'::regnamespace AND c.relname = ANY ($1::text[])
"""
REFERRED_TO = """
SELECT DISTINCT f.relname FROM pg_constraint AS k
JOIN pg_class AS c ON c.oid = k.conrelid JOIN pg_class AS f ON f.oid = k.confrelid
WHERE k.contype = 'f' AND c.relnamespace = 'podium'::regnamespace AND c.relname = ANY ($1::text[])
"""
# In the place of Citus, of which no server is at hand: the calls are those of its own functions.
CALLED = """
CREATE TABLE public.called (relation regclass, by text, beside text);
CREATE FUNCTION public.create_reference_table(relation regclass) RETURNS void LANGUAGE sql AS
  'INSERT INTO public.called VALUES (relation, NULL, NULL)';
CREATE FUNCTION public.create_distributed_table(relation regclass, by text, colocate_with text DEFAULT NULL)
  RETURNS void LANGUAGE sql AS 'INSERT INTO public.called VALUES (relation, by, colocate_with)';
"""


def breaches(sql: str) -> set[str]:
    """The rules that a statement breaks, as far as its text shows."""
    found = set()
    for inner in _in_parentheses(sql, r"LATERAL *"):
        if _reads_shards(inner):
            found.add("a lateral subquery of a distributed table")
    for inner in _in_parentheses(sql, r"EXISTS *"):
        if _reads_shards(inner):
            found.add("a correlated subquery of a distributed table")
    if _reads_shards(sql) and "FOR UPDATE" in sql:
        found.add("locks of rows in several shards")
    for table, target in re.findall(rf"INSERT INTO podium\.({SHARDED})\b.*?ON CONFLICT \(([^)]*)\)", sql, re.DOTALL):
        if KEYS[table] not in target.split(", "):
            found.add("a conflict that is not told within a shard")
    if re.search(rf"FROM podium\.(?:{SHARDED}) AS \w+\s+(?:LEFT |FULL )?JOIN podium\.(?:{SHARDED})\b", sql):
        found.add("a join of distributed tables")
    return found


def _reads_shards(sql: str) -> bool:
    return bool(re.search(rf"podium\.(?:{SHARDED})\b", sql))


def _in_parentheses(sql: str, before: str) -> list[str]:
    inner = []
    for match in re.finditer(before + r"\(", sql):
        depth, end = 1, match.end()
        while depth:
            depth += (sql[end] == "(") - (sql[end] == ")")
            end += 1
        inner.append(sql[match.end() : end])
    return inner


def test_every_table_has_one_place() -> None:
    assert DISTRIBUTED | REFERENCE | ON_COORDINATOR == TABLES, "say in db/scale/citus.sql where a new table is"
    assert len(DISTRIBUTED) + len(REFERENCE) + len(ON_COORDINATOR) == len(TABLES)


def test_every_statement_has_one_plan() -> None:
    assert sorted(PLAN_OF) == sorted(statement.name for statement in OURS), "say how Citus executes a new statement"
    assert sum(map(len, PLANS.values())) == len(PLAN_OF)


@pytest.mark.parametrize("statement", OURS, ids=lambda statement: statement.name)
def test_a_statement_keeps_the_rules_of_its_plan(statement: Statement) -> None:
    plan = PLAN_OF[statement.name]
    broken = {rule for variant in statement.variants() for rule in breaches(variant.sql)}
    assert bool(broken) == (plan is Plan.REWRITE), broken
    assert (plan is Plan.NO_SHARDS) == (not statement.tables & DISTRIBUTED)
    if plan is Plan.PARALLEL:
        assert not statement.written
    if plan is Plan.WRITES:
        assert statement.written <= DISTRIBUTED


@pytest.mark.parametrize("name", [*PLANS[Plan.REWRITE], *PLANS[Plan.UNPROVEN]])
def test_the_document_says_what_becomes_of_a_statement_that_does_not_run(name: str) -> None:
    assert f"`{name}`" in SCALE.read_text()


async def test_what_is_unique_is_so_within_a_shard(connection: asyncpg.Connection) -> None:
    for row in await connection.fetch(UNIQUE, list(DISTRIBUTED)):
        assert KEYS[row["table"]] in row["columns"], row["index"]


async def test_no_table_that_is_spread_has_triggers(connection: asyncpg.Connection) -> None:
    assert not await connection.fetch(TRIGGERS, list(DISTRIBUTED | REFERENCE))


async def test_tables_that_are_spread_refer_to_reference_tables_only(connection: asyncpg.Connection) -> None:
    referred_to = {row["relname"] for row in await connection.fetch(REFERRED_TO, list(DISTRIBUTED | REFERENCE))}
    assert referred_to <= REFERENCE


async def test_the_script_runs_and_a_gateway_serves_afterwards(
    start_gateway: StartGateway, connection: asyncpg.Connection
) -> None:
    running = await start_gateway()
    result = {"region": "FRA", "success_rate": 1, "round_trip_time": 0.5, "pipeline": "Text", "model": "m"}
    assert (await running.post_stat(orchestrator="0x1", **result)).status_code == 200
    await connection.execute(CALLED + "GRANT INSERT ON public.called TO podium_owner; SET ROLE podium_owner")
    await connection.execute(CITUS.read_text())
    await connection.execute("RESET ROLE")
    called = await connection.fetch("SELECT relation::text, by, beside FROM public.called")
    places = {row["relation"]: (row["by"], row["beside"]) for row in called}
    assert len(places) == len(DISTRIBUTED | REFERENCE)
    assert {by for by, _ in places.values()} == {None, "orchestrator_id", "peer_id", "id"}
    assert (await running.post_stat(orchestrator="0x2", **{**result, "model": "n"})).status_code == 200
    assert [row["id"] for row in await connection.fetch("SELECT id FROM podium.models ORDER BY id")] == [1, 2]
