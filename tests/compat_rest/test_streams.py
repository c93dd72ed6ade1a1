"""The old URLs of viewer limits: what their clients send, and what they are answered."""

import asyncio
from uuid import UUID

import asyncpg
import httpx
import pytest

from tests.harness import TOKEN_SECRET, Running, StartGateway, bearer
from tests.viewers import ACTIVE, FULL, INVALID, ask, new_stream, new_streams, new_viewer

JSON = "application/json; charset=utf-8"


@pytest.mark.parametrize(("path", "name"), [("/users/newId", "userId"), ("/streams/newId", "streamId")])
async def test_an_id_is_made_anew_each_time(running: Running, path: str, name: str) -> None:
    answers = [await running.client.get(path) for path in (path, path.lower(), path.upper() + "/?x=1")]
    ids = {answer.json()[name] for answer in answers}
    assert len(ids) == 3
    assert {UUID(id_).version for id_ in ids} == {4}
    assert {answer.headers["Content-Type"] for answer in answers} == {JSON}
    assert {answer.headers["Cache-Control"] for answer in answers} == {"no-store"}


@pytest.mark.parametrize("path", ["/users/newId", "/streams/newId"])
async def test_an_id_is_asked_for_by_get_and_head(running: Running, path: str) -> None:
    head = await running.client.head(path)
    assert (head.status_code, head.content, head.headers["Content-Type"]) == (200, b"", JSON)
    options = await running.client.options(path)
    assert (options.status_code, options.text, options.headers["Allow"]) == (200, "GET,HEAD", "GET,HEAD")
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert (await running.client.request(method, path)).status_code == 404


@pytest.mark.parametrize("deed", ["activate", "deactivate"])
async def test_streams_are_changed_by_patch_and_post(running: Running, deed: str) -> None:
    viewer, stream = await new_viewer(running), await new_stream(running)
    path, headers = f"/streams/{stream}/{deed}", {"x-userid": viewer}
    for method in ("PATCH", "POST"):
        answer = await running.client.request(method, path, headers=headers)
        assert (answer.status_code, answer.json(), answer.headers["Content-Type"]) == (200, {"status": "ok"}, JSON)
    for method in ("GET", "HEAD", "PUT", "DELETE"):
        assert (await running.client.request(method, path, headers=headers)).status_code == 404
    options = await running.client.options(path)
    assert (options.status_code, options.text) == (200, "PATCH,POST")


async def test_a_fourth_stream_is_refused_until_one_is_free(running: Running) -> None:
    viewer, streams = await new_viewer(running), await new_streams(running, 4)
    assert [(await ask(running, viewer, stream)).status_code for stream in streams] == [200, 200, 200, 403]
    refused = await ask(running, viewer, streams[3])
    assert (refused.status_code, refused.json(), refused.headers["Content-Type"]) == (403, FULL, JSON)
    assert (await ask(running, viewer, streams[0])).status_code == 200
    assert (await ask(running, viewer, streams[0], "deactivate")).status_code == 200
    assert (await ask(running, viewer, streams[3])).status_code == 200


async def test_a_limit_may_be_another(start_gateway: StartGateway) -> None:
    running = await start_gateway(stream_limit=1)
    viewer, streams = await new_viewer(running), await new_streams(running, 2)
    assert [(await ask(running, viewer, stream)).status_code for stream in streams] == [200, 403]


async def test_what_is_unknown_is_refused_also_at_the_limit(running: Running) -> None:
    viewer, streams = await new_viewer(running), await new_streams(running, 3)
    for stream in streams:
        await ask(running, viewer, stream)
    asked = [(viewer, "nothing"), ("nobody", streams[0]), ("", streams[0]), (None, streams[0]), (None, "nothing")]
    asked += [(viewer.upper(), streams[0]), (viewer, streams[0].upper()), (streams[0], viewer)]
    asked += [(f"{viewer},{viewer}", streams[0]), (viewer * 9, streams[0]), (viewer, "a%2Fb"), (viewer, "%00")]
    asked += [(viewer, streams[0] + "%20"), (viewer, "newId"), (viewer, "x" * 5000), (viewer, "%C3%A9")]
    for deed in ("activate", "deactivate"):
        for who, stream in asked:
            answer = await ask(running, who, stream, deed)
            assert (answer.status_code, answer.json()) == (404, INVALID), (who, stream)


@pytest.mark.parametrize("path", ["{}/activate", "{}/Activate/", "{}/ACTIVATE?x=1", "{}/activate/?x=%ff"])
async def test_paths_ignore_case_and_a_slash_at_their_end(running: Running, path: str) -> None:
    viewer, stream = await new_viewer(running), await new_stream(running)
    for start in ("/streams/", "/Streams/", "/STREAMS/"):
        answer = await running.client.post(start + path.format(stream), headers={"X-USERID": viewer})
        assert answer.json() == {"status": "ok"}


@pytest.mark.parametrize("path", ["/streams", "/streams/", "/streams/x", "/streams//activate", "/streams/x/activate//"])
async def test_other_paths_are_nothing(running: Running, path: str) -> None:
    assert (await running.client.patch(path)).status_code == 404


async def test_an_id_is_read_as_it_was_before_it_was_escaped(running: Running, connection: asyncpg.Connection) -> None:
    await connection.execute("INSERT INTO podium.streams (id) VALUES ('a/b é')")
    viewer = await new_viewer(running)
    assert (await ask(running, viewer, "a%2Fb%20%C3%A9")).json() == {"status": "ok"}


