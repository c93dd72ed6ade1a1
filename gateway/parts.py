"""Parts of a gateway, made of its settings."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from db.pool import Database, Pool, PoolOptions
from db.replication import Probe
from db.routing import RoutedReads, Source
from gateway.settings import Settings, SettingsError
from resolvers.errors import Overloaded, TimedOut, Unavailable, from_driver
from resolvers.identity import Authenticator
from resolvers.jwks import Issuer
from resolvers.replica import Replica
from resolvers.tokens import TokenVerifier
from schema.limits import Limits
from schema.operations import Operations
from schema.root import GRAPHQL_SCHEMA

if TYPE_CHECKING:
    from gateway.spans import Spans

DIRECT_CONNECTIONS = 3  # past pgbouncer, for what cannot go through it


@dataclass(frozen=True, slots=True)
class Urls:
    """Connection URLs: where to write and where to read."""

    write: str
    read: str


def database_of(
    settings: Settings,
    urls: Urls,
    wrote: Callable[[frozenset[str]], None],
    reads_moved: Callable[[Source, str], None],
) -> Database:
    """Where a gateway writes and reads; `wrote` is told of tables that it may have changed, `reads_moved` of where
    questions lead to, and why.
    """
    options = PoolOptions(
        size=settings.db_pool_size,
        timeout_s=settings.read_timeout_s,
        pooled_by_pgbouncer=settings.postgres_direct is not None,
    )
    write_options = replace(options, timeout_s=settings.db_timeout.total_seconds())
    write = Pool(urls.write, write_options, from_driver, wrote)
    direct = _direct_pool(settings, write_options)
    options = replace(options, for_questions=True)
    read = Pool(urls.read, options, from_driver)
    if settings.postgres_read is None:
        return Database(write=write, read=read, direct=direct)
    return Database(write, RoutedReads(read, Pool(urls.write, options, from_driver), _is_away, reads_moved), direct)


def _direct_pool(settings: Settings, options: PoolOptions) -> Pool | None:
    if settings.postgres_direct is None:
        return None
    options = replace(options, size=DIRECT_CONNECTIONS, pooled_by_pgbouncer=False)
    return Pool(settings.postgres_direct, options, from_driver)


def replica_of(settings: Settings, urls: Urls, db: Database) -> Replica | None:
    """Who decides where questions lead to, if there is a choice."""
    if not isinstance(db.read, RoutedReads):
        return None
    primary = Probe(settings.postgres_direct or urls.write)
    return Replica(db.read, primary, Probe(urls.read), settings.replica_max_lag.total_seconds())


def _is_away(error: Exception) -> bool:
    # One that is slow or busy answers others, and the primary has enough to do.
    return isinstance(error, Unavailable) and not isinstance(error, Overloaded | TimedOut)


def authenticator_of(settings: Settings, issuer: Issuer | None) -> Authenticator:
    """Who a gateway believes that asks."""
    tokens = TokenVerifier(
        secrets=settings.jwt_secrets,
        find_keys=issuer.matching if issuer else None,
        audience=settings.jwt_audience,
        issuer=settings.jwt_issuer,
    )
    return Authenticator(frozenset(settings.anonymous_scopes), settings.secrets, tokens)


def operations_of(settings: Settings) -> Operations:
    """What a gateway with these settings executes."""
    return Operations(GRAPHQL_SCHEMA, introspection=settings.shows_schema, limits=limits_of(settings))


def limits_of(settings: Settings) -> Limits:
    """How large documents may be."""
    return Limits(**{field.name: getattr(settings, field.name) for field in fields(Limits)})


def spans_of(settings: Settings) -> "Spans | None":
    """Where a gateway sends spans, if anywhere; SettingsError when what it needs for that is not installed."""
    if settings.otel_exporter_otlp_endpoint is None:
        return None
    try:
        from gateway.spans import Spans
    except ImportError:
        message = "OTEL_EXPORTER_OTLP_ENDPOINT: spans need the extra otel: pip install -r requirements-otel.txt"
        raise SettingsError(message) from None
    return Spans(settings.otel_exporter_otlp_endpoint, settings.otel_service_name)
