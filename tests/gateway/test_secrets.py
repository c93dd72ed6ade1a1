"""Settings from files: what containers and systemd call secrets and credentials."""

from pathlib import Path

import pytest

from gateway.settings import SettingsError, load_settings
from tests.processes import Start


@pytest.fixture
def secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    return tmp_path


def test_a_file_that_is_named_like_a_setting_is_its_value(secrets: Path) -> None:
    (secrets / "secret").write_text("of-the-file\n")
    (secrets / "POSTGRES_READ").write_text("postgresql://reader:p@db/podium")
    settings = load_settings()
    assert settings.secret == "of-the-file"
    assert settings.postgres_read == "postgresql://reader:p@db/podium"


def test_the_environment_goes_before_files(secrets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (secrets / "secret").write_text("of-the-file")
    monkeypatch.setenv("SECRET", "of-the-environment")
    assert load_settings().secret == "of-the-environment"


def test_other_names_of_a_setting_are_names_of_files_too(secrets: Path) -> None:
    (secrets / "database_url").write_text("postgresql://writer:p@db/podium")
    assert load_settings().postgres == "postgresql://writer:p@db/podium"


def test_a_value_that_cannot_be_used_is_named_by_its_setting(secrets: Path) -> None:
    (secrets / "postgres").write_text("db/podium")
    with pytest.raises(SettingsError, match=r"^POSTGRES: a connection URL"):
        load_settings()


def test_a_file_that_cannot_be_read_is_one_line(secrets: Path) -> None:
    (secrets / "secret").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match=r"^error getting value for field \"secret\""):
        load_settings()


def test_a_directory_that_is_not_there_is_no_mistake(secrets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(secrets / "none"))
    assert load_settings().secret is None


async def test_a_gateway_takes_posts_that_are_signed_with_the_secret_of_a_file(start: Start, secrets: Path) -> None:
    (secrets / "secret").write_text("marker-of-the-secret")
    podium = await (await start("serve", "--port", "0", SECRET="", CREDENTIALS_DIRECTORY=str(secrets))).ready()
    assert (await podium.post("0xABC")).text == "ok"
