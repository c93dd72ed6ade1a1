"""deploy/nginx/streams.conf: a real nginx with this file before a real gateway lets nobody watch more than it may."""

import asyncio
import json
import re
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import asyncpg
import httpx
import pytest

from tests.debian import Program, Wanted, program_for_tests, until_it_answers
from tests.harness import Running, StartGateway, free_port
from tests.viewers import ACTIVE, new_stream, new_streams, new_viewer

ROOT = Path(__file__).parents[2]
RECIPE = (ROOT / "deploy" / "nginx" / "streams.conf").read_text()
PAGE = (ROOT / "docs" / "streams.md").read_text(encoding="utf-8")
NGINX = Wanted("usr/sbin/nginx", ("nginx", "libpcre2-8-0", "libcrypt1"))
SECRET = "0123456789abcdef" * 4
# All that is not of the recipe: where nginx may write, as whom it runs, and that it ends with the test.
AROUND = """
daemon off; {user} pid {home}/pid; error_log {home}/log;
events {{ }}
http {{
  access_log off;
  client_body_temp_path {home}/1; proxy_temp_path {home}/2; fastcgi_temp_path {home}/3;
  uwsgi_temp_path {home}/4; scgi_temp_path {home}/5;
  include streams.conf;
}}
"""


class Player(httpx.AsyncClient):
    """A client of nginx, with or without a cookie; streams are in a directory of nginx."""

    directory: Path

    def publish(self, *streams: str) -> None:
        for stream in streams:
            (self.directory / stream).mkdir(parents=True)
            (self.directory / stream / "live.m3u8").write_text("#EXTM3U\n")
            (self.directory / stream / "0.ts").write_bytes(b"G")

    async def playlist(self, stream: str, cookie: str | None = None, name: str = "live.m3u8") -> httpx.Response:
        headers = {} if cookie is None else {"Cookie": f"theme=dark; viewer={cookie}"}
        return await self.get(f"/hls/{stream}/{name}", headers=headers)


@pytest.fixture(scope="session")
def nginx(pytestconfig: pytest.Config) -> Program:
    """nginx, wherever it comes from."""
    return program_for_tests(NGINX, pytestconfig)


@pytest.fixture
async def running(start_gateway: StartGateway) -> Running:
    """A gateway with two seats for each viewer."""
    return await start_gateway(stream_limit=2)


@pytest.fixture
async def player(nginx: Program, running: Running) -> AsyncIterator[Player]:
    """A player before an nginx."""
    async with serving(nginx, running.url) as player:
        yield player


@asynccontextmanager
async def serving(program: Program, podium: str) -> AsyncIterator[Player]:
    """nginx with the recipe, before podium at this URL."""
    home, port = Path(tempfile.mkdtemp(prefix="podium-nginx-")), free_port()
    _furnish(home, port, podium)
    words = ("-p", str(home), "-c", str(home / "nginx.conf"), "-e", str(home / "log"))
    process = await asyncio.create_subprocess_exec(program.binary, *words, env=program.environment)
    try:
        async with Player(base_url=f"http://127.0.0.1:{port}", timeout=10) as player:
            player.directory = home / "streams" / "hls"
            await until_it_answers(process, home / "log", partial(player.get, "/"), httpx.ConnectError)
            yield player
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
        shutil.rmtree(home)


def _furnish(home: Path, port: int, podium: str) -> None:
    recipe = RECIPE
    moved = {"listen 8000;": f"listen 127.0.0.1:{port};", "/srv/streams": f"{home}/streams"}
    for here, there in {**moved, "127.0.0.1:8080": podium.removeprefix("http://")}.items():
        assert recipe.count(here) == 1
        recipe = recipe.replace(here, there)
    (home / "streams.conf").write_text(recipe)
    (home / "viewer-secret.conf").write_text(f'map "" $viewer_secret {{ default "{SECRET}"; }}\n')
    user = "user root;" if Path("/").owner() == Path(home).owner() else ""
    (home / "nginx.conf").write_text(AROUND.format(home=home, user=user))


