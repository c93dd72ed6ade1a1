"""Viewers in the graph: what is shown of them, what they and administrators do, and who may."""

from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from tests.harness import TOKEN_SECRET, Running, StartGateway, bearer
from tests.viewers import ask, new_stream, new_streams, new_viewer

SHOWN = "id limit hasOwnLimit activeStreams { id since expiresAt } createdAt"
VIEWER = f"query ($id: ID!) {{ viewer(id: $id) {{ {SHOWN} }} }}"
STREAM = "query ($id: ID!) { stream(id: $id) { id createdAt } }"
ACTIVATE = """mutation ($viewer: ID!, $stream: ID!) { activateStream(viewer: $viewer, stream: $stream) {
  viewer { activeStreams { id } } limitReached { limit activeStreams { id since } } errors { code field }
} }"""
DEACTIVATE = """mutation ($viewer: ID!, $stream: ID!) { deactivateStream(viewer: $viewer, stream: $stream) {
  viewer { activeStreams { id } } errors { code field }
} }"""
SET_LIMIT = """mutation ($viewer: ID!, $limit: Int) { setStreamLimit(viewer: $viewer, limit: $limit) {
  viewer { limit hasOwnLimit activeStreams { id } } errors { code field }
} }"""
RELEASE = """mutation ($viewer: ID!, $streams: [ID!]) { releaseStreams(viewer: $viewer, streams: $streams) {
  viewer { activeStreams { id } } errors { code field }
} }"""
LOG = """{ auditLog { nodes { actor action affected
  details { viewerId streams streamLimit previousStreamLimit }
} } }"""
VIEWERS = """query ($first: Int, $after: String, $last: Int, $before: String) {
  viewers(first: $first, after: $after, last: $last, before: $before) {
    totalCount nodes { id limit activeStreams { id } } pageInfo { hasNextPage hasPreviousPage endCursor }
  }
}"""
NEW_VIEWER = "mutation { createViewer { viewer { id } errors { code hint } } }"
NEW_STREAM = "mutation { createStream { stream { id } errors { code hint } } }"
NOBODY = {"code": "NOT_FOUND", "field": "viewer"}


@pytest.fixture
async def running(start_gateway: StartGateway) -> Running:
    """A gateway that takes tokens."""
    return await start_gateway(jwt_secret=TOKEN_SECRET)


async def done(running: Running, mutation: str, **variables: Any) -> Any:
    """What a mutation answers."""
    (answer,) = (await running.ask(mutation, **variables)).values()
    return answer


def ids(shown: dict[str, Any]) -> list[str]:
    return [stream["id"] for stream in shown["activeStreams"]]


async def test_what_one_door_does_the_other_shows(running: Running) -> None:
    viewer = (await done(running, NEW_VIEWER))["viewer"]["id"]
    streams = [(await done(running, NEW_STREAM))["stream"]["id"], await new_stream(running)]
    assert (await ask(running, viewer, streams[0])).json() == {"status": "ok"}
    assert ids((await done(running, ACTIVATE, viewer=viewer, stream=streams[1]))["viewer"]) == streams
    shown = await done(running, VIEWER, id=viewer)
    assert (shown["id"], shown["limit"], shown["hasOwnLimit"], ids(shown)) == (viewer, 3, False, streams)
    assert {stream["expiresAt"] for stream in shown["activeStreams"]} == {None}
    assert shown["createdAt"] <= shown["activeStreams"][0]["since"] <= shown["activeStreams"][1]["since"]
    assert (await ask(running, viewer, streams[0], "deactivate")).json() == {"status": "ok"}
    gone = await done(running, DEACTIVATE, viewer=viewer, stream=streams[1])
    assert gone == {"viewer": {"activeStreams": []}, "errors": []}
    assert await done(running, DEACTIVATE, viewer=viewer, stream=streams[1]) == gone
    assert (await done(running, STREAM, id=streams[0]))["id"] == streams[0]


async def test_a_lease_says_when_it_ends(start_gateway: StartGateway) -> None:
    running = await start_gateway(jwt_secret=TOKEN_SECRET, stream_lease_s="1h")
    viewer, stream = await new_viewer(running), await new_stream(running)
    await done(running, ACTIVATE, viewer=viewer, stream=stream)
    (shown,) = (await done(running, VIEWER, id=viewer))["activeStreams"]
    assert shown["since"] < shown["expiresAt"]


