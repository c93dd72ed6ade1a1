"""What administrators do through the graph, what counts afterwards at both doors, and the log that tells of it."""

import asyncio
from typing import Any

import asyncpg
import orjson
import pytest

from tests.harness import TOKEN_SECRET, Database, Running, StartGateway

NODE, OTHER = "0xaa", "0xbb"
AI = {"pipeline": "Text to image", "model": "m"}
WITHDRAW = """mutation (
  $ids: [ID!], $filter: StatFilter, $reason: String! = "clock was wrong", $dryRun: Boolean! = false
) {
  withdrawStats(ids: $ids, filter: $filter, reason: $reason, dryRun: $dryRun) {
    withdrawn entry { id actor action reason affected details { ids filter } } errors { code field message index }
  }
}"""
RESTORE = """mutation ($id: ID!, $reason: String! = "it was right") { restoreStats(withdrawal: $id, reason: $reason) {
  restored entry { id action reason affected details { withdrawal { id reason } } } errors { code field index }
} }"""
REGISTER = """mutation ($code: String!, $name: String! = "Oslo", $type: JobType! = TRANSCODING) {
  registerRegion(code: $code, name: $name, jobType: $type) { region { id code name jobType } errors { code field } }
}"""
RENAME = """mutation ($code: String!, $name: String!, $type: JobType! = TRANSCODING) {
  renameRegion(code: $code, name: $name, jobType: $type) { region { code name } errors { code field } }
}"""
LOG = """query ($first: Int, $after: String, $last: Int, $before: String, $action: AuditAction, $actor: String) {
  auditLog(first: $first, after: $after, last: $last, before: $before, action: $action, actor: $actor) {
    totalCount nodes { id action details { name previousName region { code name } } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}"""
LAST_DAY = {"last": "24h"}


async def as_admin(running: Running, query: str, **variables: Any) -> Any:
    """The answer of the only field of an administrator's request."""
    (answer,) = (await running.ask(query, **variables)).values()
    return answer


@pytest.fixture
async def running(start_gateway: StartGateway) -> Running:
    """A gateway that takes an administrator's token."""
    return await start_gateway(jwt_secret=TOKEN_SECRET)


@pytest.fixture
async def recorded(running: Running) -> Running:
    """Two nodes with two transcoding and two AI results each; NODE is the faster one."""
    for node, round_trip in ((NODE, 1.0), (OTHER, 2.0)):
        for fields in ({"seg_duration": 2}, {"seg_duration": 2, "success_rate": 0}, AI, {**AI, "success_rate": 0.5}):
            result = {"region": "FRA", "orchestrator": node, "success_rate": 1, "round_trip_time": round_trip, **fields}
            assert (await running.post_stat(**result)).text == "ok"
    return running


async def ids_of(running: Running, **wanted: Any) -> list[str]:
    query = "query ($filter: StatFilter) { stats(filter: $filter) { nodes { id } } }"
    return [node["id"] for node in (await running.ask(query, filter=wanted))["stats"]["nodes"]]


async def what_counts(running: Running) -> dict[str, Any]:
    """Everything that both doors compute of results, and the results that they show."""
    answers = {}
    for path in (
        *("aggregated_stats", "aggregated_stats?job_type=ai", "pipelines", f"top_ai_score?orchestrator={NODE}"),
        *(f"raw_stats?orchestrator={NODE}", f"raw_stats?orchestrator={NODE}&job_type=ai"),
    ):
        answers[path] = (await running.client.get(f"/api/{path}")).json()
    query = """query ($node: String!) {
      aggregates { nodes { orchestrator { address } samples score roundTripTime { mean } } }
      orchestrator(address: $node) { aggregates { samples } }
      topAiScore(orchestrator: $node) { value } pipelines { name models } stats { totalCount nodes { id } }
      leaderboard(jobType: TRANSCODING) { orchestrator { address } samples }
      series(bucket: MONTH, filter: { during: { last: "31d" } }) { points { samples } }
      failures { samples } coverage { address cells { samples } }
    }"""
    return answers | await running.ask(query, node=NODE)


