"""Garbage on every path: whatever arrives, the gateway answers soon, tells nothing of itself, and goes on serving."""

import asyncio
import json
import os
import re
import sysconfig
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, NamedTuple
from urllib.parse import quote, unquote
from uuid import uuid4

import httpx
import orjson
import psutil
import pytest
from graphql import GraphQLEnumType, GraphQLInputObjectType, GraphQLList, GraphQLNonNull, get_named_type, is_leaf_type
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resolvers.errors import InvalidArgument, InvalidRegion
from resolvers.recording import CheckedResult, PostKey, Recorder
from resolvers.results import Result, decode_result, result_from
from schema.root import GRAPHQL_SCHEMA
from tests.garbage import FIELDS, NUMBERS, TEXTS, USUAL, VALID, any_text, any_value, encoded, post, request
from tests.harness import SECRET, Running
from tests.near_graphql import RequestMaker

ROOT = Path(__file__).parents[1]
REQUESTS = 2000
NEAR_REQUESTS = int(os.environ.get("PODIUM_REQUESTS", "500"))
PATIENCE_S = 2.0
MIB = 1 << 20
# What no error may hold: names of our code, our driver, our tables and our machine.
TELLTALE = re.compile(
    rb"Traceback|asyncpg|psycopg|site-packages|\.py\b|/home/|SELECT |INSERT |pg_|podium\.\w|object at 0x"
)
PATHS = (
    *("/", "/graphql", "/livez", "/readyz", "/metrics", "/schema.graphql", "/static/index.js", "/static/graphiql/"),
    *("/api/aggregated_stats", "/api/raw_stats", "/api/top_ai_score", "/api/pipelines", "/api/regions"),
    *("/api/post_stats", "/api/", "/api/none", "/none", *["/export/stats"] * 3),
    *("/nodes", "/nodes/logs", "/nodes/log_stats", "/reputation", "/reputation/logged", "/reputation/Qm"),
    *("/benchmarks", "/benchmarks/1/events", "/benchmarks/1/targets", "/benchmarks/2/targets"),
    *("/users/newId", "/streams/newId", "/streams/x/activate", "/STREAMS/%ff/deactivate/", "/streams/"),
    *("/benchmarks/events", "/host_systems"),  # not /stats/db, which is there to name tables
)
AT = "2019-01-01T00:00:00"
POSTED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("/benchmarks", {"setup": {"substrate": {"peerId": "x"}}}),
    ("/benchmarks", {"host_system_id": 1, "ts_start": AT, "ts_end": AT, "chain_spec": 1, "description": ""}),
    ("/benchmarks/events", {"benchmark_id": 1, "name": "x", "phase": "y", "created_at": AT}),
    (
        "/host_systems",
        dict.fromkeys(("description", "os", "disk_info"), "") | {"cpu_qty": 1, "cpu_clock": 1, "ram_mb": 1},
    ),
)
METHODS = (*("GET", "POST") * 5, "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get", "?")
SCALARS: dict[str, tuple[Any, ...]] = {
    "Int": (0, 1, 3, 1000, -1, 2**31),
    "Float": (0, 1, 0.5, -1, 1e101, 1e308, 2**64),
    "Boolean": (True, False),
    "DateTime": ("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2026-02-01T00:00:00", "9999-12-31", "0"),
    "Duration": ("24h", "36500d", "0ms", "9" * 400 + "w", "1e9h"),
}
PARAMETERS = (
    *("since", "until", "orchestrator", "region", "model", "pipeline", "job_type", "query", "variables", "x"),
    *("documentId", "extensions", "operationName"),
    *("last", "limit", "columns", "min_success_rate", "max_round_trip_time", "error_code", "format", "withdrawn"),
    *("peer_id", "msg", "target", "start_time", "end_time", "max_age_s"),
)
HEADERS = (
    *("x-userid", "webhook-id", "webhook-timestamp", "webhook-signature"),
    *("Accept", "Accept-Encoding", "Authorization", "Content-Type", "Content-Encoding", "Cookie", "Expect", "Host"),
    *("If-Match", "If-Modified-Since", "If-None-Match", "If-Range", "Origin", "Range", "Referer", "TE", "Upgrade"),
    *("Access-Control-Request-Headers", "Access-Control-Request-Method", "X-Forwarded-For", "X-Request-Id"),
)
WORDS = (*"{}()[]:!$@=|&", "...", "query", "mutation", "fragment", "on", "Query", "a", "$a", "1e999", '"', "true")
KINDS = {"query": GRAPHQL_SCHEMA.query_type, "mutation": GRAPHQL_SCHEMA.mutation_type}
ROOTS = [(kind, name, field) for kind, root in KINDS.items() if root for name, field in root.fields.items()]


