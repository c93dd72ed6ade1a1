"""The old URLs of benchmarks, host systems and database sizes: both forms, what is refused, who may, what is kept."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import asyncpg
import httpx
import orjson
import pytest

from resolvers.signing import signature
from tests.harness import SECRET, TOKEN_SECRET, Pair, Running, StartGateway, bearer, webhook
from tests.telemetry import add_connection

HOST = {"description": "A box", "os": "freebsd", "cpu_qty": 4, "cpu_clock": 2600, "ram_mb": 8192, "disk_info": "NVMe"}
RUN = {
    "benchmark_spec": {"blocks": [1, 2.5]},
    "chain_spec": {"name": "Development"},
    "description": "notes",
    "host_system_id": 1,
    "ts_start": "2019-10-28T14:05:27.618903",
    "ts_end": "2019-10-28T15:05:27.6+01:00",
}
EVENT = {"benchmark_id": 1, "name": "warmup", "phase": "start", "created_at": "2020-08-19T09:00:00.123456"}
READ = ("/benchmarks", "/benchmarks/1/events", "/benchmarks/1/targets", "/host_systems", "/stats/db")
POSTED = {"/benchmarks": {"setup": None}, "/benchmarks/events": EVENT, "/host_systems": HOST}
START = datetime(2026, 11, 22, 9, tzinfo=UTC)


async def get(running: Running, path: str) -> Any:
    answer = await running.client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json"), answer.text
    return answer.json()


async def post(running: Running, path: str, given: Any) -> Any:
    answer = await running.client.post(path, json=given)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json"), answer.text
    return answer.json()


async def refusal(running: Running, path: str, given: Any) -> str:
    """Why a post is refused: a text that names what is wrong, or none."""
    body = given if isinstance(given, bytes) else orjson.dumps(given)
    answer = await running.client.post(path, content=body)
    assert answer.status_code == 400, answer.text
    if not answer.content:
        return ""
    assert answer.headers["content-type"] == "application/json"
    (error,) = answer.json().values()
    return str(error)


@pytest.fixture
async def filled(running: Running) -> Running:
    """A gateway with a host system and a benchmark of each form, the older one first."""
    await post(running, "/host_systems", HOST)
    await post(running, "/benchmarks", RUN)
    await post(running, "/benchmarks", {"setup": {"substrate": {"peerId": "Qm1"}}})
    return running


async def test_what_is_created_is_listed_newest_first(running: Running) -> None:
    assert await get(running, "/benchmarks") == []
    setups: list[Any] = [{"runs": [1, 2.5], "a": {"b": None}}, None, "text", 7, [], False]
    created = [await post(running, "/benchmarks", {"setup": setup}) for setup in setups]
    assert [item["setup"] for item in created] == setups
    assert {frozenset(item) for item in created} == {frozenset(("created_at", "id", "setup"))}
    assert await get(running, "/benchmarks/") == created[::-1]
    assert datetime.fromisoformat(created[0]["created_at"]).tzinfo is None


async def test_the_older_form_is_answered_as_it_is_stored(running: Running) -> None:
    assert await post(running, "/host_systems/", HOST) == {**HOST, "id": 1}
    run = {**RUN, "ts_end": "2019-10-28T14:05:27.600"}
    assert await post(running, "/benchmarks", RUN) == {**run, "id": 1}
    assert await get(running, "/host_systems") == [{**HOST, "id": 1}]
    (listed,) = await get(running, "/benchmarks")
    assert listed == {"id": 1, "created_at": listed["created_at"], "setup": run}


async def test_the_older_form_needs_its_host_and_its_times_only(filled: Running) -> None:
    needed = {name: RUN[name] for name in ("host_system_id", "ts_start", "ts_end")}
    created = await post(
        filled, "/benchmarks", needed | {"ts_start": "2019-01-01T00:00:00", "ts_end": "0001-01-01T00:00:00Z"}
    )
    assert created == {
        **dict.fromkeys(("benchmark_spec", "chain_spec", "description")),
        "id": 3,
        "host_system_id": 1,
        "ts_start": "2019-01-01T00:00:00",
        "ts_end": "0001-01-01T00:00:00",
    }


async def test_events_are_listed_newest_first_and_then_the_last_stored(filled: Running) -> None:
    times = ("2020-08-19T09:01:00", "2020-08-19T09:00:00.100", "2020-08-19T09:01:00", "2020-08-19T11:00:30+02:00")
    created = [
        await post(filled, "/benchmarks/events", {**EVENT, "name": f"n{place}", "created_at": at})
        for place, at in enumerate(times)
    ]
    assert created[1] == {**EVENT, "id": 2, "name": "n1", "created_at": times[1]}
    assert created[3]["created_at"] == "2020-08-19T09:00:30"
    assert await get(filled, "/benchmarks/1/events") == [created[place] for place in (2, 0, 3, 1)]
    assert await get(filled, "/benchmarks/2/events/") == []


async def test_targets_are_those_that_the_node_of_a_benchmark_has_logged(
    filled: Running, connection: asyncpg.Connection
) -> None:
    assert await get(filled, "/benchmarks/2/targets") == []
    long = "x" * 128
    targets = ("b", "a", None, "b", "B", f"{long}2", f"{long}1", f"{long}2", long, "ä")
    await log(connection, "Qm1", targets)
    await log(connection, "Qm1", ("audit",), is_audit=True)
    await log(connection, "Qm2", ("other",))
    await log(connection, None, ("nobody",))
    wanted = [{"target": target} for target in ("B", "a", "audit", "b", long, f"{long}1", f"{long}2", "ä")]
    created = await post(filled, "/benchmarks", {"setup": {"substrate": {"peerId": "Qm1"}}})
    assert await get(filled, f"/benchmarks/{created['id']}/targets/") == wanted
    assert await get(filled, "/benchmarks/1/targets") == []


async def log(connection: asyncpg.Connection, peer: str | None, targets: Sequence[str | None], **given: Any) -> None:
    """Messages of one connection, bare and wrapped in turns."""
    ts = START.isoformat()
    messages: list[dict[str, Any]] = []
    for place, target in enumerate(targets):
        said = {"msg": "x"} | ({} if target is None else {"target": target})
        messages.append({"id": 1, "ts": ts, "payload": said} if place % 2 else {"ts": ts, **said})
    await add_connection(connection, peer, *messages, opened_at=START, **given)


PEERS: tuple[Any, ...] = (None, 5, "", "'", '"', "it's", ["x"], {"a": 1}, "x" * 5000, "ä")
NO_NODES = [None, [], "x", 1, {}, {"substrate": None}, {"substrate": []}, {"substrate": {}}]
NO_IDS = ("x", "1.0", "99999999999", "2147483648", "-2147483649", "9" * 5000, "%00", "\u0661", "1e0", "--1", "-", "")
NO_FORMS = (
    *(b"", b"{", b"null", b"[]", b'"x"', b"\xff", b'{"setup": NaN}', b'{"setup": 1e999}', b'{"setup":"\\ud800"}'),
    *(b'{"setup":' + b"[" * 5000, b"{}", b'{"description":"x"}'),
    *(b'{"host_system_id":1,"ts_start":"2019-01-01T00:00:00"}', b'{"benchmark_id":1,"name":"x","phase":"y"}'),
)


async def test_a_benchmark_that_names_no_node_has_no_targets(running: Running) -> None:
    for setup in (*NO_NODES, *({"substrate": {"peerId": peer}} for peer in PEERS)):
        created = await post(running, "/benchmarks", {"setup": setup})
        assert await get(running, f"/benchmarks/{created['id']}/targets") == []


async def test_a_benchmark_that_is_not_there_has_neither_events_nor_targets(running: Running) -> None:
    assert await get(running, "/benchmarks/999/events") == await get(running, "/benchmarks/999/targets") == []


@pytest.mark.parametrize("id_", ["0", "-1", "2147483647", "-2147483648", "0000"])
async def test_an_integer_that_no_benchmark_has_is_one_that_is_not_there(running: Running, id_: str) -> None:
    assert await get(running, f"/benchmarks/{id_}/events") == await get(running, f"/benchmarks/{id_}/targets") == []


async def test_an_id_may_be_written_as_integers_are(running: Running) -> None:
    created = await post(running, "/benchmarks", {"setup": {}})
    event = {"benchmark_id": created["id"], "name": "n", "phase": "p", "created_at": "2020-01-01T00:00:00"}
    stored = await post(running, "/benchmarks/events", event)
    for id_ in (f"{created['id']}", f"+{created['id']}", f"00{created['id']}"):
        assert await get(running, f"/benchmarks/{id_}/events") == [stored]


async def test_there_is_nothing_of_what_is_no_id_of_a_benchmark(running: Running) -> None:
    await post(running, "/benchmarks", {"setup": {}})
    for id_ in NO_IDS:
        for of in ("events", "targets"):
            answer = await running.client.get(f"/benchmarks/{id_}/{of}")
            assert (answer.status_code, answer.text) == (404, "")


async def test_a_body_without_any_form_is_refused_without_a_word(running: Running) -> None:
    for body in NO_FORMS:
        assert [await refusal(running, path, body) for path in ("/benchmarks", "/benchmarks/events")] == ["", ""]
    for body in NO_FORMS[:10]:
        assert await refusal(running, "/host_systems", body) == ""
    assert [await get(running, path) for path in ("/benchmarks", "/host_systems")] == [[], []]


WRONG: list[tuple[str, Any, str]] = [
    ("/benchmarks", {"setup": "a\0"}, "setup"),
    ("/benchmarks", {"setup": [{"a": ["\0"]}]}, "setup"),
    ("/benchmarks", {"setup": {"a\0": 1}}, "setup"),
    ("/benchmarks", b'{"setup":' + b"[" * 201 + b"]" * 201 + b"}", "setup"),
    ("/benchmarks", RUN | {"host_system_id": 9}, "host_system_id"),
    ("/benchmarks", RUN | {"host_system_id": -1}, "host_system_id"),
    ("/benchmarks", RUN | {"host_system_id": 2**31}, "host_system_id"),
    ("/benchmarks", RUN | {"host_system_id": 2**63}, "host_system_id"),
    ("/benchmarks", RUN | {"host_system_id": "1"}, "host_system_id"),
    ("/benchmarks", RUN | {"host_system_id": True}, "host_system_id"),
    ("/benchmarks", RUN | {"host_system_id": None}, "host_system_id"),
    ("/benchmarks", RUN | {"ts_start": "yesterday"}, "ts_start"),
    ("/benchmarks", RUN | {"ts_start": 1}, "ts_start"),
    ("/benchmarks", RUN | {"ts_start": "2019-01-01"}, "ts_start"),
    ("/benchmarks", RUN | {"ts_start": "2019-02-30T00:00:00"}, "ts_start"),
    ("/benchmarks", RUN | {"ts_end": "0001-01-01T00:00:00+01:00"}, "ts_end"),
    ("/benchmarks", RUN | {"ts_end": "2019-01-01T00:00:00\0"}, "ts_end"),
    ("/benchmarks", RUN | {"ts_end": None}, "ts_end"),
    ("/benchmarks", RUN | {"description": "\0"}, "description"),
    ("/benchmarks", RUN | {"description": 1}, "description"),
    ("/benchmarks", RUN | {"chain_spec": {"\0": 1}}, "chain_spec"),
    ("/benchmarks", RUN | {"benchmark_spec": "\0"}, "benchmark_spec"),
    ("/benchmarks/events", EVENT | {"benchmark_id": 9}, "benchmark_id"),
    ("/benchmarks/events", EVENT | {"benchmark_id": 2**40}, "benchmark_id"),
    ("/benchmarks/events", EVENT | {"benchmark_id": "1"}, "benchmark_id"),
    ("/benchmarks/events", EVENT | {"benchmark_id": 1.5}, "benchmark_id"),
    ("/benchmarks/events", EVENT | {"name": None}, "name"),
    ("/benchmarks/events", EVENT | {"name": "\0"}, "name"),
    ("/benchmarks/events", EVENT | {"phase": ["x"]}, "phase"),
    ("/benchmarks/events", EVENT | {"phase": "a\0b"}, "phase"),
    ("/benchmarks/events", EVENT | {"created_at": ""}, "created_at"),
    ("/benchmarks/events", EVENT | {"created_at": "9" * 5000}, "created_at"),
    *[("/host_systems", HOST | {field: {}}, field) for field in HOST],
    *[("/host_systems", {name: HOST[name] for name in HOST if name != field}, field) for field in HOST],
    *[("/host_systems", HOST | {field: 2**31}, field) for field in ("cpu_qty", "cpu_clock", "ram_mb")],
    *[("/host_systems", HOST | {field: "\0"}, field) for field in ("description", "os", "disk_info")],
]


async def test_a_value_that_cannot_be_is_refused_by_the_name_of_its_field(filled: Running) -> None:
    before = [await get(filled, read) for read in READ[:-1]]
    for path, wrong, field in WRONG:
        assert (await refusal(filled, path, wrong)).startswith(field), (path, wrong)
    assert [await get(filled, read) for read in READ[:-1]] == before


async def test_what_is_nested_as_deep_as_it_may_be_is_shown_again(running: Running) -> None:
    deep = orjson.loads(b"[" * 200 + b"]" * 200)
    assert (await post(running, "/benchmarks", {"setup": deep}))["setup"] == deep
    assert (await get(running, "/benchmarks"))[0]["setup"] == deep


async def test_the_sizes_of_relations_add_up(running: Running, connection: asyncpg.Connection) -> None:
    await connection.execute("SELECT podium.create_peer_log_partitions('7 days', now())")
    await connection.execute("""INSERT INTO podium.benchmarks (setup)
      SELECT to_jsonb(repeat(md5(n::text), 50)) FROM generate_series(1, 2000) AS n""")
    relations = await get(running, "/stats/db")
    assert (relations[0]["relation"], relations[0]["size"][-2:]) == ("podium.benchmarks", "kB")
    names = [item["relation"] for item in relations]
    assert {"podium.benchmarks_created_at", "podium.benchmarks_id_seq", "podium.results"} - {*names} == {
        "podium.results"
    }
    assert len([name for name in names if name.startswith("podium.peer_logs_")]) > 10
    whole = await connection.fetchval("""SELECT sum(pg_total_relation_size(oid)) FROM pg_class
      WHERE relnamespace = 'podium'::regnamespace AND relkind IN ('r', 'S')""")
    sizes = await connection.fetch(
        "SELECT pg_table_size(name::regclass) AS size FROM unnest($1::text[]) AS name", names
    )
    assert sum(row["size"] for row in sizes) == whole
    assert [row["size"] for row in sizes] == sorted((row["size"] for row in sizes), reverse=True)


async def test_another_method_is_told_which_ones_there_are(filled: Running) -> None:
    for path in (*READ, "/benchmarks/events"):
        allowed = [*(("GET", "HEAD") if path in READ else ()), *(("POST",) if path in POSTED else ()), "OPTIONS"]
        for method in {"GET", "POST", "PUT", "DELETE", "PATCH"} - {*allowed}:
            answer = await filled.client.request(method, f"{path}/")
            assert (answer.status_code, answer.headers["allow"].split(", ")) == (405, allowed)
        preflight = await filled.client.options(path)
        assert (preflight.status_code, preflight.headers["allow"].split(", ")) == (204, allowed)


async def test_an_answer_has_a_tag_and_its_head_has_no_body(filled: Running) -> None:
    for path in READ:
        answer, head = await filled.client.get(path), await filled.client.head(path)
        assert (answer.status_code, head.status_code, head.content) == (200, 200, b"")
        assert head.headers["content-length"] == answer.headers["content-length"]
        assert answer.headers["cache-control"] == "no-cache"
        known = await filled.client.get(path, headers={"If-None-Match": answer.headers["etag"]})
        assert (known.status_code, known.content) == (304, b"")


async def test_whoever_posts_reads_it_at_once_and_everybody_soon(pair: Pair) -> None:
    for number in range(1, 4):
        for path, given in POSTED.items():
            assert [len(await get(pair.there, read)) for read in READ[:1]] == [number - (path == "/benchmarks")]
            heard = await pair.changes(post(pair.here, path, given))
            assert heard == {{"/benchmarks/events": "benchmark_events"}.get(path, path[1:])}
            for running in pair[:2]:
                assert len(await get(running, f"{path}" if path != "/benchmarks/events" else READ[1])) == number


async def test_an_answer_is_kept_until_something_changes(pair: Pair) -> None:
    await post(pair.here, "/benchmarks", {"setup": 1})
    await pair.all_is_heard()
    before = pair.here.gateway.answers.counts["computed"]
    for _ in range(3):
        await get(pair.here, "/benchmarks")
        await get(pair.here, "/benchmarks/1/events/")
    assert pair.here.gateway.answers.counts["computed"] == before + 2


async def test_posts_are_open_unless_configured(start_gateway: StartGateway) -> None:
    running = await start_gateway(secret=None)
    for path, given in POSTED.items():
        for headers in ({}, {"Authorization": "Bearer x"}):
            assert (await running.client.post(path, json=given, headers=headers)).status_code == 200


async def closed_post(running: Running, path: str, given: Any, **headers: str) -> httpx.Response:
    body = orjson.dumps(given)
    shown = {"Authorization": signature(body, SECRET)} if headers.pop("sign", None) else headers
    return await running.client.post(path, content=body, headers=shown)


async def test_closed_posts_need_the_scope(start_gateway: StartGateway) -> None:
    running = await start_gateway(legacy_writes_open=False, jwt_secret=TOKEN_SECRET)
    for path, given in POSTED.items():
        refused = await closed_post(running, path, given)
        assert (refused.status_code, refused.json()["error"]) == (
            *(403, f"{path} needs the scope publish, and the request shows nothing that gives it"),
        )
        lacking = await closed_post(running, path, given, **bearer(scope="read"))
        assert (lacking.status_code, lacking.json()["error"].split(",")[0]) == (403, f"{path} needs the scope publish")
        wrong = await closed_post(running, path, given, **bearer(exp=1))
        assert (wrong.status_code, wrong.headers["www-authenticate"]) == (401, 'Bearer error="invalid_token"')
        message = await closed_post(running, path, given, **webhook(orjson.dumps(given), "msg_1"))
        assert message.status_code == 403
        assert (await running.client.post(path, content=b"{")).status_code == 403
        for shown in (bearer(scope="publish"), {"sign": "yes"}):
            assert (await closed_post(running, path, given, **shown)).status_code == 200
    assert len(await get(running, "/benchmarks")) == 2


async def test_closed_reads_need_the_scope(start_gateway: StartGateway) -> None:
    closed = await start_gateway(legacy_reads_open=False, anonymous_scopes="none", jwt_secret=TOKEN_SECRET)
    await post(closed, "/benchmarks", {"setup": 1})
    for path in READ:
        refused = await closed.client.get(path)
        assert (refused.status_code, refused.headers["cache-control"]) == (403, "private, no-store")
        assert refused.json()["error"].endswith("needs the scope read, and the request shows nothing that gives it")
        answer = await closed.client.get(path, headers=bearer(scope="read"))
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "private, no-store")


async def test_a_large_body_is_refused(running: Running) -> None:
    for path in POSTED:
        assert (await running.client.post(path, content=b" " * (1 << 20) + b"{}")).status_code == 413
