"""Benchmarks, host systems and database sizes in the graph: pages, mutations, and the same as at the old URLs."""

from datetime import UTC, datetime
from typing import Any

import asyncpg
import httpx
import orjson
import pytest

from resolvers.times import format_zoneless, parse_time
from tests.harness import TOKEN_SECRET, Pair, Running, StartGateway, bearer, webhook
from tests.telemetry import add_connection

START = datetime(2026, 11, 22, 9, tzinfo=UTC)
CREATE = """mutation ($input: CreateBenchmarkInput!) { createBenchmark(input: $input) {
  benchmark { id number setup description chainSpec benchmarkSpec startedAt endedAt hostSystem { os } events { name } }
  errors { code field message hint index }
} }"""
RECORD = """mutation ($input: RecordBenchmarkEventInput!) { recordBenchmarkEvent(input: $input) {
  event { number name phase createdAt } benchmark { number events { name } } errors { code field message }
} }"""
CREATE_HOST = """mutation ($input: CreateHostSystemInput!) { createHostSystem(input: $input) {
  hostSystem { id number description os cpuQty cpuClock ramMb diskInfo } errors { code field message }
} }"""
PAGE = """query ($first: Int, $after: String, $last: Int, $before: String) {
  benchmarks(first: $first, after: $after, last: $last, before: $before) {
    totalCount nodes { number } edges { cursor } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}"""
EVERYTHING = """{
  benchmarks { nodes {
    number createdAt setup description chainSpec benchmarkSpec startedAt endedAt hostSystem { number }
    events { number name phase createdAt } targets
  } }
  hostSystems { number description os cpuQty cpuClock ramMb diskInfo }
  databaseRelations { schema name kind sizeBytes size }
}"""
HOST = {"description": "A box", "os": "freebsd", "cpuQty": 4, "cpuClock": 2600, "ramMb": 8192, "diskInfo": "NVMe"}
TIMES = {"startedAt": "2019-10-28T14:05:27.618903Z", "endedAt": "2019-10-28T16:05:27+01:00"}


async def done(running: Running, query: str, **given: Any) -> Any:
    """The payload of a mutation."""
    (payload,) = (await running.ask(query, input=given)).values()
    return payload


async def get(running: Running, path: str) -> Any:
    answer = await running.client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def a_host(running: Running) -> Any:
    return (await done(running, CREATE_HOST, **HOST))["hostSystem"]


async def numbers(running: Running, **arguments: Any) -> list[int]:
    return [node["number"] for node in (await running.ask(PAGE, **arguments))["benchmarks"]["nodes"]]


@pytest.fixture
async def filled(running: Running, connection: asyncpg.Connection) -> Running:
    """A gateway with benchmarks of both forms, some with events, of two nodes that have logged."""
    host = (await a_host(running))["id"]
    spec = {"blocks": [1, 2.5], "more": None}
    older = {"hostSystem": host, **TIMES, "chainSpec": spec, "benchmarkSpec": "x", "description": "notes"}
    setups: list[dict[str, Any]] = [{"setup": {"substrate": {"peerId": peer}}} for peer in ("Qm1", "Qm2", "Qm1")]
    for given in (*setups, older, {"setup": None}, {"hostSystem": host, **TIMES}):
        benchmark = (await done(running, CREATE, **given))["benchmark"]
        for minute in range(benchmark["number"] % 3):
            event = {"benchmark": benchmark["id"], "name": f"n{minute}", "phase": "start"}
            await done(running, RECORD, **event, createdAt=f"2020-08-19T09:0{minute}:00.5Z")
    for peer, targets in (("Qm1", ("b", "a", "b")), ("Qm2", ("c",))):
        messages = [{"msg": "x", "ts": START.isoformat(), "target": target} for target in targets]
        await add_connection(connection, peer, *messages, opened_at=START)
    return running