async def test_who_is_at_the_limit_is_told_what_is_active(running: Running) -> None:
    viewer, streams = await new_viewer(running), await new_streams(running, 4)
    for stream in streams[:3]:
        await done(running, ACTIVATE, viewer=viewer, stream=stream)
    full = await done(running, ACTIVATE, viewer=viewer, stream=streams[3])
    assert (full["viewer"], full["errors"]) == (None, [{"code": "STREAM_LIMIT_REACHED", "field": None}])
    assert (full["limitReached"]["limit"], ids(full["limitReached"])) == (3, streams[:3])
    assert (await done(running, ACTIVATE, viewer=viewer, stream=streams[0]))["limitReached"] is None
    await done(running, DEACTIVATE, viewer=viewer, stream=full["limitReached"]["activeStreams"][0]["id"])
    assert ids((await done(running, ACTIVATE, viewer=viewer, stream=streams[3]))["viewer"]) == streams[1:]


@pytest.mark.parametrize("unknown", ["x", "", "\0", "x" * 500])
async def test_what_is_not_there_is_told(running: Running, unknown: str) -> None:
    viewer, stream = await new_viewer(running), await new_stream(running)
    assert await done(running, VIEWER, id=unknown) is None
    assert await done(running, STREAM, id=unknown) is None
    for mutation in (ACTIVATE, DEACTIVATE):
        no_viewer = await done(running, mutation, viewer=unknown, stream=stream)
        assert (no_viewer["viewer"], no_viewer["errors"]) == (None, [NOBODY])
        no_stream = await done(running, mutation, viewer=viewer, stream=unknown)
        assert no_stream["errors"] == [{"code": "NOT_FOUND", "field": "stream"}]
    for mutation in (SET_LIMIT, RELEASE):
        assert (await done(running, mutation, viewer=unknown)) == {"viewer": None, "errors": [NOBODY]}
    assert (await done(running, LOG))["nodes"] == []


async def test_a_limit_is_set_and_taken_back_and_the_log_tells_of_it(running: Running) -> None:
    viewer, streams = await new_viewer(running), await new_streams(running, 3)
    for stream in streams:
        await done(running, ACTIVATE, viewer=viewer, stream=stream)
    for limit in (1, 1):
        shown = (await done(running, SET_LIMIT, viewer=viewer, limit=limit))["viewer"]
        assert (shown["limit"], shown["hasOwnLimit"], ids(shown)) == (1, True, streams)
    shown = (await done(running, SET_LIMIT, viewer=viewer, limit=None))["viewer"]
    assert (shown["limit"], shown["hasOwnLimit"]) == (3, False)
    refused = await done(running, SET_LIMIT, viewer=viewer, limit=1001)
    assert refused == {"viewer": None, "errors": [{"code": "INVALID_ARGUMENT", "field": "limit"}]}
    said = {"actor": "root", "action": "SET_STREAM_LIMIT", "affected": 1}
    details = {"viewerId": viewer, "streams": None}
    assert (await done(running, LOG))["nodes"] == [
        {**said, "details": {**details, "streamLimit": None, "previousStreamLimit": 1}},
        {**said, "details": {**details, "streamLimit": 1, "previousStreamLimit": None}},
    ]


async def test_streams_are_freed_and_the_log_tells_of_it(running: Running) -> None:
    viewer, streams = await new_viewer(running), sorted(await new_streams(running, 3))
    for stream in streams:
        await done(running, ACTIVATE, viewer=viewer, stream=stream)
    left = await done(running, RELEASE, viewer=viewer, streams=[streams[1], "x"])
    assert ids(left["viewer"]) == [streams[0], streams[2]]
    for _ in range(2):
        assert ids((await done(running, RELEASE, viewer=viewer))["viewer"]) == []
    entries = (await done(running, LOG))["nodes"]
    assert {(it["actor"], it["action"], it["details"]["viewerId"]) for it in entries} == {
        ("root", "RELEASE_STREAMS", viewer)
    }
    told = [(entry["affected"], entry["details"]["streams"]) for entry in entries]
    assert told == [(2, [streams[0], streams[2]]), (1, [streams[1]])]