class Answer(NamedTuple):
    """What came back: status 0 when the connection was closed without an answer."""

    status: int
    content: bytes

    @property
    def is_wrong(self) -> bool:
        is_page = self.status == 200 and b"\r\ncontent-type: application/json" not in self.content
        return not 200 <= self.status < 500 or (not is_page and TELLTALE.search(self.content) is not None)


class Server(NamedTuple):
    """A `podium serve` in a process of its own."""

    pid: int
    url: str

    async def send(self, request: bytes) -> Answer:
        """All that is answered until the server closes; TimeoutError when it does not in time."""
        reader, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(self.url).port)
        writer.write(request)
        content = b""
        try:
            async with asyncio.timeout(PATIENCE_S):
                with suppress(ConnectionError):
                    while part := await reader.read(1 << 16):
                        content += part
        finally:
            writer.transport.abort()
        return Answer(int(content[9:12]) if content.startswith(b"HTTP/1.1 ") else 0, content)

    @property
    def memory_bytes(self) -> int:
        return int(psutil.Process(self.pid).memory_info().rss)

    async def internal_errors(self) -> bytes:
        """How often something surprised it."""
        metrics = (await self.send(request("GET", "/metrics"))).content
        return b"".join(re.findall(rb"podium_internal_errors_total .*", metrics))