async def test_a_benchmark_is_created_and_found_again(running: Running) -> None:
    setup = {"runs": [1, 2.5], "substrate": {"peerId": "Qm1"}, "deep": {"a": [None, True, {}]}}
    created = await done(running, CREATE, setup=setup)
    assert created["errors"] == []
    assert created["benchmark"] | {"id": ""} == {
        **dict.fromkeys(("description", "chainSpec", "benchmarkSpec", "startedAt", "endedAt", "hostSystem")),
        "id": "",
        "number": 1,
        "setup": setup,
        "events": [],
    }
    query = "query ($id: ID!) { node(id: $id) { id ... on Benchmark { setup } } }"
    found = await running.ask(query, id=created["benchmark"]["id"])
    assert found["node"] == {"id": created["benchmark"]["id"], "setup": setup}


async def test_json_is_written_in_a_document_too(running: Running) -> None:
    query = """mutation ($runs: JSON) {
      a: createBenchmark(input: { setup: { runs: $runs, text: "x", list: [1, 2.5, null], ok: true } }) {
        benchmark { setup } }
      b: createBenchmark(input: { setup: null }) { benchmark { setup } errors { code } }
      c: createBenchmark(input: { setup: 1e999 }) { benchmark { setup } errors { field message } }
      d: createBenchmark(input: { setup: 123456789012345678901234567890 }) { errors { field } }
    }"""
    answer = await running.ask(query, runs=[1])
    assert answer["a"]["benchmark"]["setup"] == {"runs": [1], "text": "x", "list": [1, 2.5, None], "ok": True}
    assert answer["b"] == {"benchmark": {"setup": None}, "errors": []}
    assert answer["c"] == {
        "benchmark": None,
        "errors": [{"field": "input.setup", "message": "input.setup: a number is too large"}],
    }
    assert answer["d"] == {"errors": [{"field": "input.setup"}]}


async def test_the_older_form_has_its_host_system(running: Running) -> None:
    host = await a_host(running)
    assert host | {"id": ""} == {"id": "", "number": 1, **HOST}
    created = await done(running, CREATE, hostSystem=host["id"], **TIMES, chainSpec={"a": 1}, description="notes")
    assert created["benchmark"] | {"id": ""} == {
        "id": "",
        "number": 1,
        "setup": None,
        "description": "notes",
        "chainSpec": {"a": 1},
        "benchmarkSpec": None,
        "startedAt": "2019-10-28T14:05:27.618903Z",
        "endedAt": "2019-10-28T15:05:27Z",
        "hostSystem": {"os": "freebsd"},
        "events": [],
    }
    node = "query ($id: ID!) { node(id: $id) { ... on HostSystem { number createdAt } } }"
    assert (await running.ask(node, id=host["id"]))["node"]["number"] == 1


async def test_an_event_is_among_those_of_its_benchmark_at_once(running: Running) -> None:
    id_ = (await done(running, CREATE, setup=1))["benchmark"]["id"]
    recorded = await done(running, RECORD, benchmark=id_, name="a", phase="start", createdAt="2020-08-19T09:00:00Z")
    assert recorded == {
        "event": {"number": 1, "name": "a", "phase": "start", "createdAt": "2020-08-19T09:00:00Z"},
        "benchmark": {"number": 1, "events": [{"name": "a"}]},
        "errors": [],
    }
    record = """recordBenchmarkEvent(input: {
      benchmark: $id, name: "%s", phase: "", createdAt: "2020-08-19T08:00:00Z"
    }) { benchmark { events { name } } }"""
    both = await running.ask(f"mutation ($id: ID!) {{ b: {record % 'b'} c: {record % 'c'} }}", id=id_)
    assert [event["name"] for event in both["b"]["benchmark"]["events"]] == ["a", "b"]
    assert [event["name"] for event in both["c"]["benchmark"]["events"]] == ["a", "c", "b"]


