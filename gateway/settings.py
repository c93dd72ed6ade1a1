"""All settings: the only place that reads the environment, .env, and the files of secrets."""

import os
import re
from datetime import timedelta
from importlib.metadata import version
from ipaddress import ip_network
from math import inf
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from pydantic_settings import SettingsError as SourceError

from resolvers.identity import Scope
from resolvers.tokens import MIN_SECRET_BYTES

VERSION = version("podium")
SECRETS_DIR = Path("/run/secrets")

# What asyncpg and dbmate both can read: they name the URL, or fail without a word for people, where they cannot.
_HOST = r"(?:\[[0-9a-fA-F:.]+\]|[^\[\]:,/?#@]*)(?::\d+)?"
_POSTGRES_URL = re.compile(rf"postgres(?:ql)?://(?:[^/?#\[\]]*@)?{_HOST}(?:,{_HOST})*(?:/[^?#]*)?(?:\?[^#]*)?")
_WRONG_ESCAPE = re.compile(r"%(?![0-9a-fA-F]{2})")
MIN_REPLICA_MAX_LAG = timedelta(seconds=3)
MAX_INT = 2**31 - 1  # of GraphQL, where limits are shown
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


def _replica_lag(value: timedelta) -> timedelta:
    if value < MIN_REPLICA_MAX_LAG:
        raise ValueError("3s or more, since a replica is looked at from time to time")
    return value


def _networks(value: Any) -> Any:
    networks = _words(value)
    for network in networks:
        try:
            ip_network(network)
        except ValueError:
            raise ValueError(f"networks like 10.0.0.0/8 or 2001:db8::/32, not {network}") from None
    return networks


def _limit(least: int) -> Any:
    """A validator of limits; None, or `none`, is no limit."""

    def parse(value: Any) -> int | None:
        if value is None or value == "none":
            return None
        if not re.fullmatch(r"\d{1,10}", str(value).strip(), re.ASCII) or not least <= int(value) <= MAX_INT:
            raise ValueError(f"a whole number from {least} to {MAX_INT}, or none for no limit")
        return int(value)

    return BeforeValidator(parse)


def _rate(value: Any) -> str | None:
    if value is None or value == "none":
        return None
    if not re.fullmatch(r"[1-9]\d{0,8}/(second|minute|hour|day)", str(value).strip(), re.ASCII):
        raise ValueError("so many times a second, minute, hour or day, like 600/minute, or none for no limit")
    return str(value).strip()


def _scopes(value: Any) -> Any:
    return () if value == "none" else _words(value)


def _token_secret(value: str | None) -> str | None:
    if value is not None and len(value.encode()) < MIN_SECRET_BYTES:
        raise ValueError(f"at least {MIN_SECRET_BYTES} bytes, made for instance by `openssl rand -hex 32`")
    if value is not None and "-----BEGIN" in value:
        raise ValueError("a secret, no PEM: publish public keys as a JWKS, and name it in JWT_JWKS_URL")
    return value


def _web_url(value: str | None) -> str | None:
    if value is not None and not re.fullmatch(r"https?://[^/?#\s]+[^#\s]*", value):
        raise ValueError("an http or https URL")
    return value


def _metric_prefix(value: str) -> str:
    if not re.fullmatch(r"[a-zA-Z_:][a-zA-Z0-9_:]*", value):
        raise ValueError("the beginning of a metric's name: letters, digits, _ and :, no digit first")
    return value


Seconds = Annotated[timedelta, _duration_in("s")]
Hours = Annotated[timedelta, _duration_in("h")]
Milliseconds = Annotated[timedelta, _duration_in("ms")]
Networks = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_networks)]
Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words)]
Scopes = Annotated[tuple[Scope, ...], NoDecode, BeforeValidator(_scopes)]
TokenSecret = Annotated[str | None, AfterValidator(_token_secret)]
WebUrl = Annotated[str | None, AfterValidator(_web_url)]
MetricPrefix = Annotated[str, AfterValidator(_metric_prefix)]
PostgresUrl = Annotated[str | None, AfterValidator(_postgres_url)]


