"""Which tables a deed changes, as the gateway that does it knows at once, and as every other one hears."""

from datetime import UTC, datetime

from db.statements import TABLES
from resolvers.recording import CheckedResult, store_results
from resolvers.results import Result
from tests.harness import TOKEN_SECRET, Pair, StartGateway, changed, eventually

ROLLUPS = ("hourly_rollups", "daily_rollups")
RESULT = {"region": "FRA", "orchestrator": "0xaa", "success_rate": 1, "round_trip_time": 0.5}
AI_RESULT = {**RESULT, "pipeline": "Text to image", "model": "m"}
RECORD = """mutation { recordStats(idempotencyKey: "k", results: [
  { region: "FRA", orchestrator: "0xaa", successRate: 1, roundTripTime: 0.5 }]) { errors { code } } }"""
REGISTER = 'mutation { registerRegion(code: "OSL", name: "Oslo", jobType: AI) { errors { code } } }'
RENAME = 'mutation { renameRegion(code: "OSL", name: "Oslo fjord", jobType: AI) { errors { code } } }'
WITHDRAW = """mutation ($dry: Boolean) { withdrawStats(
  filter: { orchestrator: { in: ["0xaa"] }, during: { last: "1h" } }, reason: "wrong", dryRun: $dry) { withdrawn } }"""
RESTORE = 'mutation ($id: ID!) { restoreStats(withdrawal: $id, reason: "right") { restored } }'
REGIONS = "{ regions(jobType: AI) { code name } }"


async def test_results_change_what_they_add_and_nothing_else(pair: Pair) -> None:
    assert await pair.changes(pair.here.post_stat(**RESULT)) == {"orchestrators", "results"}
    assert await pair.changes(pair.here.post_stat(**RESULT)) == {"results"}
    assert await pair.changes(pair.here.post_stat(**AI_RESULT)) == {"pipelines", "models", "results"}
    assert await pair.changes(pair.here.ask(RECORD)) == {"results"}
    assert await pair.changes(pair.here.ask(RECORD)) == set()


async def test_imported_results_are_a_change_too(pair: Pair) -> None:
    gateway = pair.here.gateway
    imported = CheckedResult(Result(**RESULT), id=-7, recorded_at=datetime.now(UTC))
    for expected in ({"orchestrators", "results"}, set()):
        assert await pair.changes(store_results(gateway.db, gateway.catalog, [imported])) == expected


async def test_what_administrators_do_is_a_change_and_of_the_log_too(pair: Pair) -> None:
    await pair.here.post_stat(**RESULT)
    assert await pair.changes(pair.here.ask(REGISTER)) == {"regions", "audit_log"}
    assert await pair.changes(pair.here.ask(REGISTER)) == set()
    assert await pair.changes(pair.here.ask(RENAME)) == {"regions", "audit_log"}
    assert await pair.changes(pair.here.ask(RENAME)) == set()
    assert await pair.changes(pair.here.ask(WITHDRAW, dry=True)) == set()
    assert await pair.changes(pair.here.ask(WITHDRAW)) == {"results", "audit_log"}
    (entry,) = (await pair.here.ask("{ auditLog(action: WITHDRAW_STATS) { nodes { id } } }"))["auditLog"]["nodes"]
    assert await pair.changes(pair.here.ask(RESTORE, id=entry["id"])) == {"results", "audit_log"}


async def test_a_gateway_knows_what_it_does_itself_without_hearing_of_it(start_gateway: StartGateway) -> None:
    leading = await start_gateway()  # what is done regularly is done there
    await eventually(lambda: leading.gateway.leader.leads)
    deaf = await start_gateway(jwt_secret=TOKEN_SECRET, answer_cache_bytes=0)
    versions = deaf.gateway.versions
    for mutation, tables in ((RECORD, {"orchestrators", "results"}), (REGISTER, {"regions"}), (WITHDRAW, {"results"})):
        moment = versions.moment
        await deaf.ask(mutation)
        assert changed(versions, moment) - {"audit_log", "idempotency_keys", *ROLLUPS} == tables
    moment = versions.moment
    await deaf.ask(WITHDRAW, dry=True)
    assert not changed(versions, moment)


async def test_regions_that_another_gateway_registers_and_renames_are_seen(pair: Pair) -> None:
    for mutation, name in ((REGISTER, "Oslo"), (RENAME, "Oslo fjord")):
        await pair.there.ask(REGIONS)
        await pair.here.ask(mutation)
        await pair.all_is_heard()
        regions = (await pair.there.ask(REGIONS))["regions"]
        assert {"code": "OSL", "name": name} in regions


async def test_a_line_that_breaks_is_made_anew_and_everything_counts_as_changed(pair: Pair) -> None:
    versions = pair.there.gateway.versions
    moment = versions.moment
    await pair.connection.fetch(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'podium versions'"
    )
    await eventually(lambda: versions.are_heard and changed(versions, moment) == TABLES)
