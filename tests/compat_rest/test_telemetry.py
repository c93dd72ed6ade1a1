"""The old URLs of telemetry that ask about nodes: what each parameter does, and whom a strange message cannot hurt."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import asyncpg
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.harness import TOKEN_SECRET, Running, StartGateway, bearer, eventually
from tests.telemetry import add_connection, minutes_after, network_state

NOON = datetime(2020, 8, 19, 12, tzinfo=UTC)
PATHS = [
    "/nodes",
    "/nodes/log_stats",
    "/nodes/logs?peer_id=QmA",
    "/reputation",
    "/reputation/logged",
    "/reputation/QmA",
]
ALWAYS = "max_age_s=2000000000"


@pytest.fixture
async def running(start_gateway: StartGateway) -> Running:
    """A gateway that answers with what is there at the moment."""
    return await start_gateway(answer_cache_bytes=0)


@pytest.fixture
def add(connection: asyncpg.Connection) -> Any:
    """Adds a connection of a node with its messages, opened at noon unless that is said."""

    async def add(peer_id: str | None, *messages: dict[str, Any], **given: Any) -> int:
        return await add_connection(connection, peer_id, *messages, **{"opened_at": NOON, **given})

    return add


def said(minutes: float, msg: str = "a", **more: Any) -> dict[str, Any]:
    """A message some minutes after noon."""
    return {"ts": minutes_after(NOON, minutes), "msg": msg, **more}


def state(minutes: float, **nodes: tuple[int, bool]) -> dict[str, Any]:
    """A network state some minutes after noon."""
    return network_state(NOON + timedelta(minutes=minutes), **nodes)


async def get(running: Running, path: str) -> Any:
    """An answer that must be one."""
    answer = await running.client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json"), answer.text
    return answer.json()


async def refused(running: Running, path: str) -> str:
    """Why a request is refused."""
    answer = await running.client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/json"), answer.text
    assert list(answer.json()) == ["error"]
    return str(answer.json()["error"])


async def times(running: Running, query: str) -> list[str]:
    """The minutes and seconds of a node's logs."""
    return [log["created_at"][14:] for log in await get(running, f"/nodes/logs?peer_id=QmA&{query}")]


async def test_a_node_is_shown_with_all_that_is_known_of_it(
    running: Running, add: Any, connection: asyncpg.Connection
) -> None:
    await add("QmA", opened_at=NOON + timedelta(microseconds=1500), is_audit=True, name="Alice")
    await connection.execute("UPDATE podium.peer_connections SET id = 9007199254740993, startup_time = 1597829900000")
    (node,) = await get(running, "/nodes?peer_id=ignored&limit=x")
    assert node.pop("ip_addr").startswith("127.0.0.1:")
    assert node == {
        "audit": True,
        "authority": None,
        "chain": None,
        "created_at": "2020-08-19T12:00:00.001500",
        "id": 9007199254740993,
        "implementation": None,
        "name": "Alice",
        "peer_id": "QmA",
        "startup_time": 1597829900000,
        "version": None,
    }


async def test_sockets_that_are_not_identified_have_one_entry_at_the_end(running: Running, add: Any) -> None:
    for peer_id in (None, "b", "a", None, "b"):
        await add(peer_id)
    assert [node["peer_id"] for node in await get(running, "/nodes")] == ["a", "b", None]


@pytest.mark.parametrize("path", PATHS)
async def test_a_slash_at_the_end_changes_nothing(running: Running, add: Any, path: str) -> None:
    await add("QmA", said(1), state(2, QmA=(1, True)))
    plain, _, query = path.partition("?")
    assert await get(running, f"{plain}/?{query}") == await get(running, path)
    answer = await running.client.get(f"{plain}//?{query}")
    assert (answer.status_code, answer.content) == (404, b"")


@pytest.mark.parametrize("path", ["/nope", "/nodes/nope", "/nodes/logs/x", "/reputation/a/b", "/reputation//", "/%00"])
async def test_other_paths_are_not_found(running: Running, path: str) -> None:
    answer = await running.client.get(path)
    assert (answer.status_code, answer.content) == (404, b"")


