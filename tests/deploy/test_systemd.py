"""The units of systemd: they set what there is, and let podium finish."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.deploy.monitoring import DEPLOY
from tests.deploy.settings import NAMES

UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
every_unit = pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)


def _values(unit: Path, key: str) -> list[str]:
    return [line.partition("=")[2] for line in unit.read_text().splitlines() if line.startswith(f"{key}=")]


@every_unit
def test_what_a_unit_sets_is_a_setting(unit: Path) -> None:
    assert {pair.partition("=")[0] for pair in _values(unit, "Environment")[0].split()} <= NAMES
    assert {value.partition(":")[0].upper() for value in _values(unit, "LoadCredential")} <= NAMES


@every_unit
def test_what_a_unit_keeps_is_where_podium_writes(unit: Path) -> None:
    assert f"PODIUM_DATA_DIR=/var/lib/{_values(unit, 'StateDirectory')[0]}" in _values(unit, "Environment")[0].split()


def test_the_gateway_has_the_time_that_it_needs_to_stop() -> None:
    assert {unit.name: _values(unit, "TimeoutStopSec") for unit in UNITS} == {
        "podium-probe.service": ["10"],
        "podium.service": ["60"],
    }


@every_unit
@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_systemd_finds_no_mistake(unit: Path, tmp_path: Path) -> None:
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text().replace("/opt/podium/bin/podium", "/bin/true").replace("User=podium", "User=root"))
    command = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert unit.name not in done.stderr