@pytest.mark.parametrize("wrong", ["%zz", "%ff", "%", "a%2", "%C3a", "%ED%A0%80", "%u0041", "%22%"])
async def test_an_id_that_cannot_be_decoded_is_refused_by_any_method(running: Running, wrong: str) -> None:
    viewer = await new_viewer(running)
    for method in ("PATCH", "POST", "GET", "PUT", "OPTIONS"):
        for deed in ("activate", "DEACTIVATE/"):
            url = httpx.URL(running.url).copy_with(raw_path=f"/streams/{wrong}/{deed}".encode())
            answer = await running.client.request(method, url, headers={"x-userid": viewer})
            said = (answer.status_code, answer.json(), answer.headers["Content-Type"])
            assert said == (403, {"status": "ko", "error": f"Failed to decode param '{wrong}'"}, JSON)


async def test_two_viewers_in_one_request_are_nobody(running: Running) -> None:
    viewer, stream = await new_viewer(running), await new_stream(running)
    headers = [("x-userid", viewer), ("x-userid", viewer)]
    assert (await running.client.post(f"/streams/{stream}/activate", headers=headers)).status_code == 404


@pytest.mark.parametrize("body", [b"", b"{", b"\xff" * 9000, b'{"userId":"x"}'])
async def test_a_body_is_not_read(running: Running, body: bytes) -> None:
    viewer, stream = await new_viewer(running), await new_stream(running)
    headers = {"x-userid": viewer, "Content-Type": "application/json"}
    for _ in range(2):  # the connection goes on
        answer = await running.client.patch(f"/streams/{stream}/activate", content=body, headers=headers)
        assert answer.json() == {"status": "ok"}


async def test_a_page_of_another_origin_may_ask(running: Running) -> None:
    headers = {"Origin": "https://player.example", "Access-Control-Request-Method": "PATCH"}
    answer = await running.client.options(
        "/streams/x/activate", headers=headers | {"Access-Control-Request-Headers": "x-userid"}
    )
    assert answer.status_code == 200
    assert "PATCH" in answer.headers["Access-Control-Allow-Methods"]
    asked = await running.client.patch("/streams/x/activate", headers={"Origin": "https://player.example"})
    assert asked.headers["Access-Control-Allow-Origin"] == "*"


async def test_those_who_are_closed_out_need_the_scope_watch(start_gateway: StartGateway) -> None:
    running = await start_gateway(legacy_writes_open=False, jwt_secret=TOKEN_SECRET)
    for path in ("/users/newId", "/streams/newId"):
        assert (await running.client.get(path)).status_code == 403
        assert (await running.client.get(path, headers=bearer(scope="publish"))).json()["status"] == "ko"
        assert (await running.client.get(path, headers={"Authorization": "Bearer x"})).status_code == 401
        assert (await running.client.get(path, headers=bearer(scope="watch"))).status_code == 200
    assert (await running.client.post("/streams/x/activate")).status_code == 403
    assert (await running.client.post("/streams/x/activate", headers=bearer(scope="watch"))).json() == INVALID


async def test_ids_are_made_so_often_for_each_client(start_gateway: StartGateway) -> None:
    running = await start_gateway(stream_mint_rate="3/hour")
    app = running.gateway.application()
    taken = [await _as_client(app, "203.0.113.7") for _ in range(4)]
    assert [answer.status_code for answer in taken] == [200, 200, 200, 429]
    assert taken[3].json()["status"] == "ko"
    assert 0 < int(taken[3].headers["Retry-After"]) <= 7200
    assert (await _as_client(app, "203.0.113.8")).status_code == 200
    addresses = [f"2001:db8::{place}" for place in range(1, 5)]  # what one client has
    assert [(await _as_client(app, address)).status_code for address in addresses] == [200, 200, 200, 429]
    assert {(await running.client.get("/users/newId")).status_code for _ in range(9)} == {200}  # from this machine


async def test_metrics_count_what_becomes_of_activations(running: Running) -> None:
    viewer, streams = await new_viewer(running), await new_streams(running, 4)
    for stream in (*streams, streams[0], "nothing"):
        await ask(running, viewer, stream)
    await ask(running, "nobody", streams[0])
    await ask(running, viewer, streams[0], "deactivate")
    shown = (await running.client.get("/metrics")).text
    for line in (
        'podium_stream_activations_total{kind="activated"} 3.0',
        'podium_stream_activations_total{kind="renewed"} 1.0',
        'podium_stream_refusals_total{reason="limit_reached"} 1.0',
        'podium_stream_refusals_total{reason="unknown_stream"} 1.0',
        'podium_stream_refusals_total{reason="unknown_viewer"} 1.0',
        "podium_stream_deactivations_total 1.0",
        "podium_stream_leases_expired_total 0.0",
    ):
        assert line in shown


async def test_requests_that_come_together_share_transactions(running: Running, connection: asyncpg.Connection) -> None:
    viewers = [await new_viewer(running) for _ in range(40)]
    stream = await new_stream(running)
    before = await connection.fetchval("SELECT pg_current_xact_id()::text::bigint")
    answers = await asyncio.gather(*(ask(running, viewer, stream) for viewer in viewers))
    used = await connection.fetchval("SELECT pg_current_xact_id()::text::bigint") - before
    assert [answer.status_code for answer in answers] == [200] * 40
    assert used < 40
    for viewer in viewers:
        assert stream in await connection.fetchval(ACTIVE, viewer)


async def _as_client(app: object, address: str) -> httpx.Response:
    transport = httpx.ASGITransport(app=app, client=(address, 1))  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://podium") as client:
        return await client.get("/users/newId")
