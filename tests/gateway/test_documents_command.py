"""`podium documents`: what it writes is what `podium serve --documents` reads."""

from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner, Result

from gateway.cli import app
from tests.harness import StartGateway

PAGE = "query Page { stats(first: 1) { nodes { ...Row } } }"
ROW = "fragment Row on Stat { id }"


def run(*arguments: str | Path, **environment: str) -> Result:
    return CliRunner().invoke(app, ["documents", *map(str, arguments)], env=environment)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Operations and fragments in several files, among others that do not count."""
    files = {
        "page.graphql": PAGE,
        "deep/er/row.gql": ROW,
        "deep/regions.graphql": "query Regions { regions { code } }",
        "node_modules/other/a.graphql": "{",
        ".cache/a.graphql": "{",
        "notes.txt": "{",
    }
    for name, text in files.items():
        (tmp_path / "src" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "src" / name).write_text(text)
    return tmp_path / "src"


@pytest.mark.parametrize("format_", ["apollo", "map"])
async def test_a_gateway_obeys_what_is_written(start_gateway: StartGateway, folder: Path, format_: str) -> None:
    manifest = folder.parent / "manifest.json"
    assert run(folder, "--format", format_, "--output", manifest).exit_code == 0
    assert run(folder, "--format", format_).stdout.encode() == manifest.read_bytes()
    running = await start_gateway(documents=manifest)
    written = orjson.loads(manifest.read_bytes())
    bodies = [it["body"] for it in written["operations"]] if format_ == "apollo" else list(written.values())
    assert [body.split()[1] for body in bodies] == ["Page", "Regions"]
    assert (await running.ask(bodies[0])) == {"stats": {"nodes": []}}
    assert (await running.answer(PAGE + ROW))["errors"][0]["extensions"]["code"] == "DOCUMENT_NOT_ALLOWED"


def test_names_and_types_are_written_for_apollo(folder: Path) -> None:
    operations = orjson.loads(run(folder, "--add-typename").stdout)["operations"]
    assert [(it["name"], it["type"]) for it in operations] == [("Page", "query"), ("Regions", "query")]
    assert operations[1]["body"] == "query Regions {\n  regions {\n    code\n    __typename\n  }\n}"


def test_mistakes_are_told_with_file_and_line_and_nothing_is_written(folder: Path) -> None:
    (folder / "page.graphql").write_text("\n\nquery Page { nothing }")
    (folder / "notes.gql").write_bytes(b"query A {\n  \xff")
    written = folder.parent / "manifest.json"
    result = run(folder, "--output", written)
    assert (result.exit_code, written.exists()) == (1, False)
    assert result.stderr == f"podium: {folder}/notes.gql:2: it is not in UTF-8\n"
    (folder / "notes.gql").unlink()
    assert run(folder).stderr == (f"podium: {folder}/page.graphql:3: Cannot query field 'nothing' on type 'Query'.\n")


def test_the_limits_of_the_server_count(folder: Path) -> None:
    result = run(folder, MAX_DEPTH="2")
    assert result.exit_code == 1
    assert result.stderr == f"podium: {folder}/page.graphql:1: The depth is 3, and at most 2.\n"


def test_what_cannot_be_read_or_written_is_one_line(tmp_path: Path, folder: Path) -> None:
    nothing = tmp_path / "nothing"
    assert run(nothing).stderr == f"podium: {nothing}: there are no files that end with .graphql or .gql\n"
    fragments = folder / "deep" / "er"
    assert run(fragments).stderr == f"podium: {fragments}: there are no operations in its files\n"
    unwritable = nothing / "manifest.json"
    assert run(folder, "--output", unwritable).stderr == f"podium: {unwritable}: No such file or directory\n"
