"""The landing page and GraphiQL: served whole from our own files, and alive in a browser."""

import asyncio
import json
import re
import shutil
import socket
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin

import httpx
import pytest
import strawberry
import uvicorn
from graphql import OperationDefinitionNode, parse, validate
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route, WebSocketRoute
from starlette.types import Receive, Scope, Send
from strawberry.asgi import GraphQL
from websockets.asyncio.client import ClientConnection, connect

from gateway import pages
from schema.root import GRAPHQL_SCHEMA

FILES = sorted(path for path in pages.STATIC.rglob("*") if path.is_file())
LOADED = [path for path in FILES if path.suffix in {".html", ".css", ".js"}]
LANDING = pages.STATIC / "index.html"
EXAMPLES = [
    example.strip()
    for example in (pages.STATIC / "graphiql" / "examples.graphql").read_text(encoding="utf-8").split("\n###\n")
]
LOCKS = [Path(__file__).parents[2] / place / "package-lock.json" for place in ("assets", "tests/clients")]
HTML = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    named = [Route("/graphql", pages.graphiql), Route("/schema.graphql", pages.sdl)]
    app = Starlette(routes=[*pages.routes(), *named])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://podium") as client:
        yield client


class Addresses(HTMLParser):
    """Every address of a page: what it loads, and where it links to."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.linked: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in {"href", "src", "action", "data-examples"} and value and not value.startswith("data:"):
                (self.linked if tag in {"a", "form"} else self.loaded).append(value)


def address_of(path: Path) -> str:
    return f"/static/{path.relative_to(pages.STATIC).as_posix()}"


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (HTML["Accept"], "text/html"),
        ("text/html", "text/html"),
        ("application/json;q=0.5, text/html;q=0.9", "text/html"),
        ("application/json, text/html;q=0.9", "application/json"),
        ("text/html;q=0", "application/json"),
        ("text/html;q=none", "application/json"),
        ("application/json", "application/json"),
        ("*/*", "application/json"),
        ("", "application/json"),
    ],
)
async def test_a_browser_gets_the_page_and_a_program_gets_json(
    client: httpx.AsyncClient, accept: str, media_type: str
) -> None:
    answer = await client.get("/", headers={"Accept": accept})
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith(media_type)
    assert answer.headers["Vary"] == "Accept"


@pytest.mark.parametrize("accept", [HTML["Accept"], "application/json"])
@pytest.mark.parametrize("path", ["/", "/graphql", "/schema.graphql", "/static/graphiql/index.html"])
async def test_whoever_has_a_page_is_told_so(client: httpx.AsyncClient, path: str, accept: str) -> None:
    first = await client.get(path, headers={"Accept": accept})
    again = await client.get(path, headers={"Accept": accept, "If-None-Match": first.headers["ETag"]})
    other = await client.get(path, headers={"Accept": accept, "If-None-Match": '"other"'})
    assert (again.status_code, again.content) == (304, b"")
    assert (other.status_code, other.content) == (200, first.content)
    kept = [(answer.headers["ETag"], answer.headers["Cache-Control"]) for answer in (first, again)]
    assert kept == [(first.headers["ETag"], "no-cache")] * 2


async def test_the_page_and_the_json_name_the_same_addresses(client: httpx.AsyncClient) -> None:
    contents = (await client.get("/", headers={"Accept": "application/json"})).json()
    named = {contents["graphql"], contents["schema"], contents["metrics"], *contents["rest"], *contents["health"]}
    page = (await client.get("/", headers=HTML)).text
    linked = {urljoin("/", address) for address in Addresses(page).linked}
    assert linked == named - {"/api/post_stats", "/benchmarks/events"}
    assert all(f"POST {address}" in page for address in named - linked)
    assert contents["description"] in page


@pytest.mark.parametrize("page", ["/", "/graphql"])
async def test_every_file_that_a_page_refers_to_is_served(client: httpx.AsyncClient, page: str) -> None:
    loaded = Addresses((await client.get(page, headers=HTML)).text).loaded
    assert loaded
    for address in loaded:
        answer = await client.get(urljoin(page, address))
        assert answer.status_code == 200, address
        assert answer.content, address


@pytest.mark.parametrize("path", LOADED, ids=address_of)
def test_nothing_is_loaded_from_another_host(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    other = r"""\s*["'`]?(?:https?:|wss?:)?//"""
    assert not re.search(rf"url\({other}|@import{other}|sourceMappingURL|importScripts\(", text)
    assert not re.search(
        rf"(?:\bimport\b|\bimport\(|\bfrom\b|\bfetch\(|\b(?:Worker|WebSocket|EventSource)\(){other}", text
    )
    assert not re.search(rf"\.(?:src|href|action)\s*={other}", text)
    if path.suffix == ".html":
        found = Addresses(text)
        assert not [address for address in found.loaded + found.linked if re.match(r"[a-z]+:|//", address)]


@pytest.mark.parametrize("page", ["/", "/graphql", *map(address_of, FILES)])
async def test_every_answer_carries_the_security_headers(client: httpx.AsyncClient, page: str) -> None:
    headers = (await client.get(page, headers=HTML)).headers
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert "script-src" not in policy
    assert "unsafe-eval" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize("path", FILES, ids=address_of)
async def test_hashed_files_are_kept_and_others_are_asked_for_again(client: httpx.AsyncClient, path: Path) -> None:
    answer = await client.get(address_of(path))
    hashed = path.parent.name == "graphiql" and path.suffix in {".css", ".js"}
    assert ("immutable" in answer.headers["Cache-Control"]) == hashed
    again = await client.get(address_of(path), headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304
    assert again.headers["Cache-Control"] == answer.headers["Cache-Control"]


@pytest.mark.parametrize("address", ["/static/", "/static/none.js", "/static/..%2Fpages.py", "/static/graphiql"])
async def test_what_is_no_static_file_is_not_found(client: httpx.AsyncClient, address: str) -> None:
    assert (await client.get(address)).status_code == 404


def test_every_example_is_one_named_operation_below_a_comment() -> None:
    for example in EXAMPLES:
        (operation,) = parse(example).definitions
        assert isinstance(operation, OperationDefinitionNode)
        assert operation.name
        kinds = "query|mutation|subscription"
        assert re.match(rf"# [^\n]+\?\n(# [^\n]+\n)*({kinds}) {operation.name.value}\b", example)
        assert max(map(len, example.splitlines())) <= 66, "wider than the editor of a small window"


def test_every_example_fits_the_schema() -> None:
    (on_the_page,) = re.findall(r"<textarea[^>]*>(.*?)</textarea>", LANDING.read_text(encoding="utf-8"), re.DOTALL)
    for document in [*EXAMPLES, on_the_page]:
        assert validate(GRAPHQL_SCHEMA, parse(document)) == [], document


def test_what_changes_something_comes_last_and_says_what_it_needs() -> None:
    mutations = [example for example in EXAMPLES if re.search(r"^mutation", example, re.MULTILINE)]
    assert mutations == EXAMPLES[-len(mutations) :]
    assert [example for example in mutations if "Authorization header" not in example] == []


def test_the_pages_stay_small() -> None:
    landing = [path for path in LOADED if path.parent == pages.STATIC]
    assert sum(path.stat().st_size for path in landing) < 15_000
    assert sum(path.stat().st_size for path in FILES) < 1_500_000


def test_the_licences_of_the_bundle_are_beside_it() -> None:
    licences = (pages.STATIC / "graphiql" / "LICENSES.txt").read_text(encoding="utf-8")
    for package in ("graphiql", "codemirror", "graphql", "react-dom", "graphql-ws", "graphiql-explorer"):
        assert re.search(rf"^{package} \d", licences, re.MULTILINE), package


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: str(lock.parent.name))
def test_a_lock_file_has_hashes_and_no_addresses(lock: Path) -> None:
    packages = json.loads(lock.read_text(encoding="utf-8"))["packages"]
    for name, package in packages.items():
        assert "resolved" not in package, name
        assert not name or package["integrity"].startswith("sha512-"), name


# In a browser

UNTIL = """
function until(probe) {
  return new Promise((resolve) => {
    const look = () => { const found = probe(); if (found) { observer.disconnect(); resolve(found); } };
    const observer = new MutationObserver(look);
    observer.observe(document, { attributes: true, characterData: true, childList: true, subtree: true });
    look();
  });
}
const at = (selector) => document.querySelector(selector);
const editor = (name) => at(`.graphiql-${name} .CodeMirror`)?.CodeMirror;
const headers = () => document.querySelectorAll('.graphiql-editor-tool .CodeMirror')[1].CodeMirror;
const loaded = new Promise((done) => document.readyState === 'complete' ? done() : addEventListener('load', done));
const ready = (name) => until(() => editor('query-editor')?.operationName === name && editor('response'));
async function answer(pattern) {
  at('.graphiql-execute-button').click();
  return JSON.parse(await until(() => pattern.test(editor('response').getValue()) && editor('response').getValue()));
}
"""
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium, chromium-browser or google-chrome on PATH")
QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
)


