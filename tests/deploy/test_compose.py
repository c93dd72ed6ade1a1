"""docker-compose.yml: what it sets, mounts and asks for is there, and no password is in it."""

import asyncio
import hashlib
import hmac
import os
import re
import shutil
import subprocess
from base64 import b64decode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import yaml

from db.embedded import EmbeddedPostgres
from db.embedded_host import bin_dir_of_wheel
from gateway.settings import load_settings
from prober.streams import read_streams
from tests.deploy.monitoring import DEPLOY, GRAFANA, PROMETHEUS
from tests.deploy.settings import NAMES

COMPOSE = yaml.safe_load((DEPLOY / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
PODIUMS = ("migrate", "gateway", "prober")
PREPARED = ("prepare.sh", "streams.example.yaml")


def _secrets_of(service: dict[str, Any]) -> dict[str, str]:
    given = [{"source": each} if isinstance(each, str) else each for each in service.get("secrets", ())]
    return {each["source"]: each.get("target", each["source"]) for each in given}


def _mounts_of(service: dict[str, Any]) -> dict[str, str]:
    """What is mounted, by where."""
    given = [
        each.split(":") if isinstance(each, str) else (each["source"], each["target"]) for each in service["volumes"]
    ]
    return {parts[1]: parts[0] for parts in given}


def _is_of(scram: str, password: str) -> bool:
    """Whether Postgres keeps this of a password."""
    _, rounds_and_salt, keys = scram.split("$")
    rounds, salt = rounds_and_salt.split(":")
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), b64decode(salt), int(rounds))
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    return b64decode(keys.split(":")[0]) == hashlib.sha256(client_key).digest()


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    """A copy of deploy/ after prepare.sh."""
    for name in PREPARED:
        shutil.copy(DEPLOY / name, tmp_path)
    subprocess.run([tmp_path / "prepare.sh"], check=True, capture_output=True)
    return tmp_path


@pytest.mark.parametrize("name", PODIUMS)
def test_what_is_set_is_a_setting(name: str) -> None:
    service = SERVICES[name]
    assert set(service["environment"]) <= NAMES
    assert {target.upper() for target in _secrets_of(service).values()} <= NAMES


def test_there_is_all_that_a_fleet_needs() -> None:
    assert set(SERVICES) == {"postgres", "migrate", "gateway", "prober", "target", "prometheus", "grafana"}
    assert SERVICES["target"]["profiles"] == ["demo"]


def test_no_service_has_a_secret_in_its_environment() -> None:
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            assert not re.search("PASSWORD|SECRET|TOKEN|KEY", name) or value.startswith("/run/secrets/")
            assert "@" not in value


def test_only_migrations_have_the_password_of_the_owner() -> None:
    holders = {name for name, service in SERVICES.items() if "postgres_owner" in _secrets_of(service)}
    assert holders == {"migrate", "postgres"}
    assert _secrets_of(SERVICES["migrate"]) == {"postgres_owner": "postgres"}
    assert SERVICES["gateway"]["environment"]["AUTO_MIGRATE"] == "false"


def test_every_service_that_stays_is_asked_how_it_is() -> None:
    in_the_image = {"prober"}
    assert all("healthcheck" in service for name, service in SERVICES.items() if name not in {"migrate", *in_the_image})


def test_what_podium_runs_as_can_do_little() -> None:
    for name in (*PODIUMS, "target"):
        assert SERVICES[name]["read_only"]
        assert SERVICES[name]["cap_drop"] == ["ALL"]
        assert SERVICES[name]["security_opt"] == ["no-new-privileges:true"]


def test_ports_are_open_to_this_machine_only_unless_it_is_said_otherwise() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert len(ports) == 3
    assert all(port.startswith("${BIND:-127.0.0.1}:") for port in ports)


def test_what_is_mounted_is_there(prepared: Path) -> None:
    for service in SERVICES.values():
        for source in _mounts_of({"volumes": (), **service}).values():
            assert source in COMPOSE["volumes"] or (DEPLOY / source).exists() or (prepared / source).exists()