async def test_what_is_withdrawn_counts_at_no_door_until_it_is_restored(recorded: Running) -> None:
    before = await what_counts(recorded)
    withdrawn = await as_admin(recorded, WITHDRAW, filter={"orchestrator": {"in": [NODE.upper()]}, "during": LAST_DAY})
    after = await what_counts(recorded)
    assert (withdrawn["withdrawn"], withdrawn["errors"]) == (4, [])
    assert [list(after[path]) for path in before if path.startswith("aggregated")] == [[OTHER], [OTHER]]
    assert [after[path] for path in before if NODE in path] == [{}] * 3
    assert [n["orchestrator"]["address"] for n in after["aggregates"]["nodes"]] == [OTHER]
    assert [node["orchestrator"]["address"] for node in after["leaderboard"]] == [OTHER]
    assert [group["samples"] for group in after["failures"]] == [4]
    assert [point["samples"] for line in after["series"] for point in line["points"] if point["samples"]] == [4]
    tested = {node["address"] for node in after["coverage"] for cell in node["cells"] if cell["samples"]}
    assert tested == {OTHER}
    assert (after["orchestrator"]["aggregates"], after["topAiScore"], after["stats"]["totalCount"]) == ([], None, 4)
    restored = await as_admin(recorded, RESTORE, id=withdrawn["entry"]["id"])
    assert (restored["restored"], restored["errors"]) == (4, [])
    assert await what_counts(recorded) == before


async def test_the_pipelines_of_withdrawn_results_are_gone(recorded: Running) -> None:
    await as_admin(recorded, WITHDRAW, filter={"jobType": "AI", "during": LAST_DAY})
    after = await what_counts(recorded)
    assert (after["pipelines"], len(after["aggregates"]["nodes"])) == ([], 2)


async def test_withdrawn_results_are_shown_to_those_who_ask_with_who_and_why(recorded: Running) -> None:
    ids = await ids_of(recorded, successRate={"max": 0})
    await as_admin(recorded, WITHDRAW, ids=ids)
    query = """query ($withdrawn: Boolean) { stats(filter: { withdrawn: $withdrawn }) {
      totalCount nodes { id withdrawal { actor reason recordedAt affected } } } }"""
    only, both, rest = [(await recorded.ask(query, withdrawn=which))["stats"] for which in (True, None, False)]
    assert [stats["totalCount"] for stats in (only, both, rest)] == [2, 8, 6]
    assert {node["id"] for node in only["nodes"]} == set(ids)
    assert {(node["withdrawal"]["reason"], node["withdrawal"]["affected"]) for node in only["nodes"]} == {
        ("clock was wrong", 2)
    }
    assert {node["withdrawal"] for node in rest["nodes"]} == {None}


async def test_one_statement_finds_the_withdrawals_of_a_page(recorded: Running) -> None:
    for id_ in await ids_of(recorded):
        await as_admin(recorded, WITHDRAW, ids=[id_])
    asked: list[str] = []
    fetch = recorded.gateway.db.read.fetch

    async def counted(statement: Any, **parameters: Any) -> Any:
        asked.append(statement.name)
        return await fetch(statement, **parameters)

    recorded.gateway.db.read.fetch = counted  # type: ignore[method-assign]  # counts, and goes on as before
    stats = (await recorded.ask("{ stats(filter: { withdrawn: true }) { nodes { withdrawal { id } } } }"))["stats"]
    assert len({node["withdrawal"]["id"] for node in stats["nodes"]}) == 8
    assert asked.count("audit.entries_by_id") == 1


async def test_a_withdrawal_by_ids_has_one_entry_with_actor_and_reason(recorded: Running) -> None:
    ids = await ids_of(recorded, jobType="AI")
    withdrawn = await as_admin(recorded, WITHDRAW, ids=[*ids, ids[0]], reason="café\nclosed")
    entry = withdrawn["entry"]
    assert (withdrawn["withdrawn"], entry["affected"], entry["action"]) == (4, 4, "WITHDRAW_STATS")
    assert (entry["reason"], entry["details"]) == ("café\nclosed", {"ids": 5, "filter": None})
    assert entry["actor"]
    assert (await recorded.ask("{ auditLog { totalCount } }"))["auditLog"]["totalCount"] == 1


async def test_a_withdrawal_by_filter_logs_its_conditions(recorded: Running) -> None:
    wanted = {"region": {"in": ["fra"]}, "successRate": {"max": 0}, "during": {"since": "2020-01-01T00:00:00Z"}}
    withdrawn = await as_admin(recorded, WITHDRAW, filter=wanted)
    assert orjson.loads(withdrawn["entry"]["details"]["filter"]) == {
        "regions": ["fra"],
        "max_success_rate": 0.0,
        "since": "2020-01-01T00:00:00+00:00",
    }


