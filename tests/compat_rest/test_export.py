"""/export/stats: the file has what `stats` shows, whatever it is, and never looks complete when it is not."""

import asyncio
import csv
import io
import tracemalloc
from typing import Any

import asyncpg
import httpx
import orjson
import psutil
import pytest

from resolvers.export import COLUMNS
from tests.harness import Database, Running, StartGateway, eventually
from tests.test_faults import own_postgres

NASTY = ('=1+1;"a",b', "+1", "-1", "@x", "line\nbreak\r\nand\rmore", 'a"b""c', "naïve 🎬 \u2028 end", " ,", "''", "\\n")
MANY = """
  INSERT INTO podium.results
    (recorded_at, timestamp, success_rate, round_trip_time, orchestrator_id, region_id, payload)
  SELECT now() - n * interval '10 ms', n, 1, n, o.id, g.id, jsonb_build_object('response_payload',
    (SELECT string_agg(md5(n * $2 + i || ''), '') FROM generate_series(1, $2) AS i))
  FROM generate_series(1, $1) AS n, podium.orchestrators AS o, podium.regions AS g
  WHERE o.address = '0xaa' AND (g.code, g.job_type) = ('FRA', 'transcoding')"""
RESULT = {"region": "FRA", "orchestrator": "0xaa", "success_rate": 1, "round_trip_time": 0.5}
STATS = """query ($filter: StatFilter, $after: String) { stats(
  filter: $filter, first: 7, after: $after, orderBy: RECORDED_AT_ASC
) {
  pageInfo { hasNextPage endCursor }
  nodes {
    id recordedAt orchestrator { address } region { code } jobType pipeline model successRate roundTripTime segDuration
    segmentsSent segmentsReceived uploadTime downloadTime transcodeTime modelIsWarm errors { errorCode message count }
    reportedAt inputParameters responsePayload withdrawal { id }
  }
} }"""


