"""The images: what is built into them is there, and what they run is theirs."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
STAGES = {
    match[1]: match[2] for match in re.finditer(r"^FROM [^\n]* AS (\w+)\n(.*?)(?=^FROM |\Z)", DOCKERFILE, re.M | re.S)
}


def test_all_that_the_wheel_is_made_of_gets_into_the_image() -> None:
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    let_in = {line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"}
    assert {*wheel["packages"], *wheel["force-include"]} <= let_in


def test_what_is_built_unless_a_target_is_named_is_the_gateway() -> None:
    assert list(STAGES) == ["build", "runtime", "prober", "gateway"]


def test_no_image_runs_as_root() -> None:
    for stage in ("runtime", "prober"):
        assert re.findall(r"^USER (.*)$", STAGES[stage], re.M)[-1] == "10001:10001"
    assert "USER" not in STAGES["gateway"]


def test_each_image_is_asked_whether_it_lives() -> None:
    assert "['PORT'] + '/livez'" in STAGES["gateway"]
    assert "['METRICS_PORT'] + '/livez'" in STAGES["prober"]