def test_prometheus_asks_services_at_their_ports() -> None:
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    jobs = {job["job_name"]: job["static_configs"][0]["targets"] for job in config["scrape_configs"]}
    assert jobs == {
        "podium": ["gateway:8080"],
        "podium-prober": ["prober:9090"],
        "prometheus": ["127.0.0.1:9090"],
    }


def test_grafana_knows_where_things_are() -> None:
    grafana = SERVICES["grafana"]
    sources = (GRAFANA / "provisioning/datasources/podium.yaml").read_text()
    assert set(re.findall(r"\$\{(\w+)\}", sources)) <= set(grafana["environment"])
    provider = yaml.safe_load((GRAFANA / "provisioning/dashboards/podium.yaml").read_text())["providers"][0]
    dashboards = provider["options"]["path"]
    assert _mounts_of(grafana)[dashboards] == "./grafana/dashboards"
    assert Path(grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]).parent == Path(dashboards)


def test_preparing_makes_every_secret_once(prepared: Path) -> None:
    files = {name: prepared / secret["file"] for name, secret in COMPOSE["secrets"].items()}
    made = {name: file.read_text() for name, file in files.items()}
    assert len(set(made.values())) == len(made)
    assert (prepared / "secrets").stat().st_mode & 0o777 == 0o700
    (prepared / "streams.yaml").write_text("mine")
    subprocess.run([prepared / "prepare.sh"], check=True, capture_output=True)
    assert {name: file.read_text() for name, file in files.items()} == made
    assert (prepared / "streams.yaml").read_text() == "mine"


def test_what_is_prepared_is_not_for_the_repository() -> None:
    assert {"secrets/", "streams.yaml", "*.env"} <= set((DEPLOY / ".gitignore").read_text().split())


def test_the_gateway_takes_its_secrets_from_the_files(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(prepared / "secrets"))
    settings = load_settings()
    assert settings.postgres
    assert settings.postgres.startswith("postgresql://podium_writer:")
    assert settings.postgres_read != settings.postgres
    assert settings.secret == (prepared / "secrets" / "secret").read_text()


def test_the_example_of_streams_can_be_read() -> None:
    assert [stream.name for stream in read_streams(DEPLOY / "streams.example.yaml")] == ["demo"]


@pytest.fixture
async def new_postgres(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedPostgres]:
    """A server whose roles are nobody else's."""
    async with EmbeddedPostgres(tmp_path_factory.mktemp("compose")) as server:
        yield server


async def test_roles_get_the_passwords_of_the_files(prepared: Path, new_postgres: EmbeddedPostgres) -> None:
    superuser = await asyncpg.connect(new_postgres.logins.superuser)
    environment = {
        "PATH": f"{bin_dir_of_wheel()}:{os.environ['PATH']}",
        "PGHOST": await superuser.fetchval("SELECT split_part(current_setting('unix_socket_directories'), ',', 1)"),
        "PGPORT": await superuser.fetchval("SHOW port"),
        "POSTGRES_USER": "postgres",
        "POSTGRES_DB": "podium",
        "SECRETS": str(prepared / "secrets"),
    }
    await asyncio.to_thread(subprocess.run, [DEPLOY / "postgres" / "passwords.sh"], env=environment, check=True)
    hashes = dict(await superuser.fetch("SELECT rolname, rolpassword FROM pg_authid WHERE rolname LIKE 'podium_%'"))
    await superuser.close()
    for role, file in {"owner": "postgres_owner", "writer": "postgres", "reader": "postgres_read"}.items():
        password = re.search(r":(\w+)@", (prepared / "secrets" / file).read_text())
        assert password
        assert _is_of(hashes[f"podium_{role}"], password[1])


@pytest.mark.skipif(not shutil.which("compose-spec"), reason="compose-spec is not installed")
def test_the_reader_of_docker_compose_finds_no_mistake() -> None:
    done = subprocess.run(
        ["compose-spec", "docker-compose.yml"], cwd=DEPLOY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