ID = "WyJCZW5jaG1hcmsiLDld"  # of a benchmark with the number 9
HOST_ID = "WyJIb3N0U3lzdGVtIiw5XQ"
EVENT = {"name": "x", "phase": "y", "createdAt": "2020-08-19T09:00:00Z"}
REFUSED: list[tuple[str, dict[str, Any], str, str]] = [
    (CREATE, {}, "INVALID_ARGUMENT", "setup"),
    (CREATE, {"setup": 1, "description": "x"}, "INVALID_ARGUMENT", "setup"),
    (CREATE, {"setup": 1, "chainSpec": 0}, "INVALID_ARGUMENT", "setup"),
    (CREATE, TIMES, "INVALID_ARGUMENT", "setup"),
    (CREATE, {"setup": ["\0"]}, "INVALID_ARGUMENT", "setup"),
    (CREATE, {"hostSystem": HOST_ID, **TIMES}, "NOT_FOUND", "hostSystem"),
    (CREATE, {"hostSystem": ID, **TIMES}, "NOT_FOUND", "hostSystem"),
    (CREATE, {"hostSystem": "", **TIMES}, "NOT_FOUND", "hostSystem"),
    (CREATE, {"hostSystem": HOST_ID, **TIMES, "chainSpec": {"\0": 1}}, "INVALID_ARGUMENT", "chainSpec"),
    (CREATE, {"hostSystem": HOST_ID, **TIMES, "benchmarkSpec": "\0"}, "INVALID_ARGUMENT", "benchmarkSpec"),
    (CREATE, {"hostSystem": HOST_ID, **TIMES, "description": "\0"}, "INVALID_ARGUMENT", "description"),
    (RECORD, {**EVENT, "benchmark": ID}, "NOT_FOUND", "benchmark"),
    (RECORD, {**EVENT, "benchmark": HOST_ID}, "NOT_FOUND", "benchmark"),
    (RECORD, {**EVENT, "benchmark": "x" * 500}, "NOT_FOUND", "benchmark"),
    (RECORD, {**EVENT, "benchmark": ID, "name": "\0"}, "INVALID_ARGUMENT", "name"),
    (RECORD, {**EVENT, "benchmark": ID, "phase": "\0"}, "INVALID_ARGUMENT", "phase"),
    (CREATE_HOST, {**HOST, "cpuQty": -1}, "INVALID_ARGUMENT", "cpuQty"),
    (CREATE_HOST, {**HOST, "diskInfo": "\0"}, "INVALID_ARGUMENT", "diskInfo"),
]


async def test_what_cannot_be_stored_says_why(running: Running) -> None:
    for query, given, code, field in REFUSED:
        *objects, errors = (await done(running, query, **given)).values()
        assert [(error["code"], error["field"]) for error in errors] == [(code, f"input.{field}")], given
        assert errors[0]["message"].startswith(f"input.{field}: ")
        assert not any(objects)
    assert await running.ask("{ benchmarks { totalCount } hostSystems { number } }") == {
        "benchmarks": {"totalCount": 0},
        "hostSystems": [],
    }


async def test_pages_are_newest_first_and_stay_as_they_are_while_more_come(filled: Running) -> None:
    first = (await filled.ask(PAGE, first=2))["benchmarks"]
    assert ([node["number"] for node in first["nodes"]], first["totalCount"]) == ([6, 5], 6)
    assert (first["pageInfo"]["hasNextPage"], first["pageInfo"]["hasPreviousPage"]) == (True, False)
    await done(filled, CREATE, setup="later")
    end = first["pageInfo"]["endCursor"]
    assert await numbers(filled, first=3, after=end) == [4, 3, 2]
    assert await numbers(filled, last=2, before=end) == [7, 6]
    assert await numbers(filled, last=2) == [2, 1]
    assert await numbers(filled, first=0) == []


