"""`podium` commands as people run them: in processes of their own, with what they print."""

import asyncio
import os
import re
import sysconfig
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import orjson
import psutil

from resolvers.signing import signature
from tests.harness import eventually

ROOT = Path(__file__).resolve().parents[1]
PODIUM = Path(sysconfig.get_path("scripts")) / "podium"
SECRET = "marker-of-the-secret"
USER, PASSWORD = "marker-of-the-user", "marker-of-the-password"
OUTPUT_LIMIT = 1 << 20


class Podium:
    """A `podium` command in a process of its own, with nothing of the tests' environment."""

    def __init__(self, directory: Path, *arguments: str, **settings: str) -> None:
        self.data_dir = directory
        self.arguments = arguments
        self.environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "PODIUM_DATA_DIR": str(directory),
            "SECRET": SECRET,
            **settings,
        }
        self.lines: list[str] = []
        self.printed = ""

    async def start(self) -> "Podium":
        self.process = await asyncio.create_subprocess_exec(
            PODIUM,
            *self.arguments,
            env=self.environment,
            cwd="/",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=OUTPUT_LIMIT,
        )
        self._reading = asyncio.gather(self._read_log(), self._read_output())
        return self

    async def ready(self) -> "Podium":
        """This process once it answers."""
        await eventually(lambda: self._address() or self.process.returncode is not None, within_s=20)
        assert self._address(), self.lines
        self.url = self._address()
        self.client = httpx.AsyncClient(base_url=self.url, timeout=10)
        return self

    async def end(self, within_s: float = 10) -> int:
        """The exit code, when everything that it printed is read."""
        async with asyncio.timeout(within_s):
            code = await self.process.wait()
            await self._reading
        return code

    async def close(self) -> None:
        """Leave no process behind, and find no secret in what was printed."""
        with suppress(ProcessLookupError):
            self.process.kill()
        await self.end()
        if hasattr(self, "client"):
            await self.client.aclose()
        said = self.printed + "\n".join(self.lines)
        assert SECRET not in said
        assert PASSWORD not in said
        assert USER not in said

    def event(self, name: str) -> dict[str, Any]:
        """The facts of a logged event, empty until it is there."""
        return next(iter(self.events(name)), {})

    def events(self, name: str) -> list[dict[str, Any]]:
        """The facts of all logged events of this name."""
        logged = (orjson.loads(line) for line in self.lines if line.startswith("{"))
        return [facts for facts in logged if facts["event"] == name]

    def _address(self) -> str:
        found = (re.search(r"http://127\.0\.0\.1:\d+", line) for line in self.lines if "ready" in line)
        return next((address[0] for address in found if address), "")

    @property
    def postmaster(self) -> int:
        return int(self.event("postgres_started")["pid"])

    async def post(self, orchestrator: str, client: httpx.AsyncClient | None = None) -> httpx.Response:
        body = orjson.dumps({"region": "FRA", "orchestrator": orchestrator, "success_rate": 1, "round_trip_time": 0.5})
        headers = {"Authorization": signature(body, SECRET)}
        return await (client or self.client).post("/api/post_stats", content=body, headers=headers)

    async def knows(self, orchestrator: str) -> bool:
        answer = await self.client.get("/api/raw_stats", params={"orchestrator": orchestrator})
        return answer.status_code == 200 and len(answer.json().get("FRA", ())) == 1

    async def _read_log(self) -> None:
        assert self.process.stderr
        async for line in self.process.stderr:
            self.lines.append(line.decode())

    async def _read_output(self) -> None:
        assert self.process.stdout
        self.printed = (await self.process.stdout.read()).decode()


Start = Callable[..., Awaitable[Podium]]


def is_running(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):  # it may end while it is looked at
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    return False


async def only_line_of(podium: Podium) -> str:
    """What a command that cannot go on says: one line for people, after nothing but log events."""
    assert await podium.end(within_s=20) == 1
    said = [line for line in podium.lines if not line.startswith("{")]
    assert podium.printed == ""
    assert len(said) == 1, podium.lines
    assert not any("Traceback" in line for line in podium.lines)
    assert said[0].startswith("podium: ")
    return said[0]