async def test_a_dry_run_counts_and_changes_nothing(recorded: Running) -> None:
    before = await what_counts(recorded)
    by_filter = await as_admin(recorded, WITHDRAW, filter={"jobType": "AI", "during": LAST_DAY}, dryRun=True)
    by_ids = await as_admin(recorded, WITHDRAW, ids=await ids_of(recorded), dryRun=True)
    assert [(done["withdrawn"], done["entry"], done["errors"]) for done in (by_filter, by_ids)] == [
        *((4, None, []), (8, None, [])),
    ]
    assert await what_counts(recorded) == before
    assert (await recorded.ask("{ auditLog { totalCount } }"))["auditLog"]["totalCount"] == 0


async def test_what_is_withdrawn_already_keeps_its_entry_and_is_not_counted(recorded: Running) -> None:
    first = await as_admin(recorded, WITHDRAW, ids=await ids_of(recorded, jobType="AI"))
    second = await as_admin(recorded, WITHDRAW, ids=await ids_of(recorded, withdrawn=None), reason="all of it")
    third = await as_admin(recorded, WITHDRAW, ids=await ids_of(recorded, withdrawn=None))
    assert [done["withdrawn"] for done in (first, second, third)] == [4, 4, 0]
    assert (third["entry"], third["errors"]) == (None, [])
    restored = await as_admin(recorded, RESTORE, id=first["entry"]["id"])
    again = await as_admin(recorded, RESTORE, id=first["entry"]["id"])
    assert (restored["restored"], again["restored"], again["entry"], again["errors"]) == (4, 0, None, [])
    assert restored["entry"]["details"]["withdrawal"] == {"id": first["entry"]["id"], "reason": "clock was wrong"}
    assert len(await ids_of(recorded)) == 4


async def test_ids_of_nothing_withdraw_nothing_and_are_named(recorded: Running) -> None:
    (id_, *_) = await ids_of(recorded)
    region = (await recorded.ask("{ regions { id } }"))["regions"][0]["id"]
    gone = "WyJTdGF0IiwiMHgxIiwxNzk1MzUwMDE3MzY5OTE2LDIwNDZd"
    far = "WyJTdGF0IiwiMHgxIiw5OTk5OTk5OTk5OTk5OTk5OTk5LDFd"
    withdrawn = await as_admin(recorded, WITHDRAW, ids=[id_, region, gone, "x", far])
    assert (withdrawn["withdrawn"], withdrawn["entry"]) == (0, None)
    assert [(e["code"], e["field"], e["index"]) for e in withdrawn["errors"]] == [
        ("NOT_FOUND", "ids", index) for index in (1, 2, 3, 4)
    ]
    assert len(await ids_of(recorded)) == 8


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({}, "ids"),
        ({"ids": ["x"], "filter": {"jobType": "AI", "during": LAST_DAY}}, "ids"),
        ({"ids": []}, "ids"),
        ({"ids": ["x"] * 1001}, "ids"),
        ({"ids": ["x"], "reason": " \n"}, "reason"),
        ({"ids": ["x"], "reason": "x" * 1001}, "reason"),
        ({"ids": ["x"], "reason": "\0"}, "reason"),
        ({"filter": {}}, "filter.during"),
        ({"filter": {"jobType": "AI"}}, "filter.during"),
        ({"filter": {"jobType": "AI", "during": {"until": "2030-01-01T00:00:00Z"}}}, "filter.during"),
        ({"filter": {"during": LAST_DAY}}, "filter"),
        ({"filter": {"during": LAST_DAY, "successRate": {}}}, "filter"),
        ({"filter": {"during": LAST_DAY, "jobType": "AI", "withdrawn": True}}, "filter.withdrawn"),
        ({"filter": {"during": {**LAST_DAY, "until": "2030-01-01T00:00:00Z"}, "jobType": "AI"}}, "during"),
    ],
)
async def test_a_withdrawal_that_cannot_be_says_why(recorded: Running, given: dict[str, Any], field: str) -> None:
    withdrawn = await as_admin(recorded, WITHDRAW, **given)
    assert [(e["code"], e["field"]) for e in withdrawn["errors"]] == [("INVALID_ARGUMENT", field)]
    assert len(await ids_of(recorded)) == 8


async def test_a_filter_that_matches_very_many_is_refused_with_their_number(
    recorded: Running, connection: asyncpg.Connection
) -> None:
    await connection.execute("""
      INSERT INTO podium.results (timestamp, success_rate, round_trip_time, orchestrator_id, region_id)
      SELECT 0, 1, 1, o.id, g.id FROM podium.orchestrators AS o, podium.regions AS g, generate_series(1, 99999)
      WHERE o.address = '0xaa' AND (g.code, g.job_type) = ('FRA', 'transcoding')""")
    withdrawn = await as_admin(recorded, WITHDRAW, filter={"region": {"in": ["FRA"]}, "during": LAST_DAY}, dryRun=True)
    (error,) = withdrawn["errors"]
    assert (error["code"], error["field"]) == ("TOO_MANY", "filter")
    assert error["message"] == "filter: it matches 100007 results, and at most 100000 can be withdrawn at once"


