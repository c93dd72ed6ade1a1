"""`podium token`: a token signed with JWT_SECRET, for those who have no issuer of their own."""

import sys
from datetime import UTC, datetime
from typing import Annotated

import jwt
import typer

from gateway.settings import Settings, SettingsError, load_settings
from resolvers.identity import Scope
from resolvers.times import parse_duration
from resolvers.tokens import SECRET_ALGORITHM


def token(
    scope: Annotated[list[Scope], typer.Option(metavar="|".join(Scope), help="What it may do; repeat it for several.")],
    subject: Annotated[str | None, typer.Option(help="Whom it is for; shown in the audit log.")] = None,
    expires: Annotated[str, typer.Option(help="How long it is valid, like 12h or 30d.")] = "30d",
) -> None:
    """Print a token for `Authorization: Bearer`, signed with JWT_SECRET."""
    try:
        typer.echo(signed_token(load_settings(), scopes=scope, subject=subject, expires=expires))
    except (SettingsError, ValueError) as error:
        typer.echo(f"podium: {error}", err=True)
        sys.exit(1)


def signed_token(settings: Settings, *, scopes: list[Scope], subject: str | None, expires: str) -> str:
    """A token that this server takes; ValueError where it has no JWT_SECRET or a value cannot be."""
    if not settings.jwt_secret:
        raise ValueError("JWT_SECRET is not set: `openssl rand -hex 32` makes one, which the server needs as well")
    now = datetime.now(UTC)
    claims = {
        "sub": subject,
        "scope": " ".join(scopes),
        "iat": now,
        "exp": now + parse_duration(expires),
        "aud": settings.jwt_audience,
        "iss": settings.jwt_issuer,
    }
    present = {name: claim for name, claim in claims.items() if claim is not None}
    return jwt.encode(present, settings.jwt_secret, SECRET_ALGORITHM)
