"""The rules of the house that no other tool checks."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("schema", "resolvers", "compat_rest", "db", "workers", "prober", "gateway")
FILES = [file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))]
NAMES_THAT_SAY_NOTHING = re.compile(r"(utils?|helpers?|managers?|base|dto|misc|common)\.py")
TRACKED = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()


def _functions(tree: ast.AST) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_file_is_one_room(file: Path) -> None:
    text = file.read_text()
    tree = ast.parse(text)
    docstring = ast.get_docstring(tree)
    assert docstring, "a file opens with a line that says what it is for"
    assert text.count("\n") <= 400
    assert not NAMES_THAT_SAY_NOTHING.fullmatch(file.name)
    too_long = [f.name for f in _functions(tree) if (f.end_lineno or 0) - f.lineno > 40]
    assert not too_long, "functions that want to be several"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_the_environment_is_read_by_settings_only(file: Path) -> None:
    if file.name != "settings.py":
        assert not re.search(r"os\.(environ|getenv)", file.read_text())


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_sql_lives_in_sql_files(file: Path) -> None:
    if file.name == "embedded.py":  # makes its own database, before there are statements
        return
    strings = [n.value for n in ast.walk(ast.parse(file.read_text())) if isinstance(n, ast.Constant)]
    sql = [s for s in strings if isinstance(s, str) and re.match(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\s", s)]
    assert not sql


def test_nothing_names_a_registry_or_a_machine() -> None:
    assert TRACKED
    pattern = re.compile(r"https?://[^\s\"']*(pypi|npmjs|crates\.io|pythonhosted|debian\.org)|/root/|/home/[a-z]+/")
    found = []
    for name in TRACKED:
        file = ROOT / name
        if (
            file.suffix in {".py", ".md", ".txt", ".toml", ".json", ".sql", ".js", ".mjs", ".html", ""}
            and file.is_file()
        ):
            text = file.read_text(errors="replace")
            found += [f"{name}: {match[0]}" for match in pattern.finditer(text) if name != "tests/test_house.py"]
    assert not found


def test_every_source_package_is_in_the_wheel() -> None:
    pyproject = (ROOT / "pyproject.toml").read_text()
    assert all(f'"{package}"' in pyproject for package in PACKAGES)
