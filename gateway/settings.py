"""All settings: the only place that reads the environment and .env."""

import re
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

VERSION = version("podium")

# What asyncpg and dbmate both can read: they name the URL, or fail without a word for people, where they cannot.
_HOST = r"(?:\[[0-9a-fA-F:.]+\]|[^\[\]:,/?#@]*)(?::\d+)?"
_POSTGRES_URL = re.compile(rf"postgres(?:ql)?://(?:[^/?#\[\]]*@)?{_HOST}(?:,{_HOST})*(?:/[^?#]*)?(?:\?[^#]*)?")
_WRONG_ESCAPE = re.compile(r"%(?![0-9a-fA-F]{2})")
_UNITS_S = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400}


class SettingsError(Exception):
    """A setting is wrong; the message is one line per mistake."""


def _duration_in(default_unit: str, *, may_be_zero: bool = False) -> Any:
    """A validator of durations such as `90s` or `24h`; a plain number has the default unit."""

    def parse(value: Any) -> timedelta:
        if isinstance(value, timedelta):
            return value
        match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)?", str(value).strip())
        if match is None or not (may_be_zero or float(match[1])):
            raise ValueError(f"a positive number with an optional unit (ms, s, m, h, d), like 24{default_unit}")
        return timedelta(seconds=float(match[1]) * _UNITS_S[match[2] or default_unit])

    return BeforeValidator(parse)


def _words(value: Any) -> Any:
    return tuple(word.strip() for word in value.split(",") if word.strip()) if isinstance(value, str) else value


def _postgres_url(value: str | None) -> str | None:
    if value is not None and (not _POSTGRES_URL.fullmatch(value) or _WRONG_ESCAPE.search(value)):
        raise ValueError("a connection URL, like postgresql://user:password@host:5432/podium")
    return value


Seconds = Annotated[timedelta, _duration_in("s")]
Hours = Annotated[timedelta, _duration_in("h")]
Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words)]
PostgresUrl = Annotated[str | None, AfterValidator(_postgres_url)]


class Settings(BaseSettings):
    """The configuration of one gateway; docs/configuration.md explains each setting."""

    model_config = SettingsConfigDict(env_file=".env", env_ignore_empty=True, extra="ignore", populate_by_name=True)

    auto_migrate: bool = True
    catalyst_region_url: str | None = None
    cors_origins: Words = ("*",)
    db_pool_size: int = Field(default=10, ge=1, le=1000)
    db_timeout: Seconds = timedelta(seconds=20)
    drain_delay: Annotated[timedelta, _duration_in("s", may_be_zero=True)] = timedelta(seconds=0.5)
    env: Literal["development", "production"] = "development"
    forwarded_allow_ips: str = "127.0.0.1"
    host: str = "127.0.0.1"
    introspection: bool | None = None
    log_format: Literal["auto", "console", "json"] = "auto"
    log_level: Literal["DEBUG", "INFO", "WARN", "ERROR"] = "INFO"
    max_body_bytes: int = Field(default=1 << 20, ge=1024)
    pipelines_cache_timeout: Seconds = timedelta(seconds=60)
    podium_data_dir: Path = Path("podium-data")
    port: int = Field(default=8080, ge=0, le=65_535)
    postgres: PostgresUrl = Field(default=None, validation_alias=AliasChoices("postgres", "database_url"))
    postgres_direct: PostgresUrl = None
    postgres_owner: PostgresUrl = None
    postgres_read: PostgresUrl = None
    regions_cache_timeout: Seconds = timedelta(seconds=60)
    secret: str | None = None
    secret_previous: str | None = None
    start_time_window: Hours = timedelta(hours=24)

    @property
    def secrets(self) -> tuple[str, ...]:
        """The keys that posts may be signed with, the present one first; empty when posting is off."""
        return tuple(key for key in (self.secret, self.secret_previous) if key) if self.secret else ()

    @property
    def read_timeout_s(self) -> float:
        """How long a question may take in the database: 5 s, or DB_TIMEOUT when that is shorter."""
        return min(5.0, self.db_timeout.total_seconds())

    @property
    def shows_schema(self) -> bool:
        """Whether clients may ask for the schema and get suggestions."""
        return self.env == "development" if self.introspection is None else self.introspection


def load_settings(**given: Any) -> Settings:
    """The settings from the environment and .env; what is given here goes before. SettingsError when one is wrong."""
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        lines = [
            f"{str(item['loc'][0]).upper()}: {item['msg'].removeprefix('Value error, ')}" for item in error.errors()
        ]
        raise SettingsError("\n".join(lines)) from None
