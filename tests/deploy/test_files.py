"""Every file of deploy/ can be read by what reads it, and says nothing twice."""

import json
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.monitoring import DEPLOY

FILES = [file for file in sorted(DEPLOY.rglob("*")) if file.is_file() and not file.is_symlink()]
YAMLS = [file for file in FILES if file.suffix in {".yml", ".yaml"} and file.parent.name != "templates"]
JSONS = [file for file in FILES if file.suffix == ".json"]
SCRIPTS = [file for file in FILES if file.suffix == ".sh"]


class _Once(yaml.SafeLoader):
    """Refuses keys that are there twice, of which others take the last."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        _check_once(key.value for key, _ in node.value)
        return super().construct_mapping(node, deep)


def _check_once(names: Iterable[Any]) -> None:
    seen: list[Any] = []
    for name in names:
        assert name not in seen, f"{name} is there twice"
        seen.append(name)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    _check_once(name for name, _ in pairs)
    return dict(pairs)


def _name(file: Path) -> str:
    return str(file.relative_to(DEPLOY))


@pytest.mark.parametrize("file", YAMLS, ids=_name)
def test_yaml_has_each_key_once(file: Path) -> None:
    assert list(yaml.load_all(file.read_text(), Loader=_Once))


@pytest.mark.parametrize("file", JSONS, ids=_name)
def test_json_has_each_key_once(file: Path) -> None:
    assert json.loads(file.read_text(), object_pairs_hook=_once)


@pytest.mark.parametrize("file", SCRIPTS, ids=_name)
def test_a_shell_can_read_its_scripts(file: Path) -> None:
    assert file.stat().st_mode & 0o111
    assert subprocess.run(["sh", "-n", file], check=False).returncode == 0