@pytest.mark.parametrize("path", PATHS)
async def test_other_methods_are_refused(running: Running, path: str) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH", "TRACE"):
        answer = await running.client.request(method, path)
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
        assert list(answer.json()) == ["error"]
    head = await running.client.head(path)
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "2")
    assert (await running.client.options(path)).status_code == 204


async def test_no_socket_is_opened_here(running: Running) -> None:
    for path in PATHS:
        with pytest.raises(InvalidStatus, match="403"):
            await connect(running.url.replace("http", "ws") + path).__aenter__()


async def test_logs_want_a_node(running: Running) -> None:
    assert "peer_id" in await refused(running, "/nodes/logs")
    assert await get(running, "/nodes/logs?peer_id=") == []
    assert await get(running, "/nodes/log_stats") == []
    assert await get(running, "/nodes/log_stats?peer_id=QmNobody") == []


async def test_a_log_is_shown_as_it_came(running: Running, add: Any) -> None:
    bare = said(1.5, "b", values={"nested": [1, 2.5, None, True, "é\u2028"]})
    wrapped = {"id": 7, "ts": minutes_after(NOON, 2), "payload": {"msg": "c", "target": "t"}}
    await add("QmA", bare, wrapped)
    newer, older = await get(running, "/nodes/logs?peer_id=QmA")
    assert newer.pop("ip_addr") == older.pop("ip_addr")
    assert newer == {"created_at": "2020-08-19T12:02:00", "logs": wrapped, "msg": "c", "peer_id": "QmA"}
    assert older == {"created_at": "2020-08-19T12:01:30", "logs": bare, "msg": "b", "peer_id": "QmA"}


async def test_a_log_without_msg_hurts_nobody(running: Running, add: Any) -> None:
    await add("QmA", said(1), {"ts": minutes_after(NOON, 2), "level": "INFO"}, {"ts": minutes_after(NOON, 3), "msg": 5})
    assert len(await get(running, "/nodes/logs?peer_id=QmA")) == 3
    stats = {row["log_type"]: row["qty"] for row in await get(running, "/nodes/log_stats?peer_id=QmA")}
    assert stats == {"a": 1, None: 2}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["04:00", "03:00", "02:00.500", "01:00"]),
        ("limit=2", ["04:00", "03:00"]),
        ("limit=000002", ["04:00", "03:00"]),
        ("limit=0", []),
        ("limit=10000", ["04:00", "03:00", "02:00.500", "01:00"]),
        ("msg=a", ["03:00", "01:00"]),
        ("msg=a&target=t", ["03:00"]),
        ("target=t", ["04:00", "03:00", "02:00.500", "01:00"]),
        ("msg=none", []),
        ("start_time=2020-08-19T12:02:00.5", ["04:00", "03:00"]),
        ("start_time=2020-08-19T12:02:00.499999", ["04:00", "03:00", "02:00.500"]),
        ("start_time=2020-08-19T12:02:00.499999999", ["04:00", "03:00", "02:00.500"]),
        ("end_time=2020-08-19T12:03:00", ["02:00.500", "01:00"]),
        ("start_time=2020-08-19T12:01:00Z&end_time=2020-08-19T12:04:00Z", ["03:00", "02:00.500"]),
        ("start_time=2020-08-19T14:02:00%2B02:00", ["04:00", "03:00", "02:00.500"]),
        ("start_time=2020-08-19T14:02:00+02:00", ["04:00", "03:00", "02:00.500"]),
        ("end_time=2020-08-19T06:32:00-05:30", ["01:00"]),
        ("start_time=9999-12-31T23:59:59", []),
        ("end_time=0001-01-01T00:00:00", []),
        ("MSG=none&other=1&other=2&start=x", ["04:00", "03:00", "02:00.500", "01:00"]),
    ],
)
async def test_parameters_of_logs(running: Running, add: Any, query: str, expected: list[str]) -> None:
    first = said(1), {**said(2), "ts": "2020-08-19T12:02:00.500+00:00", "msg": "b"}
    await add("QmA", *first, said(3, target="t"), said(4, "b", target="t"))
    await add("QmB", said(2.5))
    assert await times(running, query) == expected