@pytest.fixture
async def filled(running: Running, connection: asyncpg.Connection) -> Running:
    """Twenty results of two nodes and both kinds, with nasty texts; two of them are withdrawn."""
    for number in range(20):
        fields: dict[str, Any] = {
            "region": ("FRA", "LAX")[number % 2],
            "orchestrator": ("0xaa", "0xbb")[number // 2 % 2],
            "success_rate": (1, 0.5, 0)[number % 3],
            "round_trip_time": number / 8,
        }
        if number % 3:
            fields |= {"seg_duration": 2, "segments_sent": 15, "upload_time": 0.1, "timestamp": 1726864722 + number}
        else:
            fields |= {"pipeline": f"P{number % 2}", "model": "m,1", "model_is_warm": number % 4 == 0}
            fields |= {"input_parameters": NASTY[number % 10], "response_payload": NASTY[(number + 1) % 10]}
        if number % 3 == 2:
            fields["errors"] = [{"error_code": "Timeout", "message": NASTY[number % 10], "count": 2}, "Lost"]
        assert (await running.post_stat(**fields)).text == "ok"
    await connection.execute("UPDATE podium.results SET withdrawal_id = 1 WHERE round_trip_time IN (0.5, 1)")
    return running


async def exported(running: Running, **parameters: Any) -> list[dict[str, Any]]:
    """The rows of an export as NDJSON."""
    answer = await running.client.get("/export/stats", params={"format": "ndjson", **parameters})
    assert answer.status_code == 200, answer.text
    return [orjson.loads(line) for line in answer.content.split(b"\n") if line]


async def shown(running: Running, **wanted: Any) -> list[dict[str, Any]]:
    """The same results as `stats` pages show them, with the names of the columns."""
    nodes, after, more = [], None, True
    while more:
        page = (await running.ask(STATS, filter=wanted, after=after))["stats"]
        nodes += page["nodes"]
        after, more = page["pageInfo"]["endCursor"], page["pageInfo"]["hasNextPage"]
    return [_as_row(node) for node in nodes]


def _as_row(node: dict[str, Any]) -> dict[str, Any]:
    plain = {
        "id": node["id"],
        "recorded_at": node["recordedAt"],
        "orchestrator": node["orchestrator"]["address"],
        "region": node["region"]["code"],
        "job_type": node["jobType"].lower(),
        "reported_at": node["reportedAt"],
        "withdrawn": node["withdrawal"] is not None,
        "errors": [
            {"error_code": e["errorCode"], **({"message": e["message"]} if e["message"] else {}), "count": e["count"]}
            for e in node["errors"]
        ],
    }
    camel = {name: "".join((w.title() if i else w) for i, w in enumerate(name.split("_"))) for name in COLUMNS}
    return {name: plain[name] if name in plain else node[camel[name]] for name in COLUMNS}


async def test_ndjson_has_what_stats_pages_show(filled: Running) -> None:
    rows = await exported(filled)
    assert rows == await shown(filled)
    assert len(rows) == 18
    assert list(rows[0]) == list(COLUMNS)


async def test_csv_is_read_back_as_it_was_posted(filled: Running) -> None:
    answer = await filled.client.get("/export/stats", params={"withdrawn": "any"})
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="podium-stats.csv"'
    assert answer.content.startswith(",".join(COLUMNS).encode() + b"\r\n")
    rows = list(csv.DictReader(io.StringIO(answer.content.decode(), newline="")))
    assert rows == [
        {name: _as_csv(value) for name, value in row.items()} for row in await exported(filled, withdrawn="any")
    ]
    assert {row["input_parameters"] for row in rows} >= {NASTY[0], NASTY[3], NASTY[6], NASTY[9]}
    assert any(orjson.loads(row["errors"])[0]["message"] == NASTY[4] for row in rows if "break" in row["errors"])


def _as_csv(value: Any) -> str:
    if isinstance(value, bool | list):
        return orjson.dumps(value).decode()
    return "" if value is None else str(value)


@pytest.mark.parametrize(
    ("parameters", "wanted"),
    [
        ({"orchestrator": "0XAA"}, {"orchestrator": {"in": ["0xaa"]}}),
        ({"orchestrator": ["0xaa", "0xbb"]}, {"orchestrator": {"in": ["0xaa", "0xbb"]}}),
        ({"region": "fra"}, {"region": {"in": ["FRA"]}}),
        ({"job_type": "ai"}, {"jobType": "AI"}),
        ({"job_type": "transcoding"}, {"jobType": "TRANSCODING"}),
        ({"pipeline": "P1"}, {"pipeline": {"in": ["P1"]}}),
        ({"model": ["m,1", "m2"]}, {"model": {"in": ["m,1", "m2"]}}),
        ({"min_success_rate": "0.5"}, {"successRate": {"min": 0.5}}),
        ({"max_success_rate": "0"}, {"successRate": {"max": 0}}),
        ({"min_round_trip_time": "1", "max_round_trip_time": "1.5"}, {"roundTripTime": {"min": 1, "max": 1.5}}),
        ({"error_code": "Lost"}, {"errorCode": {"in": ["Lost"]}}),
        ({"model_is_warm": "true"}, {"modelIsWarm": True}),
        ({"model_is_warm": "false"}, {"modelIsWarm": False}),
        ({"withdrawn": "true"}, {"withdrawn": True}),
        ({"withdrawn": "any"}, {"withdrawn": None}),
        ({"last": "24h"}, {"during": {"last": "24h"}}),
        ({"since": "2020-01-01T00:00:00Z"}, {"during": {"since": "2020-01-01T00:00:00Z"}}),
        ({"since": "1577836800.5", "region": "LAX"}, {"region": {"in": ["LAX"]}}),
    ],
)
async def test_every_filter_means_what_it_means_in_the_graph(
    filled: Running, parameters: dict[str, Any], wanted: dict[str, Any]
) -> None:
    rows = await exported(filled, **parameters)
    expected = await shown(filled, **wanted)
    if wanted.get("withdrawn", False) is not False:  # the entry that these name is not in the log
        expected = [{**row, "withdrawn": row["round_trip_time"] in (0.5, 1)} for row in expected]
    assert rows == expected
    assert rows


async def test_until_ends_it_and_nobody_knows_the_future(filled: Running) -> None:
    rows = await exported(filled)
    assert await exported(filled, until=rows[4]["recorded_at"]) == rows[:5]
    assert await exported(filled, until="2999-01-01T00:00:00Z") == rows
    assert await exported(filled, until="2020-01-01") == []


async def test_columns_and_their_order_are_chosen_and_a_limit_keeps_the_oldest(filled: Running) -> None:
    answer = await filled.client.get(
        "/export/stats", params={"columns": ["round_trip_time,region", "id"], "limit": 2, "job_type": "transcoding"}
    )
    lines = answer.text.splitlines()
    assert lines[0] == "round_trip_time,region,id"
    assert [line.rpartition(",")[0] for line in lines[1:]] == ["0.125,LAX", "0.25,FRA"]


async def test_an_id_of_a_file_is_an_id_of_the_graph(filled: Running) -> None:
    row = (await exported(filled, limit=1))[0]
    query = "query ($id: ID!) { node(id: $id) { ... on Stat { roundTripTime } } }"
    assert (await filled.ask(query, id=row["id"]))["node"] == {"roundTripTime": row["round_trip_time"]}


@pytest.mark.parametrize(
    ("accept", "parameters", "media_type"),
    [
        ("*/*", {}, "text/csv; charset=utf-8"),
        ("text/html,*/*;q=0.8", {}, "text/csv; charset=utf-8"),
        ("application/x-ndjson", {}, "application/x-ndjson"),
        ("application/x-ndjson, text/csv", {}, "text/csv; charset=utf-8"),
        ("application/x-ndjson", {"format": "csv"}, "text/csv; charset=utf-8"),
    ],
)
async def test_the_format_is_asked_for_by_name_or_by_accept(
    running: Running, accept: str, parameters: dict[str, str], media_type: str
) -> None:
    for method in ("GET", "HEAD"):
        answer = await running.client.request(method, "/export/stats", params=parameters, headers={"Accept": accept})
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, media_type)
        assert answer.headers["Cache-Control"] == "no-store"
    assert answer.content == b""