@pytest.fixture(scope="module")
async def process(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    data_dir = tmp_path_factory.mktemp("garbage")
    process = await asyncio.create_subprocess_exec(
        *(Path(sysconfig.get_path("scripts")) / "podium", "serve", "--port", "0"),
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "PODIUM_DATA_DIR": str(data_dir),
            "SECRET": SECRET,
            "MAX_BATCH": "3",
        },
        cwd="/",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr
    async for line in process.stderr:
        if (event := orjson.loads(line))["event"] == "ready":
            break
    draining = asyncio.create_task(process.stderr.read())
    yield Server(process.pid, event["url"])
    with suppress(ProcessLookupError):
        process.terminate()
    await process.wait()
    await draining


@pytest.fixture
async def server(process: Server) -> AsyncIterator[Server]:
    """A server that serves as ever after the test, and was not surprised by it."""
    before = await process.internal_errors()
    yield process
    assert b'"regions":[{' in (await process.send(request("GET", "/api/regions"))).content
    assert (await process.send(post("/api/post_stats", orjson.dumps(VALID)))).content.endswith(b"ok")
    assert await process.internal_errors() == before


def any_request(random: Random) -> bytes:
    target = random.choice(PATHS)
    if random.random() < 0.4:
        target += random.choice(("", "/", "//", "#", ";")) + quote(any_text(random))
    if count := random.choice((0, 0, 1, 3, 9, 1500)):
        target += "?" + "&".join(f"{random.choice(PARAMETERS)}={quote(any_text(random))}" for _ in range(count))
    target = target if random.random() < 0.9 else unquote(target)
    headers = [f"{random.choice(HEADERS)}: {random.choice(TEXTS)}" for _ in range(random.choice((0, 1, 5, 40)))]
    headers = [re.sub(r"[\x00-\x1f]", "", header) if random.random() < 0.97 else header for header in headers]
    body = any_body(random) if random.random() < 0.5 else b""
    return request(random.choice(METHODS), target[:60_000], body, *headers, chunked=random.random() < 0.2)


def any_body(random: Random) -> bytes:
    opening = random.choice((b"[", b'{"a":', b'{"query":[', b'{"extra":{"a":[[', b'{"variables":{"x":'))
    json_ = encoded(random, any_value(random))
    cut, replaced = json_[: len(json_) // 2], json_.replace(b'"', random.choice((b"'", b"\xff", b"\0", b'"\\u0000')))
    nested = opening * random.choice((10, 300, 1200, 100_000))
    return random.choice((random.randbytes(random.randrange(2000)), nested, json_, cut, replaced))


def any_result(random: Random) -> bytes:
    fields = {random.choice(FIELDS): any_value(random) for _ in range(random.choice((1, 1, 2, 5)))}
    body = random.choice((encoded(random, {**VALID, **fields}), any_body(random)))
    return post("/api/post_stats", body, chunked=random.random() < 0.1)


def any_posted(random: Random) -> bytes:
    path, valid = random.choice(POSTED)
    fields = {random.choice((*valid, "extra")): any_value(random) for _ in range(random.choice((0, 1, 1, 3)))}
    return post(path, random.choice((encoded(random, {**valid, **fields}), any_body(random))))


def any_document(random: Random) -> bytes:
    words = random.choices((*WORDS, *TEXTS[:20], "regions", "stats", "nodes"), k=random.choice((5, 50, 900)))
    query = random.choice((" ".join(words), any_value(random)))
    members = {"query": query, "variables": any_value(random), "operationName": "a", **any_id(random)}
    return post("/graphql", encoded(random, members))


def any_id(random: Random) -> dict[str, Any]:
    """How a document may be named, for the most part."""
    persisted = {
        "version": random.choice((1, 1, *NUMBERS[:3])),
        "sha256Hash": random.choice(("a" * 64, any_value(random))),
    }
    named = random.choice((persisted, any_value(random)))
    return random.choice(({}, {"extensions": {"persistedQuery": named}}, {"documentId": any_value(random)}))


def any_question(random: Random) -> bytes:
    """A valid document for one of the schema's entry points, with arguments that fit for the most part."""
    kind, name, field = random.choice(ROOTS)
    variables = given_for(random, field.args)
    declared = ", ".join(f"${argument}: {field.args[argument].type}" for argument in variables)
    passed = ", ".join(f"{argument}: ${argument}" for argument in variables)
    call = f"a({declared}) {{ {name}({passed})" if variables else f"a {{ {name}"
    body = encoded(random, {"query": f"{kind} {call} {selection(field)} }}", "variables": variables})
    return post("/graphql", body, f"Accept: {random.choice(('*/*', 'application/graphql-response+json'))}")


def selection(field: Any, depth: int = 3) -> str:
    """Everything below a field, as deep as this."""
    type_ = get_named_type(field.type)
    if is_leaf_type(type_):
        return ""
    inner = [(name, it) for name, it in type_.fields.items() if depth or is_leaf_type(get_named_type(it.type))]
    return "{ __typename " + " ".join(f"{name} {selection(it, depth - 1)}" for name, it in inner) + " }"


def given_for(random: Random, described: dict[str, Any]) -> dict[str, Any]:
    """Values for the arguments or fields that are required, and for some of the others."""
    types = {name: it.type for name, it in described.items()}
    chosen = [name for name in types if isinstance(types[name], GraphQLNonNull) or random.random() < 0.3]
    are_usual = {name: str(types[name]) == "String!" and random.random() < 0.8 for name in chosen}
    return {name: USUAL.get(name) if are_usual[name] else typed(random, types[name]) for name in chosen}


def typed(random: Random, type_: Any) -> Any:
    """A value of a GraphQL type, for the most part."""
    type_ = type_.of_type if isinstance(type_, GraphQLNonNull) else type_
    if random.random() < 0.02:
        return any_value(random)
    if isinstance(type_, GraphQLList):
        return [typed(random, type_.of_type) for _ in range(random.choice((0, 1, 3)))]
    if isinstance(type_, GraphQLInputObjectType):
        return given_for(random, type_.fields)
    if isinstance(type_, GraphQLEnumType):
        return random.choice(list(type_.values))
    if type_.name == "ID" or (type_.name == "String" and random.random() < 0.2):
        cursor = [random.choice(("Stat", "Orchestrator")), random.choice(TEXTS), *random.choices(NUMBERS, k=2)]
        return urlsafe_b64encode(encoded(random, random.choice((cursor, cursor[:2], cursor[2:])))).decode()
    return random.choice(SCALARS.get(type_.name, TEXTS))


async def sent(server: Server, requests: list[bytes]) -> list[tuple[bytes, Answer | str]]:
    """Send them, four at a time; those that are not answered as they should be."""
    wrong: list[tuple[bytes, Answer | str]] = []
    waiting = list(reversed(requests))

    async def send() -> None:
        while waiting:
            garbage = waiting.pop()
            try:
                answer = await server.send(garbage)
                wrong.extend([(garbage, answer)] if answer.is_wrong else [])
            except TimeoutError:
                wrong.append((garbage, "no answer in time"))

    await asyncio.gather(*(send() for _ in range(4)))
    return wrong


async def test_two_thousand_garbage_requests_hurt_nobody(server: Server) -> None:
    random = Random(20261122)
    makers = (any_request, any_request, any_result, any_posted, any_document, any_question)
    requests = [random.choice(makers)(random) for _ in range(REQUESTS)]
    first, second = requests[: REQUESTS // 2], requests[REQUESTS // 2 :]
    assert await sent(server, first) == []
    before = server.memory_bytes
    assert await sent(server, second) == []
    assert server.memory_bytes - before < 50 * MIB


async def test_requests_that_are_nearly_graphql_hurt_nobody(server: Server) -> None:
    requests = RequestMaker(Random(20261124)).make(NEAR_REQUESTS)
    assert await sent(server, requests) == []


# Twenty fragments, each spreading the next twice
DOUBLING = "".join(f" fragment f{n} on Query {{ __typename ...f{n + 1} ...f{n + 1} }}" for n in range(20))
DOCUMENTS = {
    "nested 100,000 deep": "{a" * 100_000,
    "lists 100,000 deep": "{ node(id: " + "[" * 100_000,
    "doubling fragments": f"{{ ...f0 }} {DOUBLING.replace('__typename', '')} fragment f20 on Query {{ __typename }}",
    "doubling fragments with fields": f"{{ ...f0 }} {DOUBLING} fragment f20 on Query {{ __typename }}",
    "a cycle of fragments": "{ ...a } fragment a on Query { ...b } fragment b on Query { ...a }",
    "equal fields": "{" + " regions { code }" * 249 + "}",
    "equal nested fields": "{" + " stats { nodes { orchestrator { address } } }" * 80 + "}",
    "thousands of aliases": "{" + " ".join(f"a{n}: __typename" for n in range(5000)) + "}",
    "hundreds of errors": "{" + " ".join(f"none{n}" for n in range(900)) + "}",
    "thousands of directives": "{ __typename" + " @a" * 5000 + "}",
    "a string of 900 kB": '{ node(id: "' + "a" * 900_000 + '") { id } }',
    "an integer of 900 kB": "{ stats(first: " + "9" * 900_000 + ") { nodes { id } } }",
    "deep introspection": "{ __schema { types {" + " fields { type {" * 6 + " name" + " } }" * 6 + " } } }",
    "wide introspection": "{" + " ".join(f"a{n}: __schema {{ types {{ name }} }}" for n in range(15)) + "}",
    "interfaces of interfaces": '{ __type(name: "Node") {' + " possibleTypes { interfaces {" * 6 + " name" + " } }" * 7,
}


def deep(levels: int) -> bytes:
    """A result with lists in lists, around a NUL when they are many."""
    return (
        b'{"extra":'
        + b"[" * levels
        + (b'"\\u0000"' if levels > 900 else b"{}")
        + b"]" * levels
        + b","
        + orjson.dumps(VALID)[1:]
    )


HURTFUL = {
    "a slow pattern": request("GET", "/api/pipelines?since=" + "1" * 12_000 + "x"),
    "thousands of parameters": request("GET", "/api/pipelines?" + "&".join(f"a{n}=" for n in range(5000))),
    "ranges": request("GET", "/static/index.js", b"", "Range: bytes=" + ",".join(f"{n}-{n}" for n in range(6000))),
    "a NUL in a static path": request("GET", "/static/%00"),
    "a payload 253 deep": post("/api/post_stats", deep(253)),
    "a payload 254 deep": post("/api/post_stats", deep(254)),
    "a payload 300 deep": post("/api/post_stats", deep(300)),
    "a payload 1,000 deep with a NUL": post("/api/post_stats", deep(1000)),
    "a name that grows in lower case": post("/api/post_stats", orjson.dumps({**VALID, "orchestrator": "İ" * 56})),
    "a name that only Postgres lower-cases": post("/api/post_stats", orjson.dumps({**VALID, "orchestrator": "𐵐"})),
}


@pytest.mark.parametrize("name", DOCUMENTS)
async def test_a_hostile_document_is_answered_soon(server: Server, name: str) -> None:
    answer = await server.send(post("/graphql", json.dumps({"query": DOCUMENTS[name]}).encode()))
    assert answer.status in (200, 400)
    assert not answer.is_wrong
    assert answer.content.count(b'"message"') <= 20
    assert len(answer.content) < 100_000


async def test_a_question_with_a_huge_answer_is_refused(server: Server) -> None:
    below = "orchestrator { aggregates { orchestrator { aggregates { score } } } }"
    query = f"query ($size: Int) {{ stats(first: $size) {{ nodes {{ {below} }} }} }}"
    answer = await server.send(post("/graphql", orjson.dumps({"query": query, "variables": {"size": 1000}})))
    assert b'"TOO_COMPLEX"' in answer.content


@pytest.mark.parametrize("name", HURTFUL)
async def test_a_hostile_request_is_answered_soon(server: Server, name: str) -> None:
    answer = await server.send(HURTFUL[name])
    assert answer.status in (200, 206, 400, 404, 416)
    assert not answer.is_wrong


@pytest.mark.parametrize("path", ["/graphql", "/api/post_stats"])
async def test_whoever_sends_a_body_over_the_limit_gets_its_413(server: Server, path: str) -> None:
    async with httpx.AsyncClient(base_url=server.url, headers={"Content-Type": "application/json"}) as client:
        for _ in range(5):
            assert (await client.post(path, content=b" " * 2 * MIB)).status_code == 413
    assert (await server.send(post(path, b" " * 2 * MIB, chunked=True))).status == 413


async def test_headers_without_end_are_refused_and_forgotten(server: Server) -> None:
    before = server.memory_bytes
    answer = await server.send(b"GET / HTTP/1.1\r\nHost: podium\r\n" + b"x" * 30 * MIB)
    assert answer.status in (0, 400, 431)
    assert server.memory_bytes - before < 16 * MIB


TEXT = st.text(max_size=70) | st.sampled_from([*TEXTS, "Text to image", "m"])
NUMBER = st.integers(-(2**63), 2**64 - 1) | st.floats() | st.sampled_from([1e101, 0, 1])
JSON = st.recursive(
    st.none() | st.booleans() | NUMBER | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(FIELDS) | TEXT, inner, max_size=4),
    max_leaves=12,
)
GIVEN = st.dictionaries(st.sampled_from(FIELDS) | TEXT, JSON, max_size=6).map(lambda fields: {**VALID, **fields})
BODY = st.binary(max_size=60) | (GIVEN | JSON).map(lambda value: json.dumps(value).encode())
THOROUGH = settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


async def accepted(recorder: Recorder, read: Callable[[], Result]) -> list[CheckedResult]:
    """The result, checked; nothing when it is refused as it should be."""
    try:
        return [await recorder.check(read())]
    except (InvalidArgument, InvalidRegion):
        return []


@THOROUGH
@given(bodies=st.lists(BODY, min_size=10, max_size=20), fields=st.lists(GIVEN, min_size=10, max_size=20))
async def test_a_result_is_refused_or_can_be_stored(running: Running, bodies: list[bytes], fields: list[Any]) -> None:
    recorder = running.gateway.recorder
    reads = [partial(decode_result, body) for body in bodies] + [partial(result_from, given) for given in fields]
    placed = [item for read in reads for item in await accepted(recorder, read)]
    if placed:
        for key in (None, PostKey("garbage", str(uuid4()), "key")):
            assert len((await recorder.store(placed, key)).keys) == len(placed)