async def test_who_may_not_watch_in_the_place_of_others_does_not_learn_their_ids(running: Running) -> None:
    await done(running, SET_LIMIT, viewer=await new_viewer(running), limit=7)
    for headers in ({}, bearer(scope="watch")):
        (entry,) = (await running.graph(LOG, headers)).json()["data"]["auditLog"]["nodes"]
        assert (entry["details"]["viewerId"], entry["details"]["streamLimit"]) == (None, 7)
    (entry,) = (await done(running, LOG))["nodes"]
    assert entry["details"]["viewerId"]


async def test_pages_lead_through_all_viewers_both_ways(running: Running) -> None:
    viewers, stream = sorted([await new_viewer(running) for _ in range(5)]), await new_stream(running)
    await done(running, ACTIVATE, viewer=viewers[0], stream=stream)
    first = await done(running, VIEWERS, first=3)
    assert first["totalCount"] == 5
    assert first["nodes"][0] == {"id": viewers[0], "limit": 3, "activeStreams": [{"id": stream}]}
    rest = await done(running, VIEWERS, first=3, after=first["pageInfo"]["endCursor"])
    assert [it["id"] for it in first["nodes"] + rest["nodes"]] == viewers
    assert (first["pageInfo"]["hasNextPage"], rest["pageInfo"]["hasNextPage"]) == (True, False)
    back = await done(running, VIEWERS, last=3, before=rest["pageInfo"]["endCursor"])
    assert [it["id"] for it in back["nodes"]] == viewers[1:4]
    assert back["pageInfo"]["hasPreviousPage"]
    for wrong in ("WzFd", "WyJcdTAwMDAiXQ"):
        answer = await running.answer(VIEWERS, after=wrong)
        assert answer["errors"][0]["extensions"]["code"] == "INVALID_ARGUMENT"


NEEDS_WATCH = (VIEWER, STREAM, ACTIVATE, DEACTIVATE, NEW_VIEWER, NEW_STREAM)


@pytest.mark.parametrize("document", [*NEEDS_WATCH, SET_LIMIT, RELEASE, VIEWERS])
async def test_only_those_may_who_have_the_scope(running: Running, document: str) -> None:
    given = {"id": "x", "viewer": "x", "stream": "x"}
    right = "watch" if document in NEEDS_WATCH else "admin"
    for scope in ("read", "publish", "watch", "admin"):
        answer = (await running.graph(document, bearer(scope=scope), **given)).json()
        codes = [error["extensions"]["code"] for error in answer.get("errors", [])]
        assert codes == ([] if scope in (right, "admin") else ["FORBIDDEN"]), scope
    answer = (await running.graph(document, **given)).json()
    assert answer["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_what_is_told_of_a_viewer_is_kept_by_nobody(running: Running) -> None:
    viewer, stream = await new_viewer(running), await new_stream(running)
    asked = {"query": f'{{ viewer(id: "{viewer}") {{ activeStreams {{ id }} }} }}'}
    for watched in ([], [{"id": stream}]):
        answer = await running.client.get("/graphql", params=asked, headers=bearer(scope="watch"))
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.json()["data"]["viewer"]["activeStreams"] == watched
        await ask(running, viewer, stream)


async def test_both_doors_count_the_same_rate(start_gateway: StartGateway) -> None:
    running = await start_gateway(stream_mint_rate="3/hour", anonymous_scopes="read,watch")
    app = running.gateway.application()
    assert (await _as_client(app, "203.0.113.7")).json()["userId"]
    both = {"query": "mutation { a: createViewer { errors { code } } b: createStream { errors { code } } }"}
    assert (await _as_client(app, "203.0.113.7", both)).json()["data"] == {"a": {"errors": []}, "b": {"errors": []}}
    for mutation in (NEW_VIEWER, NEW_STREAM):
        (refused,) = (await _as_client(app, "203.0.113.7", {"query": mutation})).json()["data"].values()
        assert [error["code"] for error in refused["errors"]] == ["RATE_LIMITED"]
        assert refused["errors"][0]["hint"].startswith("try again in ")
    assert (await _as_client(app, "203.0.113.7")).status_code == 429
    assert (await _as_client(app, "203.0.113.8")).status_code == 200


async def _as_client(app: Starlette, address: str, question: dict[str, str] | None = None) -> httpx.Response:
    transport = httpx.ASGITransport(app, client=(address, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://podium") as client:
        return await (client.post("/graphql", json=question) if question else client.get("/users/newId"))