@strawberry.type
class Query:
    @strawberry.field
    def ping(self) -> str:
        return "pong"

    @strawberry.field
    def authorization(self, info: strawberry.Info[dict[str, Any], None]) -> str | None:
        header: str | None = info.context["request"].headers.get("authorization")
        return header


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def countdown(self) -> AsyncIterator[int]:
        for left in (3, 2, 1):
            yield left


class Door:
    """GraphQL at one address, and GraphiQL for a browser."""

    def __init__(self) -> None:
        self.graphql = GraphQL(strawberry.Schema(Query, subscription=Subscription), graphql_ide=None)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_page = scope["type"] == "http" and scope["method"] == "GET"
        app = pages.graphiql(Request(scope)) if is_page else self.graphql
        await app(scope, receive, send)


class Tab:
    """A tab of a browser, driven over its debugging protocol; it remembers what went wrong in it."""

    def __init__(self, connection: ClientConnection, origin: str) -> None:
        self.connection = connection
        self.origin = origin
        self.ids = count(1)
        self.troubles: list[str] = []

    async def call(self, method: str, **params: object) -> dict[str, Any]:
        call_id = next(self.ids)
        await self.connection.send(json.dumps({"id": call_id, "method": method, "params": params}))
        while (message := json.loads(await self.connection.recv())).get("id") != call_id:
            self.note(message["method"], message["params"])
        assert "error" not in message, message
        return message["result"]

    def note(self, event: str, params: dict[str, Any]) -> None:
        url = params.get("request", {}).get("url", "")
        is_foreign = event == "Network.requestWillBeSent" and not url.startswith((self.origin, "data:"))
        is_warning = params.get("entry", {}).get("level") in {"warning", "error"}
        is_complaint = event == "Runtime.consoleAPICalled" and params["type"] in {"warning", "error", "assert"}
        if is_foreign or is_warning or is_complaint or event == "Runtime.exceptionThrown":
            self.troubles.append(f"{event}: {json.dumps(params)[:600]}")

    async def open(self, address: str) -> None:
        for domain in ("Runtime", "Log", "Network", "Page"):
            await self.call(f"{domain}.enable")
        await self.call("Page.navigate", url=self.origin + address)

    async def run(self, script: str) -> Any:
        """The value of the last expression of `script`, awaited."""
        async with asyncio.timeout(60):
            answer = await self.call(
                "Runtime.evaluate", expression=f"{{{UNTIL}{script}}}", awaitPromise=True, returnByValue=True
            )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")