async def test_an_empty_export_is_a_complete_file(running: Running) -> None:
    assert (await running.client.get("/export/stats")).text == ",".join(COLUMNS) + "\r\n"
    assert (await running.client.get("/export/stats?format=ndjson")).text == ""


@pytest.mark.parametrize(
    ("query", "field"),
    [
        *(
            ("orchestrators=0x1", "orchestrators"),
            ("ORCHESTRATOR=0x1", "ORCHESTRATOR"),
            ("orchestrator=", "orchestrator"),
        ),
        *(
            ("model=a%00", "model"),
            ("job_type=video", "job_type"),
            ("since=yesterday", "since"),
            ("until=1e30", "until"),
        ),
        *(("last=1", "last"), ("last=1h&since=1", "last"), ("since=1&since=2", "since"), ("limit=0", "limit")),
        *(("limit=9999999999", "limit"), ("limit=1.5", "limit"), ("min_success_rate=nan", "min_success_rate")),
        *(("max_round_trip_time=1e999", "max_round_trip_time"), ("model_is_warm=1", "model_is_warm")),
        *(("withdrawn=null", "withdrawn"), ("format=xml", "format"), ("columns=id,secret", "columns")),
        ("since=2020-01-01T00:00:00+00:00", "since"),  # a plus that is not written as %2B is a space
    ],
)
async def test_a_parameter_that_cannot_be_is_named(running: Running, query: str, field: str) -> None:
    answer = await running.client.get(f"/export/stats?{query}")
    assert (answer.status_code, answer.headers["Content-Type"]) == (400, "application/json")
    assert (answer.json()["code"], answer.json()["field"]) == ("INVALID_ARGUMENT", field)
    assert answer.json()["error"].startswith(f"{field}: ")


@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT"])
async def test_an_export_is_only_read(running: Running, method: str) -> None:
    answer = await running.client.request(method, "/export/stats")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")


