"""The Helm chart: what it sets and shows is there; where helm is, what it renders is looked at."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.settings import VERSION
from prober.streams import Stream, read_streams
from tests.deploy.monitoring import DEPLOY, RULES
from tests.deploy.settings import NAMES

CHART = DEPLOY / "helm" / "podium"
VALUES = Path(__file__).with_name("chart.values.yaml")
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
TEMPLATES = {file.name: file.read_text() for file in sorted((CHART / "templates").iterdir())}
RENDERED = "template", "fleet", str(CHART), "--kube-version", "1.31.0", "--namespace", "probes"
OF_THE_ORIGINAL = {"name", "duration", "injest_region", "playback_region", "injest_url", "playback_url"}
needs_helm = pytest.mark.skipif(not shutil.which("helm"), reason="helm is not installed")


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["helm", *arguments], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def objects() -> list[dict[str, Any]]:
    """All that the chart makes of values that use all of it."""
    done = helm(*RENDERED, "--values", str(VALUES))
    assert done.returncode == 0, done.stderr
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def _of(objects: list[dict[str, Any]], kind: str, component: str = "") -> list[dict[str, Any]]:
    """Those of a kind, and of a component if one is named."""
    label = "app.kubernetes.io/component"
    named = [each for each in objects if each["kind"] == kind]
    return [each for each in named if not component or each["metadata"]["labels"].get(label) == component]


def _pods(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each["spec"]["template"]["spec"] for each in objects if each["kind"] in {"Deployment", "Job"}]


def _environment(pod: dict[str, Any]) -> dict[str, Any]:
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in pod["containers"][0]["env"]}


def _mistyped(values: Any, schema: dict[str, Any], path: str = "") -> list[str]:
    """Values that the schema has no place for."""
    if not isinstance(values, dict) or "properties" not in schema:
        return []
    unknown = [f"{path}{key}" for key in values if key not in schema["properties"]]
    known = [key for key in values if key in schema["properties"]]
    return unknown + [
        each for key in known for each in _mistyped(values[key], schema["properties"][key], f"{path}{key}.")
    ]


def test_the_chart_says_what_it_is() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["name"] == "podium"
    assert chart["apiVersion"] == "v2"
    assert chart["appVersion"] == VERSION


def test_values_and_their_schema_know_each_other() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert _mistyped(values, SCHEMA) == []
    assert set(SCHEMA["properties"]) == {*values, "global"}  # Helm itself sets that one


def test_streams_have_the_keys_that_a_prober_takes() -> None:
    taken = set()
    for name, field in Stream.model_fields.items():
        alias = field.validation_alias
        taken |= {alias} if isinstance(alias, str) else {*getattr(alias, "choices", [name])}
    keys = set(SCHEMA["properties"]["streams"]["items"]["properties"])
    assert keys == taken
    assert keys >= OF_THE_ORIGINAL


def test_what_templates_set_is_a_setting() -> None:
    text = "".join(TEMPLATES.values())
    names = set(re.findall(r"name: ([A-Z][A-Z_]+)\b", text)) | set(
        re.findall(r"^  ([A-Z][A-Z_]+):", text, re.MULTILINE)
    )
    assert names >= {"POSTGRES", "POSTGRES_READ", "POSTGRES_OWNER", "SECRET", "REPORT_URL", "DRAIN_DELAY"}
    assert names <= NAMES


def test_dashboards_and_rules_are_those_of_the_repository() -> None:
    for name in ("rules.yml", "dashboards", "datasources.yaml"):
        link = CHART / "files" / name
        assert link.is_symlink()
        assert DEPLOY in link.resolve(strict=True).parents


@needs_helm
def test_helm_finds_no_mistake() -> None:
    done = helm("lint", "--strict", str(CHART), "--values", str(VALUES))
    assert done.returncode == 0, done.stdout


@needs_helm
def test_each_stream_has_a_prober_with_its_labels(objects: list[dict[str, Any]]) -> None:
    probers = _of(objects, "Deployment", "prober")
    assert len(probers) == len({each["metadata"]["name"] for each in probers}) == 3
    pod = probers[0]["spec"]["template"]["metadata"]
    shown = {name: value for name, value in pod["labels"].items() if name.startswith("test.livepeer.io/")}
    assert shown == {
        "test.livepeer.io/name": "fra-to-lon",
        "test.livepeer.io/duration": "2m",
        "test.livepeer.io/injest_region": "FRA",
        "test.livepeer.io/playback_region": "LON",
    }
    assert pod["annotations"]["prometheus.io/scrape"] == "true"
    assert pod["annotations"]["prometheus.io/port"] == "9090"
    assert all(each["spec"]["strategy"] == {"type": "Recreate"} for each in probers)


@needs_helm
def test_labels_and_names_are_such_that_kubernetes_takes_them(objects: list[dict[str, Any]]) -> None:
    for each in objects:
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", each["metadata"]["name"])
        selected = each.get("spec", {}).get("selector", {}).get("matchLabels", {})
        for value in (*each["metadata"]["labels"].values(), *selected.values()):
            assert re.fullmatch(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?", value)


@needs_helm
def test_a_prober_can_read_its_stream(objects: list[dict[str, Any]], tmp_path: Path) -> None:
    named = []
    for secret in _of(objects, "Secret", "prober"):
        (tmp_path / "streams.yaml").write_text(secret["stringData"]["streams.yaml"])
        named += [stream.name for stream in read_streams(tmp_path / "streams.yaml")]
    assert named == [stream["name"] for stream in yaml.safe_load(VALUES.read_text())["streams"]]


@needs_helm
def test_what_a_prober_keeps_outlives_its_pod(objects: list[dict[str, Any]]) -> None:
    claims = {each["metadata"]["name"] for each in _of(objects, "PersistentVolumeClaim", "prober")}
    probers = [each["spec"]["template"]["spec"] for each in _of(objects, "Deployment", "prober")]
    kept = [volume["persistentVolumeClaim"]["claimName"] for pod in probers for volume in pod["volumes"][-1:]]
    assert set(kept) == claims
    assert len(kept) == len(claims) == 3


@needs_helm
def test_each_pod_can_do_little(objects: list[dict[str, Any]]) -> None:
    for pod in _pods(objects):
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        container = pod["containers"][0]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"]["memory"]
        assert {"/tmp", "/var/lib/podium"} <= {each["mountPath"] for each in container["volumeMounts"]}  # noqa: S108


@needs_helm
def test_pods_that_stay_are_asked_how_they_are(objects: list[dict[str, Any]]) -> None:
    gateway, *probers = [each["spec"]["template"]["spec"]["containers"][0] for each in _of(objects, "Deployment")]
    assert gateway["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert gateway["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert all(each["livenessProbe"]["httpGet"] == {"path": "/livez", "port": "metrics"} for each in probers)


@needs_helm
def test_secrets_are_in_secrets_only(objects: list[dict[str, Any]]) -> None:
    assert "marker-of" not in yaml.safe_dump([each for each in objects if each["kind"] != "Secret"])


@needs_helm
@pytest.mark.parametrize(("component", "secret"), [("gateway", "tokens"), ("prober", "pager")])
def test_further_secrets_come_from_a_secret_of_ones_own(
    objects: list[dict[str, Any]], component: str, secret: str
) -> None:
    for each in _of(objects, "Deployment", component):
        (container,) = each["spec"]["template"]["spec"]["containers"]
        assert container["envFrom"] == [{"secretRef": {"name": secret}}]


@needs_helm
def test_the_owner_is_there_only_while_migrations_run(objects: list[dict[str, Any]]) -> None:
    holders = [each for each in _of(objects, "Secret") if "podium_owner" in yaml.safe_dump(each)]
    jobs = _of(objects, "Job")
    for each in (*holders, *jobs):
        annotations = each["metadata"]["annotations"]
        assert annotations["helm.sh/hook"] == "pre-install,pre-upgrade"
        assert annotations["helm.sh/hook-delete-policy"] == "before-hook-creation,hook-succeeded"
    assert len(holders) == len(jobs) == 1
    gateway = _of(objects, "Deployment", "gateway")[0]["spec"]["template"]["spec"]
    assert _environment(gateway)["AUTO_MIGRATE"] == "false"


def _checksums(secret: str, component: str) -> set[str]:
    done = helm(*RENDERED, "--values", str(VALUES), "--set", f"secret.secret={secret}")
    pods = _of([each for each in yaml.safe_load_all(done.stdout) if each], "Deployment", component)
    return {each["spec"]["template"]["metadata"]["annotations"]["checksum/secret"] for each in pods}


@needs_helm
@pytest.mark.parametrize("component", ["gateway", "prober"])
def test_pods_that_sign_or_check_are_replaced_when_the_key_is(component: str) -> None:
    assert _checksums("one", component) == _checksums("one", component)
    assert not _checksums("one", component) & _checksums("another", component)


@needs_helm
@pytest.mark.parametrize("replicas", [1, 2])
def test_a_single_gateway_keeps_no_node_from_being_drained(replicas: int) -> None:
    done = helm(*RENDERED, "--values", str(VALUES), "--set", f"gateway.replicas={replicas}")
    assert ("PodDisruptionBudget" in done.stdout) == (replicas > 1)


@needs_helm
def test_migrations_run_where_gateways_do() -> None:
    placed = ("gateway.nodeSelector.disk=fast", "gateway.tolerations[0].operator=Exists")
    done = helm(*RENDERED, "--values", str(VALUES), *(word for each in placed for word in ("--set", each)))
    objects = [each for each in yaml.safe_load_all(done.stdout) if each]
    for each in (*_of(objects, "Job"), *_of(objects, "Deployment", "gateway")):
        pod = each["spec"]["template"]["spec"]
        assert (pod["nodeSelector"], pod["tolerations"]) == ({"disk": "fast"}, [{"operator": "Exists"}])


@needs_helm
def test_a_secret_of_ones_own_is_used_and_none_is_made() -> None:
    done = helm(*RENDERED, "--set", "secret.existing=mine")
    objects = [each for each in yaml.safe_load_all(done.stdout) if each]
    assert _of(objects, "Secret") == []
    for pod in _pods(objects):
        assert _environment(pod)["POSTGRES"] == {"secretKeyRef": {"name": "mine", "key": "POSTGRES"}}


@needs_helm
@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("streams[3].name=a", "missing properties 'duration', 'playback_url'"),
        ("streams[0].orchestrator=0xabc", "if 'orchestrator' exists"),
        ("gateway.replicas=many", "got string, want integer"),
        ("gateway.setting.PORT=1", "additional properties 'setting' not allowed"),
        ("streams[0].injest_url=http://a", "does not match pattern"),
        ("secret.postgres=db/podium", "does not match pattern"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused(setting: str, message: str) -> None:
    done = helm(*RENDERED, "--values", str(VALUES), "--set", setting)
    assert done.returncode
    assert message in done.stderr


@needs_helm
def test_without_a_database_it_says_what_to_set() -> None:
    assert "secret.postgres is the URL of the database" in helm(*RENDERED).stderr


@needs_helm
def test_what_is_monitored_has_the_names_that_rules_know(objects: list[dict[str, Any]]) -> None:
    jobs = [
        each["spec"]["podMetricsEndpoints"][0]["relabelings"][0]["replacement"] for each in _of(objects, "PodMonitor")
    ]
    assert sorted(jobs) == ["podium", "podium-prober"]
    assert _of(objects, "PrometheusRule")[0]["spec"] == RULES
    maps = [name for each in _of(objects, "ConfigMap") for name in each["data"]]
    assert sorted(maps) == ["gateway.json", "leaderboard.json", "podium.yaml", "streams.json"]
    sources = next(each["data"]["podium.yaml"] for each in _of(objects, "ConfigMap") if "podium.yaml" in each["data"])
    assert "url: http://fleet-podium.probes:8080\n" in sources
    assert "${" not in sources


@needs_helm
@pytest.mark.skipif(not shutil.which("kubernetes-validate"), reason="kubernetes-validate is not installed")
def test_kubernetes_would_take_every_object(objects: list[dict[str, Any]], tmp_path: Path) -> None:
    file = tmp_path / "objects.yaml"
    file.write_text(yaml.safe_dump_all([each for each in objects if "monitoring.coreos.com" not in each["apiVersion"]]))
    command = ["kubernetes-validate", "--strict", "--kubernetes-version", "1.31", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