async def test_logs_of_the_future_are_shown_to_those_who_ask_about_then(running: Running, add: Any) -> None:
    await add("QmA", said(1), {"ts": "2099-01-01T00:00:01+00:00", "msg": "future"})
    assert await times(running, "") == ["01:00"]
    assert await times(running, "end_time=2100-01-01T00:00:00") == ["00:01", "01:00"]
    assert await times(running, "start_time=2098-01-01T00:00:00") == []


TIMES = [
    *("", "x", "2020-08-19", "2020-08-19T12:00", "2020-08-19 12:00:00", "2020-13-19T12:00:00", "0000-01-01T00:00:00"),
    *("1597829900", "2020-08-19T12:00:60", "2020-08-19T12:00:00.", "2020-08-19T12:00:00+99:00", "2020-W01", "%00"),
    *("0001-01-01T00:00:00%2B02:00", "9999-12-31T23:59:59-02:00", "2020-08-19T12:00:00Z+02:00", "٢٠٢٠-08-19T12:00:00"),
]
NUMBERS = ["", "x", "1.5", "+1", "1e2", "0x1", "%00", "٣", "--1", "1-", "-"]


@pytest.mark.parametrize("path", ["/nodes/logs?peer_id=QmA&", "/reputation/QmA?"])
@pytest.mark.parametrize("name", ["start_time", "end_time"])
async def test_a_time_that_cannot_be_read_is_refused_by_name(running: Running, path: str, name: str) -> None:
    for value in TIMES:
        assert (await refused(running, f"{path}{name}={value}")).startswith(f"{name}: ")


@pytest.mark.parametrize("path", [*PATHS[2:]])
async def test_a_limit_that_cannot_be_is_refused_by_name(running: Running, path: str) -> None:
    for value in (*NUMBERS, "-1", "9" * 19, "9" * 5000):
        why = await refused(running, f"{path}{'&' if '?' in path else '?'}limit={value}")
        assert why.startswith("limit: ")
        assert len(why) < 100


@pytest.mark.parametrize("path", ["/reputation", "/reputation/logged"])
async def test_an_age_that_cannot_be_is_refused_by_name(running: Running, path: str) -> None:
    for value in NUMBERS:
        assert (await refused(running, f"{path}?max_age_s={value}")).startswith("max_age_s: ")


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/nodes/log_stats", ["peer_id"]),
        ("/nodes/logs?peer_id=a", ["peer_id", "msg", "target", "start_time", "end_time", "limit"]),
        ("/reputation", ["max_age_s", "limit"]),
        ("/reputation/logged", ["max_age_s", "limit"]),
        ("/reputation/QmA", ["start_time", "end_time", "limit"]),
    ],
)
async def test_a_repeated_parameter_is_refused_by_name(running: Running, path: str, names: list[str]) -> None:
    for name in names:
        value = "2020-08-19T12:00:00" if "time" in name else "1"
        twice = f"{path}{'&' if '?' in path else '?'}{name}={value}&{name}={value}"
        assert (await refused(running, twice)).startswith(f"{name}: ")


async def test_reputations_are_those_of_the_last_minute(running: Running, add: Any) -> None:
    now = datetime.now(UTC)
    for name, age_s in {"a": 0, "b": 30, "c": 90, "d": -3600}.items():
        await add(name, network_state(now - timedelta(seconds=age_s), x=(1, True)))
    for query, expected in {"": "abd", "max_age_s=10": "ad", "max_age_s=0": "d", "max_age_s=7200": "abcd"}.items():
        shown = await get(running, f"/reputation?{query}")
        assert "".join(row["reporting_peer"] for row in shown) == expected


@pytest.mark.parametrize("age", ["2000000000", "100000000000", "0" * 5000 + "9" * 12, "9" * 5000])
async def test_an_age_may_reach_back_before_all_times(running: Running, add: Any, age: str) -> None:
    await add("a", {**state(0, x=(1, True)), "ts": "1990-01-01T00:00:00+00:00"})
    assert len(await get(running, f"/reputation?max_age_s={age}")) == 1


async def test_an_age_below_zero_is_in_the_future(running: Running, add: Any) -> None:
    now = datetime.now(UTC)
    for name, age_s in {"a": 0, "b": -30, "c": -90}.items():
        await add(name, network_state(now - timedelta(seconds=age_s), x=(1, True)))
    for age, expected in {"-1": "bc", "-60": "c", "-3600": "", "-0": "bc", "-" + "9" * 5000: ""}.items():
        shown = await get(running, f"/reputation?max_age_s={age}")
        assert "".join(row["reporting_peer"] for row in shown) == expected


