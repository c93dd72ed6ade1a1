"""docs/identity.md: its programs run as they are printed, and its fields are those of the schema."""

import asyncio
import re
import shutil
import sys
from pathlib import Path

import pytest

from resolvers.identity import Scope
from tests.harness import SECRET, TOKEN_SECRET, Running, StartGateway
from tests.schema.test_identity import required

PAGE = (Path(__file__).parents[2] / "docs" / "identity.md").read_text(encoding="utf-8")
URL = "http://127.0.0.1:8080"


def printed(language: str) -> list[str]:
    """The blocks of the page in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


async def output(*command: str, **environment: str) -> str:
    """What a command prints."""
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=asyncio.subprocess.PIPE)
    said, _ = await process.communicate()
    return said.decode()


def test_the_documented_scopes_are_those_of_the_schema() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (?:`(\w+)`|none) \|", PAGE, re.MULTILINE)
    assert {name: scope or None for name, scope in rows} == required()


def test_every_scope_is_explained() -> None:
    assert re.findall(r"^\| `(\w+)` \| [^`|]+ \|$", PAGE, re.MULTILINE)[: len(Scope)] == list(Scope)


async def test_a_token_is_made_as_printed(start_gateway: StartGateway) -> None:
    running = await start_gateway(jwt_secret=TOKEN_SECRET)
    token = await output(sys.executable, "-c", printed("python")[0], JWT_SECRET=TOKEN_SECRET)
    (question,) = printed("graphql")
    answer = await running.graph(question, {"Authorization": f"Bearer {token.strip()}"})
    assert answer.json()["data"]["identity"] == {"subject": "tester-fra", "scopes": ["READ", "PUBLISH"]}


async def test_a_message_is_signed_as_printed_in_python(running: Running) -> None:
    program = printed("python")[1]
    assert URL in program
    assert await output(sys.executable, "-c", program.replace(URL, running.url), SECRET=SECRET) == "ok\n"


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("openssl")), reason="needs curl and openssl")
async def test_a_message_is_signed_as_printed_in_a_shell(running: Running) -> None:
    (script,) = printed("sh")
    assert URL in script
    paths = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
    assert await output("sh", "-c", script.replace(URL, running.url), SECRET=SECRET, **paths) == "ok"
