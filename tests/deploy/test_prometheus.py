"""The rules of Prometheus: they ask for what there is, are tried, and explained; promtool checks them where it is."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.deploy.monitoring import ALERTS, DASHBOARDS, DEPLOY, PROMETHEUS, expressions_of, metrics_in

PAGE = (DEPLOY.parent / "docs" / "deployment.md").read_text()
TRIED = yaml.safe_load((PROMETHEUS / "rules.test.yml").read_text())["tests"]
promtool_only = pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")


def promtool(*arguments: str) -> None:
    done = subprocess.run(["promtool", *arguments], cwd=PROMETHEUS, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


async def test_alerts_ask_for_metrics_that_exist(metrics_of_gateways: set[str]) -> None:
    asked = set.union(*(metrics_in(rule["expr"]) for rule in ALERTS))
    assert {name for name in asked if not name.startswith("stream_monitor_")} <= {"up", *metrics_of_gateways}


def test_alerts_of_streams_ask_for_metrics_that_exist(metrics_of_probers: set[str]) -> None:
    asked = set.union(*(metrics_in(rule["expr"]) for rule in ALERTS))
    assert {name for name in asked if name.startswith("stream_monitor_")} <= metrics_of_probers


def test_every_alert_is_tried_both_ways() -> None:
    cases = [case for test in TRIED for case in test["alert_rule_test"]]
    names = {rule["alert"] for rule in ALERTS}
    assert {case["alertname"] for case in cases if case.get("exp_alerts")} == names
    assert {case["alertname"] for case in cases if not case.get("exp_alerts")} == names


def test_every_alert_is_explained() -> None:
    explained = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
    assert explained == [rule["alert"] for rule in ALERTS]


def test_every_alert_says_how_bad_it_is() -> None:
    assert {rule["labels"]["severity"] for rule in ALERTS} == {"critical", "warning"}


@promtool_only
def test_promtool_finds_no_mistake() -> None:
    promtool("check", "config", "prometheus.yml")
    promtool("test", "rules", "rules.test.yml")


@promtool_only
def test_every_expression_of_a_dashboard_is_valid(tmp_path: Path) -> None:
    expressions = [expression for dashboard in DASHBOARDS.values() for expression in expressions_of(dashboard)]
    rules = [{"record": f"panel:{number}", "expr": expression} for number, expression in enumerate(expressions)]
    file = tmp_path / "panels.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    assert len(rules) > 60
    promtool("check", "rules", str(file))