@pytest.mark.parametrize("id_", ["", "x", "WyJBdWRpdEVudHJ5Iiw5OV0", "WyJTdGF0IiwxXQ", "WyJBdWRpdEVudHJ5IiwtMV0"])
async def test_only_a_withdrawal_can_be_restored(running: Running, id_: str) -> None:
    restored = await as_admin(running, RESTORE, id=id_)
    assert (restored["restored"], restored["entry"]) == (0, None)
    assert restored["errors"] == [{"code": "NOT_FOUND", "field": "withdrawal", "index": None}]


async def test_a_restoration_is_no_withdrawal(recorded: Running) -> None:
    withdrawn = await as_admin(recorded, WITHDRAW, ids=await ids_of(recorded))
    restored = await as_admin(recorded, RESTORE, id=withdrawn["entry"]["id"])
    answer = await as_admin(recorded, RESTORE, id=restored["entry"]["id"])
    assert [(e["code"], e["field"]) for e in answer["errors"]] == [("NOT_FOUND", "withdrawal")]


async def test_two_administrators_withdraw_the_same_at_once_and_each_result_counts_once(
    recorded: Running, start_gateway: StartGateway
) -> None:
    gateways = [recorded, await start_gateway(jwt_secret=TOKEN_SECRET)]
    ids = await ids_of(recorded)
    wanted = {"region": {"in": ["FRA"]}, "during": LAST_DAY}
    works = [as_admin(gateway, WITHDRAW, ids=ids[::step]) for gateway in gateways for step in (1, -1)]
    works += [as_admin(gateway, WITHDRAW, filter=wanted) for gateway in gateways]
    done = await asyncio.gather(*works)
    assert [answer["errors"] for answer in done] == [[]] * 6
    assert sum(answer["withdrawn"] for answer in done) == 8
    assert len([answer for answer in done if answer["entry"]]) == 1


async def test_a_region_is_registered_and_takes_results_at_once(running: Running) -> None:
    registered = await as_admin(running, REGISTER, code="osl")
    assert registered["region"] | {"id": ""} == {"id": "", "code": "OSL", "name": "Oslo", "jobType": "TRANSCODING"}
    assert registered["errors"] == []
    assert {"id": "OSL", "name": "Oslo", "type": "transcoding"} in (await running.client.get("/api/regions")).json()[
        "regions"
    ]
    posted = await running.post_stat(region="OSL", orchestrator=NODE, success_rate=1, round_trip_time=1)
    assert posted.text == "ok"
    again = await as_admin(running, REGISTER, code="OSL", name="Oslo 2")
    assert (again["region"], again["errors"]) == (None, [{"code": "ALREADY_EXISTS", "field": "code"}])
    assert (await as_admin(running, REGISTER, code="OSL", type="AI"))["errors"] == []


async def test_a_region_is_renamed_and_everybody_sees_it(running: Running) -> None:
    await running.ask("{ regions { code } }")
    renamed = await as_admin(running, RENAME, code="fra", name="Frankfurt am Main")
    assert renamed == {"region": {"code": "FRA", "name": "Frankfurt am Main"}, "errors": []}
    assert "Frankfurt am Main" in str(await running.ask("{ regions { name } }"))
    same = await as_admin(running, RENAME, code="FRA", name="Frankfurt am Main")
    assert same == renamed
    (entry,) = (await running.ask(LOG))["auditLog"]["nodes"]
    assert entry["action"] == "RENAME_REGION"
    assert entry["details"] == {
        "name": "Frankfurt am Main",
        "previousName": "Frankfurt",
        "region": {"code": "FRA", "name": "Frankfurt am Main"},
    }


async def test_a_region_that_is_not_there_is_not_renamed(running: Running) -> None:
    renamed = await as_admin(running, RENAME, code="NYC", name="New York", type="AI")
    assert renamed == {"region": None, "errors": [{"code": "NOT_FOUND", "field": "code"}]}


