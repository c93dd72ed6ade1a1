"""What the dashboards and rules of deploy/ ask for, and what podium exposes."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
GRAFANA = DEPLOY / "grafana"
PROMETHEUS = DEPLOY / "prometheus"
DASHBOARDS = {file.stem: json.loads(file.read_text()) for file in sorted((GRAFANA / "dashboards").glob("*.json"))}
RULES = yaml.safe_load((PROMETHEUS / "rules.yml").read_text())
ALERTS = [rule for group in RULES["groups"] for rule in group["rules"]]

_NO_NAMES = re.compile(
    r"""
    "[^"]*" | \{[^}]*\} | \[[^\]]*\]                                    # texts, labels, ranges
    | \b(?:by|without|ignoring|on|group_left|group_right) \s* \([^)]*\)  # names of labels
    | \b(?:and|or|unless|offset|bool) \b
    """,
    re.VERBOSE,
)
_NAME = re.compile(r"\b[a-zA-Z_:][\w:]*\b(?!\s*\()")
_TYPE = re.compile(r"^# TYPE (\S+) (\S+)$", re.MULTILINE)
_GRAFANAS = {"$__rate_interval": "1m", "$__interval": "1m", "$__range": "1h", "$region": ".*", "$instance": ".*"}


def panels_of(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    """Those that show something, rows left out."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def targets_of(dashboard: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The questions of all panels."""
    for panel in panels_of(dashboard):
        yield from panel["targets"]


def expressions_of(dashboard: dict[str, Any]) -> list[str]:
    """What is asked of Prometheus, with Grafana's variables filled in."""
    return [in_place_of_grafana(target["expr"]) for target in targets_of(dashboard) if "expr" in target]


def in_place_of_grafana(text: str) -> str:
    """Its variables, replaced as it would for all of them."""
    for variable, value in _GRAFANAS.items():
        text = text.replace(variable, value)
    return text


def metrics_in(expression: str) -> set[str]:
    """The names of the metrics in a PromQL expression."""
    return set(_NAME.findall(_NO_NAMES.sub(" ", expression)))


def metrics_of(exposition: str) -> set[str]:
    """The names of all samples that an exposition may have, by its lines of types.

    OpenMetrics, which ends with a line of its own, leaves out the end of a counter's name there.
    """
    counted = "_total" if exposition.endswith("# EOF\n") else ""
    names: set[str] = set()
    for name, kind in _TYPE.findall(exposition):
        if kind == "counter":
            names.add(f"{name}{counted}")
        elif kind == "histogram":
            names |= {f"{name}_bucket", f"{name}_count", f"{name}_sum"}
        else:
            names.add(name)
    return names
