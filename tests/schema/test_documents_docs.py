"""docs/documents.md: its programs do what is printed."""

import asyncio
import re
import shutil
from pathlib import Path

import pytest

from tests.harness import Running

PAGE = (Path(__file__).parents[2] / "docs" / "documents.md").read_text(encoding="utf-8")
URL = "http://127.0.0.1:8080"


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("openssl")), reason="needs curl and openssl")
async def test_a_document_is_sent_once_and_named_as_printed(running: Running) -> None:
    printed = re.search(r"^```sh\n(QUERY=.*?)^```\n\n```text\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert printed
    script, output = printed.groups()
    assert URL in script
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", script.replace(URL, running.url)),
        env={"PATH": "/usr/local/bin:/usr/bin:/bin"},
        stdout=asyncio.subprocess.PIPE,
    )
    assert (await process.communicate())[0].decode() == output