@pytest.mark.parametrize(
    ("given", "field"),
    [
        *(({"code": code}, "code") for code in ("", " ", "A ", "x" * 57, "ß" * 29, "A\0", "A\nB", "A\u202eB")),
        *(({"code": "OSL", "name": name}, "name") for name in ("", "x" * 129, "\tOslo", "Os\x7flo")),
    ],
)
async def test_a_region_that_cannot_be_names_the_argument(running: Running, given: dict[str, str], field: str) -> None:
    registered = await as_admin(running, REGISTER, **given)
    assert registered == {"region": None, "errors": [{"code": "INVALID_ARGUMENT", "field": field}]}
    assert (await running.ask("{ auditLog { totalCount } }"))["auditLog"]["totalCount"] == 0


async def test_the_log_is_paged_newest_first_in_both_directions(running: Running) -> None:
    codes = [f"R{number}" for number in range(7)]
    for code in codes:
        await as_admin(running, REGISTER, code=code)
    forwards, after, more = [], None, True
    while more:
        page = (await running.ask(LOG, first=3, after=after))["auditLog"]
        forwards += [node["details"]["region"]["code"] for node in page["nodes"]]
        after, more = page["pageInfo"]["endCursor"], page["pageInfo"]["hasNextPage"]
        await as_admin(running, RENAME, code="R0", name=f"now {len(forwards)}")
    oldest = (await running.ask(LOG, last=2))["auditLog"]
    assert forwards == codes[::-1]
    assert [node["details"]["region"]["code"] for node in oldest["nodes"]] == codes[1::-1]
    assert oldest["pageInfo"]["hasPreviousPage"]


async def test_the_log_is_asked_by_action_actor_and_time(running: Running) -> None:
    await as_admin(running, REGISTER, code="R1")
    await as_admin(running, RENAME, code="R1", name="Another")
    actor = (await running.ask("{ auditLog { nodes { actor } } }"))["auditLog"]["nodes"][0]["actor"]
    for wanted, count in (
        *(({"action": "RENAME_REGION"}, 1), ({"action": "RESTORE_STATS"}, 0)),
        *(({"actor": actor}, 2), ({"actor": "nobody"}, 0)),
    ):
        log = (await running.ask(LOG, **wanted))["auditLog"]
        assert (log["totalCount"], len(log["nodes"])) == (count, count)
    past = '{ auditLog(during: { until: "2020-01-01T00:00:00Z" }) { totalCount } }'
    assert (await running.ask(past))["auditLog"]["totalCount"] == 0


async def test_an_entry_is_found_by_its_id(running: Running) -> None:
    await as_admin(running, REGISTER, code="R1")
    id_ = (await running.ask("{ auditLog { nodes { id } } }"))["auditLog"]["nodes"][0]["id"]
    query = "query ($id: ID!) { node(id: $id) { id ... on AuditEntry { action details { region { code } } } } }"
    assert (await running.ask(query, id=id_))["node"] == {
        "id": id_,
        "action": "REGISTER_REGION",
        "details": {"region": {"code": "R1"}},
    }
    assert (await running.ask(query, id="WyJBdWRpdEVudHJ5Iiw5OV0"))["node"] is None


@pytest.mark.parametrize("sql", ["UPDATE podium.audit_log SET actor = 'me'", "DELETE FROM podium.audit_log"])
async def test_nobody_changes_the_log_and_the_reader_reads_it(running: Running, database: Database, sql: str) -> None:
    await as_admin(running, REGISTER, code="R1")
    for login in (database.logins.writer, database.logins.superuser):
        changing = await asyncpg.connect(login)
        with pytest.raises(asyncpg.RaiseError, match="only added to"):
            await changing.execute(sql)
        await changing.close()
    reader = await asyncpg.connect(database.logins.reader)
    assert await reader.fetchval("SELECT count(*) FROM podium.audit_log") == 1
    await reader.close()


def test_the_graph_has_nothing_that_changes_the_log() -> None:
    from schema.root import GRAPHQL_SCHEMA

    assert GRAPHQL_SCHEMA.mutation_type
    assert not [name for name in GRAPHQL_SCHEMA.mutation_type.fields if "audit" in name.lower()]


@pytest.mark.parametrize("query", [WITHDRAW, RESTORE, REGISTER, RENAME])
async def test_others_than_administrators_do_nothing(running: Running, query: str) -> None:
    body = {"query": query, "variables": {"id": "x", "ids": ["x"], "code": "R1", "name": "R"}}
    names = [name for name in body["variables"] if f"${name}:" in query]
    body["variables"] = {name: body["variables"][name] for name in names}
    answer = (await running.client.post("/graphql", json=body)).json()
    assert (answer["data"], answer["errors"][0]["extensions"]["code"]) == (None, "UNAUTHENTICATED")
