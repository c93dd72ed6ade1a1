"""docs/documents.md: its programs do what is printed, and its manifests are read."""

import asyncio
import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli import app
from schema.allowed import AllowedDocuments
from schema.limits import Limits
from schema.manifest import manifest_of
from schema.operations import Operations
from schema.root import GRAPHQL_SCHEMA
from tests.harness import Running

PAGE = (Path(__file__).parents[2] / "docs" / "documents.md").read_text(encoding="utf-8")
URL = "http://127.0.0.1:8080"


def printed(language: str) -> list[str]:
    """The blocks of the page in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("openssl")), reason="needs curl and openssl")
async def test_a_document_is_sent_once_and_named_as_printed(running: Running) -> None:
    script, output = printed("sh")[0], printed("text")[0]
    assert URL in script
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", script.replace(URL, running.url)),
        env={"PATH": "/usr/local/bin:/usr/bin:/bin"},
        stdout=asyncio.subprocess.PIPE,
    )
    assert (await process.communicate())[0].decode() == output


def test_the_printed_manifests_can_be_obeyed() -> None:
    operations = Operations(GRAPHQL_SCHEMA, limits=Limits())
    for manifest in printed("json"):
        read = manifest_of(manifest.encode(), "manifest.json")
        assert len(AllowedDocuments(operations, read, report=lambda event, **facts: None)) == 1


def test_mistakes_are_told_as_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("src").mkdir()
    Path("src/page.graphql").write_text("query Page {\n  regions {\n    cod\n    ...Row\n  }\n}\n")
    assert CliRunner().invoke(app, ["documents", "src"]).stderr == printed("text")[1]
