"""`podium token`, and the settings of identity."""

import pytest
from typer.testing import CliRunner

from gateway.cli import app
from gateway.settings import Settings, SettingsError, load_settings
from gateway.token_command import signed_token
from resolvers.identity import Scope
from tests.harness import TOKEN_SECRET, StartGateway


def run(*arguments: str, **environment: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["token", *arguments], env=environment)
    return result.exit_code, result.output


async def test_a_printed_token_is_taken(start_gateway: StartGateway) -> None:
    settings = {"jwt_secret": TOKEN_SECRET, "jwt_audience": "podium", "jwt_issuer": "https://podium.example"}
    running = await start_gateway(**settings)
    environment = {name.upper(): value for name, value in settings.items()}
    code, token = run("--scope", "publish", "--scope", "watch", "--subject", "me", "--expires", "1h", **environment)
    assert code == 0
    answer = await running.graph("{ identity { subject scopes } }", {"Authorization": f"Bearer {token.strip()}"})
    assert answer.json()["data"]["identity"] == {"subject": "me", "scopes": ["READ", "PUBLISH", "WATCH"]}


@pytest.mark.parametrize(
    ("arguments", "secret", "message"),
    [
        (["--scope", "read"], "", "podium: JWT_SECRET is not set"),
        (["--scope", "read"], "short", "podium: JWT_SECRET: at least 32 bytes"),
        (["--scope", "read", "--expires", "soon"], TOKEN_SECRET, "podium: a Duration is"),
        (["--scope", "everything"], TOKEN_SECRET, "is not one of"),
        ([], TOKEN_SECRET, "--scope"),
    ],
)
def test_what_is_wrong_is_one_line(arguments: list[str], secret: str, message: str) -> None:
    code, output = run(*arguments, JWT_SECRET=secret)
    assert code
    assert message in output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("jwt_secret", "x" * 31, "JWT_SECRET: at least 32 bytes"),
        ("jwt_secret_previous", "x" * 31, "JWT_SECRET_PREVIOUS: at least 32 bytes"),
        ("jwt_secret", "-----BEGIN PUBLIC KEY-----\nxxxxxxxxxxxxxxx", "JWT_SECRET: a secret, no PEM"),
        ("jwt_jwks_url", "id.example/keys", "JWT_JWKS_URL: an http or https URL"),
        ("anonymous_scopes", "read,everything", "ANONYMOUS_SCOPES"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(name: str, value: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        load_settings(**{name: value})


def test_nobody_can_be_given_nothing() -> None:
    assert Settings(_env_file=None, anonymous_scopes="none").anonymous_scopes == ()
    assert Settings(_env_file=None, anonymous_scopes="read, watch").anonymous_scopes == (Scope.READ, Scope.WATCH)


def test_a_previous_key_needs_a_present_one() -> None:
    assert Settings(_env_file=None, jwt_secret_previous=TOKEN_SECRET).jwt_secrets == ()
    with pytest.raises(ValueError, match="JWT_SECRET is not set"):
        signed_token(Settings(_env_file=None), scopes=[Scope.READ], subject=None, expires="1h")