async def test_benchmarks_of_one_moment_are_all_on_some_page(running: Running, connection: asyncpg.Connection) -> None:
    await connection.execute("INSERT INTO podium.benchmarks (setup) SELECT '1' FROM generate_series(1, 7)")
    found: list[int] = []
    after = None
    for _ in range(4):
        page = (await running.ask(PAGE, first=2, after=after))["benchmarks"]
        found += [node["number"] for node in page["nodes"]]
        after = page["pageInfo"]["endCursor"]
    assert found == [7, 6, 5, 4, 3, 2, 1]


@pytest.mark.parametrize(
    "cursor", ["x", "WzFd", "WyIxIiwxXQ", "WzEsOTk5OTk5OTk5OTk5OTk5OTk5OTld", "Wzk5OTk5OTk5OTk5OTk5OTk5OTksMV0"]
)
async def test_foreign_cursors_are_refused(running: Running, cursor: str) -> None:
    (error,) = (await running.answer(PAGE, first=1, after=cursor))["errors"]
    assert error["extensions"]["code"] == "INVALID_ARGUMENT"


async def test_a_cursor_of_a_number_that_is_too_large_is_beyond_everything(running: Running) -> None:
    await done(running, CREATE, setup=1)
    assert await numbers(running, first=1, after="WzQxMDI0NDQ4MDAwMDAwMDAsNDYxMTY4NjAxODQyNzM4NzkwNF0") == [1]


async def test_both_doors_show_the_same(filled: Running) -> None:
    graph = await filled.ask(EVERYTHING)
    nodes = graph["benchmarks"]["nodes"]
    assert len(nodes) == 6
    assert await get(filled, "/benchmarks") == [as_old(node) for node in nodes]
    for node in nodes:
        path = f"/benchmarks/{node['number']}"
        events = [
            {
                "id": event["number"],
                "benchmark_id": node["number"],
                "name": event["name"],
                "phase": event["phase"],
                "created_at": old(event["createdAt"]),
            }
            for event in node["events"]
        ]
        assert await get(filled, f"{path}/events") == events
        assert await get(filled, f"{path}/targets") == [{"target": target} for target in node["targets"]]
    assert [len(node["events"]) for node in nodes] == [0, 2, 1, 0, 2, 1]
    assert [node["targets"] for node in nodes[3:]] == [["a", "b"], ["c"], ["a", "b"]]
    hosts = [
        {"id" if name == "number" else NAMES.get(name, name): value for name, value in host.items()}
        for host in graph["hostSystems"]
    ]
    assert await get(filled, "/host_systems") == hosts
    relations = [{"relation": f"{it['schema']}.{it['name']}", "size": it["size"]} for it in graph["databaseRelations"]]
    assert await get(filled, "/stats/db") == relations
    assert {it["kind"] for it in graph["databaseRelations"]} == {"TABLE", "INDEX", "SEQUENCE"}


NAMES = {"cpuQty": "cpu_qty", "cpuClock": "cpu_clock", "ramMb": "ram_mb", "diskInfo": "disk_info"}


def old(time: str) -> str:
    return format_zoneless(parse_time(time))


def as_old(node: dict[str, Any]) -> dict[str, Any]:
    """A benchmark of the graph as the old URLs have it."""
    setup = node["setup"]
    if node["hostSystem"]:
        setup = {
            "benchmark_spec": node["benchmarkSpec"],
            "chain_spec": node["chainSpec"],
            "description": node["description"],
            "host_system_id": node["hostSystem"]["number"],
            "ts_start": old(node["startedAt"]),
            "ts_end": old(node["endedAt"]),
        }
    return {"id": node["number"], "created_at": old(node["createdAt"]), "setup": setup}


async def test_a_benchmark_knows_its_node(filled: Running) -> None:
    answer = await filled.ask("{ benchmarks { nodes { peer { peerId firstSeenAt } } } }")
    peers = [node["peer"] and node["peer"]["peerId"] for node in answer["benchmarks"]["nodes"]]
    assert peers == [None, None, None, "Qm1", "Qm2", "Qm1"]