class Settings(BaseSettings):
    """The configuration of one gateway; docs/configuration.md explains each setting."""

    model_config = SettingsConfigDict(env_file=".env", env_ignore_empty=True, extra="ignore", populate_by_name=True)

    alarm_after: Seconds = timedelta(seconds=30)
    alert_state: Path | None = None
    alert_webhook: WebUrl = None
    alert_webhook_secret: str | None = None
    anonymous_scopes: Scopes = (Scope.READ,)
    answer_cache_bytes: int = Field(default=64 << 20, ge=0)
    answer_max_age: Annotated[timedelta, _duration_in("s", may_be_zero=True)] = timedelta(0)
    assets_path: str | None = None
    auto_migrate: bool = True
    cache_expiry_s: Seconds = timedelta(seconds=3600)
    cache_update_interval_ms: Milliseconds = timedelta(seconds=1)
    cache_update_timeout_s: Seconds = timedelta(seconds=15)
    catalyst_region_url: str | None = None
    client_timeout_s: Seconds = timedelta(seconds=10)
    cors_origins: Words | None = None
    db_batch_size: int = Field(default=1024, ge=1, le=65_536)
    db_pool_size: int = Field(default=10, ge=1, le=1000)
    db_save_latency_ms: Milliseconds = timedelta(seconds=0.1)
    db_timeout: Seconds = timedelta(seconds=20)
    discord_webhook: WebUrl = None
    documents: Path | None = None
    drain_delay: Annotated[timedelta, _duration_in("s", may_be_zero=True)] = timedelta(seconds=0.5)
    duration: str | None = None
    env: Literal["development", "production"] = "development"
    ffmpeg: str | None = None
    forwarded_allow_ips: str = "127.0.0.1"
    heartbeat_interval: Seconds = timedelta(seconds=5)
    host: str = "127.0.0.1"
    ingest_url: str | None = Field(default=None, validation_alias=AliasChoices("ingest_url", "injest_url"))
    introspection: bool | None = None
    jwt_audience: str | None = None
    jwt_issuer: str | None = None
    jwt_jwks_url: WebUrl = None
    jwt_secret: TokenSecret = None
    jwt_secret_previous: TokenSecret = None
    legacy_reads_open: bool = True
    legacy_writes_open: bool = True
    log_expiry_h: Hours = timedelta(hours=280_320)
    log_format: Literal["auto", "console", "json"] = "auto"
    log_level: Literal["DEBUG", "INFO", "WARN", "ERROR"] = "INFO"
    max_aliases: Annotated[int | None, _limit(0)] = 15
    max_batch: int = Field(default=0, ge=0, le=100)
    max_body_bytes: int = Field(default=1 << 20, ge=1024, le=MAX_INT)
    max_cost: Annotated[int | None, _limit(1)] = 5000
    max_depth: Annotated[int | None, _limit(1)] = 10
    max_directives: Annotated[int | None, _limit(0)] = 50
    max_document_length: Annotated[int | None, _limit(1)] = 1 << 16
    max_errors: int = Field(default=20, ge=1, le=1000)
    max_introspection_depth: Annotated[int | None, _limit(1)] = 15
    max_pending_connections: int = Field(default=8192, ge=1, le=65_535)
    max_tokens: Annotated[int | None, _limit(1)] = 1000
    max_variable_values: Annotated[int | None, _limit(0)] = 50_000
    metrics_port: int = Field(default=9090, ge=0, le=65_535)
    num_threads: str | None = None
    otel_exporter_otlp_endpoint: WebUrl = None
    otel_service_name: str = "podium"
    pager_duty_api_key: str | None = None
    pager_duty_url: WebUrl = None
    payload_retention_days: int | None = Field(default=None, ge=1, le=36_500)
    persisted_documents_bytes: int = Field(default=4 << 20, ge=0)
    pipelines_cache_timeout: Seconds = timedelta(seconds=60)
    playback_allow: Networks | None = None
    playback_url: str | None = None
    podium_data_dir: Path = Path("podium-data")
    port: int = Field(default=8080, ge=0, le=65_535)
    postgres: PostgresUrl = Field(default=None, validation_alias=AliasChoices("postgres", "database_url"))
    postgres_direct: PostgresUrl = None
    postgres_owner: PostgresUrl = None
    postgres_read: PostgresUrl = None
    probe_retention_days: int | None = Field(default=None, ge=1, le=36_500)
    probe_runs_token: str | None = None
    probe_runs_url: WebUrl = None
    purge_interval_s: Seconds = timedelta(seconds=600)
    region: str | None = None
    regions_cache_timeout: Seconds = timedelta(seconds=60)
    replica_max_lag: Annotated[timedelta, _duration_in("s"), AfterValidator(_replica_lag)] = timedelta(seconds=5)
    report_url: WebUrl = None
    secret: str | None = None
    secret_previous: str | None = None
    slow_operation: Annotated[timedelta, _duration_in("s", may_be_zero=True)] = timedelta(seconds=1)
    source_file: Path | None = None
    start_time_window: Hours = timedelta(hours=24)
    stats_retention_days: int | None = Field(default=None, ge=1, le=36_500)
    stream_id_expiry_h: Annotated[timedelta, _duration_in("h", may_be_zero=True)] = timedelta(hours=720)
    stream_lease_s: Annotated[timedelta, _duration_in("s", may_be_zero=True)] = timedelta(0)
    stream_limit: int = Field(default=3, ge=0, le=1000)
    stream_mint_rate: Annotated[str | None, BeforeValidator(_rate)] = "600/minute"
    stream_monitor_default_prefix: MetricPrefix = "stream_monitor_"
    stream_monitor_label_duration: str | None = None
    stream_monitor_label_region: str | None = None
    telemetry_allow: Networks | None = None
    telemetry_buffer_bytes: int = Field(default=16 << 20, ge=1 << 20)
    telemetry_buffer_messages: int = Field(default=32_768, ge=1024)
    telemetry_token: str | None = None
    workers: int = Field(default=1, ge=1, le=64)
    ws_max_payload: int = Field(default=512 << 10, ge=1024, le=64 << 20)

    @property
    def secrets(self) -> tuple[str, ...]:
        """The keys that posts may be signed with, the present one first; empty when posting is off."""
        return _live_keys(self.secret, self.secret_previous)

    @property
    def jwt_secrets(self) -> tuple[str, ...]:
        """The keys that tokens may be signed with, the present one first."""
        return _live_keys(self.jwt_secret, self.jwt_secret_previous)

    @property
    def http_origins(self) -> tuple[str, ...]:
        """The origins whose pages may read answers: all, unless some are named."""
        return ("*",) if self.cors_origins is None else self.cors_origins

    @property
    def named_origins(self) -> tuple[str, ...]:
        """The origins whose pages may open WebSockets, and send mutations as anybody, beside this server's own."""
        return self.cors_origins or ()

    @property
    def read_timeout_s(self) -> float:
        """How long a question may take in the database: 5 s, or DB_TIMEOUT when that is shorter."""
        return min(5.0, self.db_timeout.total_seconds())

    @property
    def slow_operation_s(self) -> float:
        """From how long on operations are logged; infinite when none is."""
        return self.slow_operation.total_seconds() or inf

    @property
    def shows_timing(self) -> bool:
        """Whether answers tell how long each step took."""
        return self.env == "development"

    @property
    def shows_schema(self) -> bool:
        """Whether clients may ask for the schema and get suggestions."""
        return self.env == "development" if self.introspection is None else self.introspection


def _live_keys(present: str | None, previous: str | None) -> tuple[str, ...]:
    return tuple(key for key in (present, previous) if key) if present else ()


def load_settings(**given: Any) -> Settings:
    """The settings from the environment, .env and secrets; what is given here goes before. SettingsError when one is
    wrong.
    """
    try:
        chosen: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        chosen["_secrets_dir"] = _secrets_dirs()
        return Settings(**chosen)
    except ValidationError as error:
        lines = [
            f"{str(item['loc'][0]).upper()}: {item['msg'].removeprefix('Value error, ')}" for item in error.errors()
        ]
        raise SettingsError("\n".join(lines)) from None
    except SourceError as error:
        raise SettingsError(f"{error}: {error.__cause__}") from None


def _secrets_dirs() -> list[Path]:
    """Where containers and systemd put files that are named like settings; a later one goes before."""
    named = (SECRETS_DIR, Path(os.environ.get("CREDENTIALS_DIRECTORY") or SECRETS_DIR))
    return [directory for directory in dict.fromkeys(named) if directory.is_dir()]