@pytest.mark.parametrize("limit", ["10000", "10001", "2147483648", "9" * 18, "0" * 5000 + "10001"])
async def test_a_limit_may_be_larger_than_what_is_shown_at_most(running: Running, add: Any, limit: str) -> None:
    await add("QmA", said(1), said(2), state(3, QmA=(1, True)))
    assert len(await times(running, f"limit={limit}")) == 3
    assert len(await get(running, f"/reputation?{ALWAYS}&limit={limit}")) == 1
    assert len(await get(running, f"/reputation/QmA?limit={limit}")) == 1


async def test_reputations_have_lists_that_belong_together(running: Running, add: Any) -> None:
    await add("QmA", state(1, QmX=(-5, False), Qm99999999=(0, True), QmB=(11, True)))
    await add("QmB", state(2.25, QmA=(7, True)))
    one = {"reporting_peer": "QmA", "ts": "2020-08-19T12:01:00"}
    other = {"reporting_peer": "QmB", "ts": "2020-08-19T12:02:15", "remote_peer": ["QmA"], "reputation": [7]}
    several = {"connected": [True, False, True], "remote_peer": ["QmB", "QmX", "Qm99999999"], "reputation": [11, -5, 0]}
    assert await get(running, f"/reputation?{ALWAYS}") == [one | several, other | {"connected": [True]}]
    assert await get(running, f"/reputation?{ALWAYS}&limit=1") == [one | several]
    logged = {"connected": [True], "remote_peer": ["QmB"], "reputation": [11]}
    assert await get(running, f"/reputation/logged?{ALWAYS}") == [one | logged, other | {"connected": [True]}]


async def test_a_reputation_that_is_no_integer_hurts_nobody(running: Running, add: Any) -> None:
    odd = state(2, QmA=(1, True), QmC=(3, True))
    odd["state"]["peerset"]["nodes"] |= {"QmB": {"reputation": "good", "connected": True}, "QmD": 5}
    await add("QmA", odd)
    await add("QmB", state(1, QmA=(2, True)), {**state(0), "state": {"peerset": {"nodes": "all"}}})
    for path in ("/reputation", "/reputation/logged"):
        shown = await get(running, f"{path}?{ALWAYS}")
        assert [(row["reporting_peer"], row["remote_peer"][0]) for row in shown] == [("QmA", "QmA"), ("QmB", "QmA")]
    assert [row["reputation"] for row in await get(running, "/reputation/QmC")] == [3]
    assert await get(running, "/reputation/QmB") == []


async def test_reputations_of_one_node_are_none_of_others(running: Running, add: Any) -> None:
    await add("QmA", state(1, QmX=(1, True), QmY=(100, False)), state(3, QmX=(3, False), QmY=(100, False)))
    await add("QmB", state(2, QmX=(2, True), QmY=(100, False)), state(4, QmY=(100, False)))
    first = {"connected": False, "reporting_peer": "QmA", "reputation": 3, "ts": "2020-08-19T12:03:00"}
    assert (await get(running, "/reputation/QmX"))[0] == first
    for query, expected in {
        "": [3, 2, 1],
        "limit=2": [3, 2],
        "limit=0": [],
        "start_time=2020-08-19T12:01:00": [3, 2],
        "end_time=2020-08-19T12:03:00": [2, 1],
    }.items():
        assert [row["reputation"] for row in await get(running, f"/reputation/QmX?{query}")] == expected


async def test_opinions_of_the_future_are_shown_to_those_who_ask_about_then(running: Running, add: Any) -> None:
    await add("QmA", network_state(datetime(2099, 1, 1, tzinfo=UTC), x=(1, True)))
    assert await get(running, "/reputation/x") == []
    assert len(await get(running, "/reputation/x?end_time=2100-01-01T00:00:00&limit=1")) == 1


NAMES = [
    "it's",
    'a"b',
    "a/b",
    "/",
    "a/",
    "%2F",
    "a+b",
    "a b",
    "é\U0001f600",
    "\\",
    "?#&=",
    "logged/",
    "'; --",
    "x" * 256,
]