async def many(running: Running, connection: asyncpg.Connection, count: int, payload: int = 2) -> None:
    await running.post_stat(**RESULT)
    await connection.execute("DELETE FROM podium.results")
    await connection.execute(MANY, count, payload)


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_memory_stays_flat_over_many_results(
    running: Running, connection: asyncpg.Connection, encoding: str
) -> None:
    await many(running, connection, 20_000, payload=32)
    received = 0
    tracemalloc.start()
    try:
        async with running.client.stream("GET", "/export/stats", headers={"Accept-Encoding": encoding}) as answer:
            assert answer.headers.get("Content-Encoding", "identity") == encoding
            async for chunk in answer.aiter_bytes():
                received += len(chunk)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert received > 22_000_000
    assert peak < 10_000_000


async def test_all_results_of_before_and_none_twice_while_others_arrive(
    running: Running, connection: asyncpg.Connection
) -> None:
    await many(running, connection, 5000)
    numbers: list[int] = []
    async with running.client.stream("GET", "/export/stats?format=ndjson&columns=round_trip_time,withdrawn") as answer:
        async for line in answer.aiter_lines():
            numbers.append(int(orjson.loads(line)["round_trip_time"]))
            if len(numbers) % 100 == 0 and len(numbers) <= 2000:
                await running.post_stat(**RESULT)
    assert numbers == list(range(5000, 0, -1))


async def test_an_export_that_breaks_does_not_look_complete(tmp_path: Any) -> None:
    async with own_postgres(tmp_path) as (server, running):
        admin = await asyncpg.connect(server.logins.superuser)
        await many(running, admin, 20_000, payload=32)
        await admin.close()
        received: list[bytes] = []
        async with running.client.stream("GET", "/export/stats") as answer:
            pieces = answer.aiter_bytes()
            received.append(await anext(pieces))
            psutil.Process(server.pid).kill()
            with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
                received.extend([piece async for piece in pieces])
        assert received[0].startswith(b"id,")


async def test_a_database_that_is_away_is_said_before_anything_is_sent(
    start_gateway: StartGateway, connection: asyncpg.Connection
) -> None:
    running = await start_gateway()
    await connection.execute("ALTER TABLE podium.results RENAME TO gone")
    answer = await running.client.get("/export/stats")
    assert (answer.status_code, answer.json()["code"]) == (503, "NOT_MIGRATED")
    assert answer.headers["Retry-After"]


async def test_a_client_that_takes_nothing_holds_no_connection_and_no_memory(
    running: Running, connection: asyncpg.Connection
) -> None:
    await many(running, connection, 20_000, payload=32)
    pool = running.gateway.db.read
    reads = 0
    fetch = pool.fetch

    async def counted(*given: Any, **parameters: Any) -> Any:
        nonlocal reads
        reads += 1
        return await fetch(*given, **parameters)

    pool.fetch = counted  # type: ignore[method-assign]  # counts, and goes on as before
    async with running.client.stream("GET", "/export/stats"):
        await eventually(lambda: reads and pool.idle == pool.size)
        for _ in range(20):
            await running.client.get("/livez")
        assert reads < 10
    before = reads
    for _ in range(20):
        await running.client.get("/livez")
    assert reads <= before + 1


async def test_the_query_of_a_client_that_has_left_is_cancelled(
    running: Running, connection: asyncpg.Connection, database: Database
) -> None:
    await running.post_stat(**RESULT)
    waiting = "SELECT count(*) FROM pg_locks AS l JOIN pg_stat_activity USING (pid) WHERE NOT granted AND datname = $1"
    async with connection.transaction():
        await connection.execute("LOCK TABLE podium.results IN ACCESS EXCLUSIVE MODE")
        leaving = asyncio.create_task(running.client.get("/export/stats"))
        while not await connection.fetchval(waiting, database.name):
            await asyncio.sleep(0.01)
        leaving.cancel()
        async with asyncio.timeout(1.5):
            while await connection.fetchval(waiting, database.name):
                await asyncio.sleep(0.01)
