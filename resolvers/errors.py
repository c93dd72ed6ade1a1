"""Everything that can go wrong, as one family; doors render it, each in its own form.

PodiumError                 code                  status
├── InvalidArgument         INVALID_ARGUMENT      400
├── InvalidRegion           INVALID_REGION        400
├── NotFound                NOT_FOUND             404
├── AlreadyExists           ALREADY_EXISTS        409
├── TooMany                 TOO_MANY              400
├── Unauthenticated         UNAUTHENTICATED       403
├── Forbidden               FORBIDDEN             403
├── ForeignOrigin           FOREIGN_ORIGIN        403
├── PostingDisabled         POSTING_DISABLED      403
├── IdempotencyConflict     IDEMPOTENCY_CONFLICT  409
├── PayloadTooLarge         PAYLOAD_TOO_LARGE     413
├── StreamLimitReached      STREAM_LIMIT_REACHED  403
├── RateLimited             RATE_LIMITED          429
├── TooManySubscriptions    TOO_MANY_SUBSCRIPTIONS 429
├── SlowConsumer            SLOW_CONSUMER         503
├── MayHaveMissed           MAY_HAVE_MISSED       503
├── Unavailable             UNAVAILABLE           503
│   ├── NotMigrated         NOT_MIGRATED          503
│   ├── Overloaded          OVERLOADED            503
│   └── TimedOut            TIMED_OUT             503
└── Internal                INTERNAL              500

Codes are stable and never reused; docs/errors.md explains each.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import asyncpg

from db.pool import PoolExhausted

RETRY_AFTER_S = 1

Details = Mapping[str, Any]  # what a program needs beside the code


class PodiumError(Exception):
    """A failure with a stable code, an HTTP status, a message for the client and a hint what to do."""

    code = "INTERNAL"
    status = 500

    def __init__(
        self, message: str, *, hint: str | None = None, field: str | None = None, details: Details | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.field = field
        self.details = details or {}


class InvalidArgument(PodiumError):
    """The request asks for something that cannot be; `field` names what is wrong."""

    code = "INVALID_ARGUMENT"
    status = 400


class InvalidRegion(PodiumError):
    """A result names a region that is not known, or not for this kind of job."""

    code = "INVALID_REGION"
    status = 400


class NotFound(PodiumError):
    """What the request names is not there; `indexes` says which of several, counted from 0."""

    code = "NOT_FOUND"
    status = 404

    def __init__(self, message: str, *, field: str, indexes: tuple[int, ...] = ()) -> None:
        super().__init__(message, field=field)
        self.indexes = indexes


class AlreadyExists(PodiumError):
    """What the request wants to add is there already."""

    code = "ALREADY_EXISTS"
    status = 409


class TooMany(PodiumError):
    """The request is about more results than one request may change."""

    code = "TOO_MANY"
    status = 400


class Unauthenticated(PodiumError):
    """What the client shows is missing or wrong; `challenge` is what HTTP clients are told of a wrong token."""

    code = "UNAUTHENTICATED"
    status = 403
    challenge: str | None = None

    def __init__(
        self,
        message: str = "request can not be authenticated",
        *,
        hint: str = "sign the exact body with SECRET: docs/rest.md",
    ) -> None:
        super().__init__(message, hint=hint)

    @classmethod
    def by_token(cls, why: str) -> "Unauthenticated":
        """A token is wrong: 401, because with another one the same request may work."""
        error = cls(why, hint="get a new token: docs/identity.md")
        error.status = 401
        error.challenge = 'Bearer error="invalid_token"'
        return error


class Forbidden(PodiumError):
    """The client is known, and may not do this."""

    code = "FORBIDDEN"
    status = 403

    def __init__(self, what: str, scope: str, shown: str) -> None:
        message = f"{what} needs the scope {scope}, which this {shown} does not give"
        super().__init__(message, hint=f"ask for a token with the scope {scope}: docs/identity.md")


class ForeignOrigin(PodiumError):
    """A page of another origin wants to change something, and shows nothing that only its user could know."""

    code = "FOREIGN_ORIGIN"
    status = 403

    def __init__(self, origin: str) -> None:
        message = f"pages of {origin[:200]} may change nothing here without a token or a signature"
        super().__init__(message, hint="show one, or name the origin in CORS_ORIGINS: docs/configuration.md#cors")


class PostingDisabled(PodiumError):
    """Neither a SECRET nor tokens are configured, so nobody can post."""

    code = "POSTING_DISABLED"
    status = 403

    def __init__(self) -> None:
        hint = "set SECRET, or JWT_SECRET for tokens, and start again"
        super().__init__("posting is disabled: this server has no SECRET", hint=hint)


class IdempotencyConflict(PodiumError):
    """The idempotency key stands for other results already."""

    code = "IDEMPOTENCY_CONFLICT"
    status = 409

    def __init__(self, field: str) -> None:
        message = f"{field}: it was used with other results"
        super().__init__(message, hint="use a new key for new results", field=field)


class PayloadTooLarge(PodiumError):
    """The body is larger than this server reads."""

    code = "PAYLOAD_TOO_LARGE"
    status = 413

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"the body is larger than {limit_bytes} bytes")


class StreamLimitReached(PodiumError):
    """A viewer watches as many streams as it may."""

    code = "STREAM_LIMIT_REACHED"
    status = 403

    def __init__(self) -> None:
        super().__init__(
            "this viewer watches as many streams as it may", hint="deactivate one, or have the limit raised"
        )


class RateLimited(PodiumError):
    """A client does something more often than it may; `retry_after_s` is when it may again."""

    code = "RATE_LIMITED"
    status = 429

    def __init__(self, rate: str, retry_after_s: int) -> None:
        super().__init__(f"more often than {rate}", hint=f"try again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


class TooManySubscriptions(PodiumError):
    """A connection, or the server, has as many operations as it may."""

    code = "TOO_MANY_SUBSCRIPTIONS"
    status = 429


class SlowConsumer(PodiumError):
    """A subscriber does not read as fast as events come."""

    code = "SLOW_CONSUMER"
    status = 503

    def __init__(self) -> None:
        super().__init__("events come faster than they are read", hint="narrow the filter, or ask for fewer fields")


class MayHaveMissed(PodiumError):
    """More was recorded while the database was away than is caught up with: between `since` and `until`."""

    code = "MAY_HAVE_MISSED"
    status = 503

    def __init__(self, since: datetime | None, until: datetime | None) -> None:
        super().__init__(
            "results may have been missed",
            hint="page through stats from since to until, and subscribe again",
            details={"since": since, "until": until},
        )


class Unavailable(PodiumError):
    """The database cannot be reached; the same request may work soon."""

    code = "UNAVAILABLE"
    status = 503

    def __init__(
        self,
        message: str = "the database is not available",
        *,
        hint: str | None = None,
        details: Details | None = None,
    ) -> None:
        super().__init__(message, hint=hint or f"try again in {RETRY_AFTER_S} s", details=details)


class NotMigrated(Unavailable):
    """The database has not the tables of this version."""

    code = "NOT_MIGRATED"

    def __init__(self) -> None:
        super().__init__("the database lacks podium's tables", hint="run `podium migrate up`")


class Overloaded(Unavailable):
    """More work is waiting than this server takes on."""

    code = "OVERLOADED"


class TimedOut(Unavailable):
    """The database took too long."""

    code = "TIMED_OUT"


class Internal(PodiumError):
    """A mistake of ours; what happened is in the log, never in the answer."""

    def __init__(self) -> None:
        super().__init__("internal error", hint="the log has the details under the request id")


# A connection that is refused counts as well: a login, a database or a parameter that the server does not know. So does
# a statement that a replica gives up (40001), because the primary has removed what it reads.
_UNAVAILABLE_CLASSES = ("08", "28", "3D", "40001", "42704", "53", "57P", "25006", "F0", "58")
_TIMED_OUT = ("57014", "55P03", "25P03")
_NOT_MIGRATED = ("3F000", "42P01", "42703", "42883")
_TEXT_THAT_CANNOT_BE_STORED = ("22021", "22P05")


def from_driver(error: Exception) -> Exception:
    """The family's error for what the driver raised; anything that is not listed here stays as it is."""
    if isinstance(error, PoolExhausted):
        return Overloaded("all database connections are busy")
    if isinstance(error, TimeoutError | asyncpg.QueryCanceledError):
        return TimedOut("the database took too long", hint="ask for a shorter window, or try again")
    if isinstance(error, asyncpg.PostgresError):
        return _from_sqlstate(error.sqlstate or "", error)
    if isinstance(error, OSError | asyncpg.InterfaceError | asyncpg.InternalClientError):
        return Unavailable()
    return error


def _from_sqlstate(sqlstate: str, error: Exception) -> Exception:
    if sqlstate in _TIMED_OUT:
        return TimedOut("the database took too long")
    if sqlstate.startswith(_UNAVAILABLE_CLASSES):
        return Unavailable()
    if sqlstate in _NOT_MIGRATED:
        return NotMigrated()
    if sqlstate in _TEXT_THAT_CANNOT_BE_STORED:
        return InvalidArgument("text contains a NUL character, which cannot be stored")
    return error