@pytest.fixture(scope="module")
async def origin() -> AsyncIterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))
    app = Starlette(routes=[*pages.routes(), Route("/graphql", Door()), WebSocketRoute("/graphql", Door())])
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    await serving


@pytest.fixture(scope="module")
async def debugger(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    profile = tmp_path_factory.mktemp("chromium")
    process = await asyncio.create_subprocess_exec(
        str(CHROMIUM), *QUIET, f"--user-data-dir={profile}", "about:blank", stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr
    async for line in process.stderr:
        if found := re.search(rb"DevTools listening on ws://([^/]+)/", line):
            break
    else:
        pytest.fail(f"{CHROMIUM} did not start")
    draining = asyncio.create_task(process.stderr.read())
    yield f"http://{found[1].decode()}"
    process.terminate()
    await process.wait()
    await draining


@pytest.fixture
async def tab(debugger: str, origin: str) -> AsyncIterator[Tab]:
    async with httpx.AsyncClient(trust_env=False) as web:
        target = (await web.put(f"{debugger}/json/new?about:blank")).json()
    async with connect(target["webSocketDebuggerUrl"], proxy=None, max_size=None) as connection:
        tab = Tab(connection, origin)
        yield tab
        assert tab.troubles == []


@needs_chromium
async def test_graphiql_opens_with_one_tab_per_example(tab: Tab) -> None:
    await tab.open("/graphql")
    shown = await tab.run("until(() => editor('query-editor')?.getValue())")
    assert shown.strip() == EXAMPLES[0]
    assert await tab.run("document.title") == "podium · GraphiQL"
    assert await tab.run("document.querySelectorAll('.graphiql-tab').length") == len(EXAMPLES)


@needs_chromium
async def test_graphiql_runs_the_query_of_its_address(tab: Tab) -> None:
    await tab.open("/graphql#query=" + quote("query Ping { ping }"))
    assert await tab.run("ready('Ping').then(() => answer(/pong/))") == {"data": {"ping": "pong"}}


@needs_chromium
async def test_graphiql_subscribes_at_the_same_address(tab: Tab) -> None:
    await tab.open("/graphql#query=" + quote("subscription Countdown { countdown }"))
    assert await tab.run("ready('Countdown').then(() => answer(/: 1/))") == {"data": {"countdown": 1}}


@needs_chromium
async def test_graphiql_sends_headers_and_does_not_store_them(tab: Tab) -> None:
    await tab.open("/graphql#query=" + quote("query Secret { authorization }"))
    await tab.run("ready('Secret').then(() => headers().setValue('{\"Authorization\": \"s3cret\"}'))")
    assert await tab.run("answer(/s3cret/)") == {"data": {"authorization": "s3cret"}}
    stored = await tab.run("({ ...localStorage })")
    assert "query Secret" in stored["graphiql:queries"]
    assert "s3cret" not in json.dumps(stored)


@needs_chromium
async def test_the_landing_page_asks_this_gateway(tab: Tab) -> None:
    await tab.open("/")
    await tab.run("loaded.then(() => { at('#query').value = '{ ping }'; at('button').click(); })")
    assert json.loads(await tab.run("until(() => at('.key') && at('#answer').textContent)")) == {
        "data": {"ping": "pong"}
    }
    assert "HTTP 200" in await tab.run("at('#status').textContent")


@needs_chromium
async def test_the_landing_page_opens_its_query_in_graphiql(tab: Tab) -> None:
    await tab.open("/")
    await tab.run("loaded.then(() => { at('#query').value = 'query Ping { ping }'; at('#open').click(); })")
    assert await tab.run("until(() => at('.graphiql-tab-active')?.textContent.includes('Ping'))")