async def cookie_of(viewer: str, secret: str = SECRET, days: int = 1) -> str:
    """The cookie that the program in docs/streams.md makes."""
    (program,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    given = {"VIEWER": viewer, "VIEWER_SECRET": secret, "DAYS": str(days)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, env=given, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    return said.decode().strip()


async def test_a_playlist_is_handed_out_up_to_the_limit(player: Player, running: Running) -> None:
    cookie, streams = await cookie_of(await new_viewer(running)), await new_streams(running, 3)
    player.publish(*streams)
    answers = [await player.playlist(stream, cookie) for stream in (*streams, *streams)]
    assert [answer.status_code for answer in answers] == [200, 200, 403] * 2
    assert (answers[0].text, answers[0].headers["Content-Type"]) == ("#EXTM3U\n", "application/vnd.apple.mpegurl")
    assert {answer.headers["Cache-Control"] for answer in answers} == {"no-store"}
    assert (await player.get(f"/hls/{streams[0]}/0.ts")).content == b"G"
    freed = await player.post(f"/streams/{streams[0]}/deactivate", headers={"Cookie": f"viewer={cookie}"})
    assert freed.json() == {"status": "ok"}
    assert (await player.playlist(streams[2], cookie)).status_code == 200
    assert (await player.playlist(streams[0], cookie)).status_code == 403


async def test_of_many_at_once_as_many_as_may_get_a_playlist(player: Player, running: Running) -> None:
    cookie, streams = await cookie_of(await new_viewer(running)), await new_streams(running, 20)
    player.publish(*streams)
    answers = await asyncio.gather(*(player.playlist(stream, cookie) for stream in streams))
    assert sorted(answer.status_code for answer in answers) == [200] * 2 + [403] * 18


async def test_who_shows_no_cookie_of_the_login_is_refused(player: Player, running: Running) -> None:
    viewer, stream = await new_viewer(running), await new_stream(running)
    player.publish(stream)
    cookie = await cookie_of(viewer)
    id_, until, key = cookie.split(".")
    wrong = [
        None,
        "",
        viewer,
        f"{viewer}..",
        f"{await new_viewer(running)}.{until}.{key}",
        f"{id_}.{int(until) + 1}.{key}",
    ]
    wrong += [
        await cookie_of(viewer, "another"),
        await cookie_of(viewer, days=-1),
        f"{id_}.{until}.{key}x",
        f"x{cookie}",
    ]
    for given in wrong:
        assert (await player.playlist(stream, given)).status_code == 401, given
        headers = {"x-userid": viewer, "Cookie": f"viewer={given}"}
        assert (await player.post(f"/streams/{stream}/activate", headers=headers)).status_code == 401, given
    assert (await player.playlist(stream, cookie)).status_code == 200


async def test_whom_it_is_about_only_nginx_says(
    player: Player, running: Running, connection: asyncpg.Connection
) -> None:
    viewer, other, stream = await new_viewer(running), await new_viewer(running), await new_stream(running)
    player.publish(stream)
    headers = {"x-userid": other, "Cookie": f"viewer={await cookie_of(viewer)}"}
    assert (await player.get(f"/hls/{stream}/live.m3u8", headers=headers)).status_code == 200
    assert await connection.fetchval(ACTIVE, other) == "{}"
    assert list(json.loads(await connection.fetchval(ACTIVE, viewer))) == [stream]


async def test_what_is_unknown_is_forbidden(player: Player, running: Running) -> None:
    viewer, stream = await new_viewer(running), await new_stream(running)
    player.publish(stream, "unknown")
    assert (await player.playlist("unknown", await cookie_of(viewer))).status_code == 403
    assert (await player.playlist(stream, await cookie_of("nobody"))).status_code == 403
    for way in (f"unknown%2F..%2F{stream}", f"{stream}%2f.", f"./{stream}"):  # all of them the stream
        assert (await player.playlist(way, await cookie_of(viewer))).status_code == 200


@pytest.mark.parametrize("id_", ["a%0d%0ax-userid:%20b", "a%3Fb", "a b", "%20", "..", "x" * 129])
async def test_what_is_no_id_gets_no_playlist_and_is_passed_on_to_nobody(
    player: Player, running: Running, id_: str
) -> None:
    player.publish("a b", "a?b", "x" * 129)
    answer = await player.playlist(id_, await cookie_of(await new_viewer(running)))
    assert answer.status_code in (400, 404)


async def test_nobody_watches_while_podium_is_away(nginx: Program) -> None:
    async with serving(nginx, f"http://127.0.0.1:{free_port()}") as player:
        player.publish("a")
        assert (await player.playlist("a", await cookie_of("viewer"))).status_code == 503
        assert (await player.get("/hls/a/0.ts")).status_code == 200