async def test_what_is_of_many_benchmarks_is_one_statement_each(filled: Running) -> None:
    asked: list[str] = []
    fetch = filled.gateway.db.read.fetch

    async def counted(statement: Any, **parameters: Any) -> Any:
        asked.append(statement.name)
        return await fetch(statement, **parameters)

    filled.gateway.db.read.fetch = counted  # type: ignore[method-assign]  # counts, and goes on as before
    for nodes in ("nodes %s", "edges { cursor node %s }"):
        asked.clear()
        fields = "{ events { name } targets hostSystem { os } peer { peerId } }"
        await filled.ask(f"{{ benchmarks {{ {nodes % fields} }} }}")
        assert sorted(asked) == [
            *("benchmarks.benchmarks", "benchmarks.events_of", "benchmarks.host_systems_by_id", "benchmarks.targets"),
            "peer_pages.peers_by_name",
        ]


async def test_the_size_of_a_large_relation_is_exact(running: Running, connection: asyncpg.Connection) -> None:
    await connection.execute(
        "INSERT INTO podium.benchmarks (setup) SELECT to_jsonb(md5(n::text)) FROM generate_series(1, 5000) n"
    )
    relations = (await running.ask("{ databaseRelations { name kind sizeBytes } }"))["databaseRelations"]
    assert (relations[0]["name"], relations[0]["kind"]) == ("benchmarks", "TABLE")
    assert relations[0]["sizeBytes"] == await connection.fetchval("SELECT pg_table_size('podium.benchmarks')")


async def test_a_mutation_needs_the_scope_publish(start_gateway: StartGateway) -> None:
    running = await start_gateway(secret=None, jwt_secret=TOKEN_SECRET)
    for query, given in ((CREATE, {"setup": 1}), (CREATE_HOST, HOST), (RECORD, {**EVENT, "benchmark": ID})):
        refused = await send(running, query, given)
        assert [error["extensions"]["code"] for error in refused.json()["errors"]] == ["UNAUTHENTICATED"]
        lacking = await send(running, query, given, **bearer(scope="read"))
        assert [error["extensions"]["code"] for error in lacking.json()["errors"]] == ["FORBIDDEN"]
        assert "errors" not in (await send(running, query, given, **bearer(scope="publish"))).json()
    assert await numbers(running) == [1]


async def send(running: Running, query: str, given: dict[str, Any], **headers: str) -> httpx.Response:
    return await running.graph(query, headers, input=given)


async def test_a_message_that_could_come_again_tells_of_no_benchmark(running: Running) -> None:
    body = orjson.dumps({"query": CREATE, "variables": {"input": {"setup": 1}}})
    headers = {"Content-Type": "application/json", **webhook(body, "msg_1")}
    (error,) = (await running.client.post("/graphql", content=body, headers=headers)).json()["errors"]
    assert error["extensions"]["code"] == "FORBIDDEN"
    assert error["message"] == "createBenchmark needs the scope publish, which this webhook does not give"
    assert await numbers(running) == []


async def test_what_is_told_through_one_door_is_seen_through_the_other_at_once_and_everywhere_soon(pair: Pair) -> None:
    for number in range(1, 3):
        created = await done(pair.here, CREATE, setup=number)
        assert len(await get(pair.here, "/benchmarks")) == 2 * number - 1
        await done(pair.here, RECORD, **EVENT, benchmark=created["benchmark"]["id"])
        assert len(await get(pair.here, f"/benchmarks/{created['benchmark']['number']}/events")) == 1
        await a_host(pair.here)
        assert len(await get(pair.here, "/host_systems")) == number
        await pair.here.client.post("/benchmarks", json={"setup": "posted"})
        assert len(await numbers(pair.here)) == 2 * number
        await pair.all_is_heard()
        assert [len(await numbers(pair.there)), len(await get(pair.there, "/benchmarks"))] == [2 * number] * 2