async def test_a_node_may_be_called_anything(running: Running, add: Any) -> None:
    for number, name in enumerate(NAMES):
        await add(name, said(number), state(number, **{name: (number, True)}))
    for number, name in enumerate(NAMES):
        named = quote(name, safe="")
        assert [row["reputation"] for row in await get(running, f"/reputation/{named}")] == [number]
        assert {log["peer_id"] for log in await get(running, f"/nodes/logs?peer_id={named}")} == {name}
        assert sum(row["qty"] for row in await get(running, f"/nodes/log_stats?peer_id={named}")) == 2


@pytest.mark.parametrize("name", ["%00", "a%00b"])
async def test_a_nul_in_a_name_is_refused(running: Running, name: str) -> None:
    for path in (f"/reputation/{name}", f"/nodes/logs?peer_id={name}", f"/nodes/log_stats?peer_id={name}"):
        assert (await refused(running, path)).startswith("peer_id: ")


@pytest.mark.parametrize("name", ["%ff", "%ED%A0%80", "x" * 30_000])
async def test_a_name_that_no_node_can_have_is_nobody_s(running: Running, add: Any, name: str) -> None:
    await add("QmA", said(1))
    for path in (f"/reputation/{name}", f"/nodes/logs?peer_id={name}", f"/nodes/log_stats?peer_id={name}"):
        assert await get(running, path) == []


@pytest.mark.parametrize("path", [*PATHS[2:], "/nodes", "/nodes/log_stats?peer_id=QmA"])
async def test_a_database_that_takes_too_long_is_unavailable(
    start_gateway: StartGateway, connection: asyncpg.Connection, path: str
) -> None:
    running = await start_gateway(db_timeout="0.2s")
    async with connection.transaction():
        await connection.execute("LOCK TABLE podium.peers, podium.peer_logs, podium.peer_connections")
        answer = await running.client.get(path)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.headers["cache-control"] == "no-store"
    assert list(answer.json()) == ["error"]


@pytest.mark.parametrize("path", PATHS)
async def test_reads_that_are_not_open_want_a_token(start_gateway: StartGateway, path: str) -> None:
    private = {"legacy_reads_open": False, "anonymous_scopes": (), "jwt_secret": TOKEN_SECRET}
    running = await start_gateway(**private)
    assert (await running.client.get(path)).status_code == 403
    answer = await running.client.get(path, headers=bearer(sub="ann", scope="read"))
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "private, no-store")


async def test_equal_questions_are_answered_from_memory_and_for_a_short_time(
    start_gateway: StartGateway, add: Any
) -> None:
    await add("QmA", said(1), state(2, QmA=(1, True)))
    running = await start_gateway(cache_update_interval_ms="400ms")
    versions = running.gateway.versions
    await eventually(lambda: versions.are_heard)
    counts, clock = running.gateway.answers.counts, asyncio.get_running_loop().time
    for path in (*PATHS, "/nodes/log_stats?peer_id=QmA"):
        before, began, moment = counts["computed"], clock(), versions.moment
        for _ in range(20):
            await get(running, path)
        changes = versions.moment - moment  # as of loops that have just begun
        assert 1 <= counts["computed"] - before <= 2 + (clock() - began) / 0.4 + changes
    await add("QmB")
    began = clock()
    while len(await get(running, "/nodes")) == 1:
        assert clock() - began < 5


async def test_clients_ask_each_time_whether_an_answer_is_still_the_one(running: Running, add: Any) -> None:
    await add("QmA", said(1))
    for path in PATHS:
        first = await running.client.get(path)
        assert first.headers["cache-control"] == "no-cache"
        again = await running.client.get(path, headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


async def test_the_end_of_time_moves_on_while_answers_are_kept(start_gateway: StartGateway, add: Any) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=2)
    await add("QmA", {"ts": soon.isoformat(), "msg": "soon"})
    running = await start_gateway(cache_update_interval_ms="100ms")
    assert await get(running, "/nodes/logs?peer_id=QmA") == []
    async with asyncio.timeout(10):
        while not await get(running, "/nodes/logs?peer_id=QmA"):
            await asyncio.sleep(0.01)
    assert datetime.now(UTC) >= soon
