"""Who asks, and what they may do."""

import time
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from resolvers.errors import Forbidden, PostingDisabled, Unauthenticated
from resolvers.signing import WebhookHeaders, is_signed, verify_webhook
from resolvers.tokens import LEEWAY_S, TokenVerifier, subject_of


class Scope(StrEnum):
    """What a client may do."""

    READ = "read"
    PUBLISH = "publish"
    WATCH = "watch"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks, by what they showed: nothing, a token, the signature of the body, or that of a webhook's message; and
    from which network address, where that is asked for.
    """

    scopes: frozenset[Scope]
    subject: str | None = None
    shown: Literal["nothing", "token", "signature", "webhook"] = "nothing"
    message_id: str | None = None
    expires_at: float | None = None  # in Unix seconds, of a token
    address: str = ""

    @property
    def left_s(self) -> float | None:
        """For how long it counts; None where it has no end."""
        return None if self.expires_at is None else max(0.0, self.expires_at - time.time())

    @property
    def owner(self) -> str:
        """Whose idempotency keys are used: equal keys of different owners are different."""
        return f"token:{self.subject or ''}" if self.shown == "token" else self.shown


@dataclass(frozen=True, slots=True)
class Authenticator:
    """Makes identities of what clients show; everybody has the anonymous scopes, whatever else they have."""

    anonymous_scopes: frozenset[Scope] = frozenset((Scope.READ,))
    secrets: tuple[str, ...] = ()
    tokens: TokenVerifier = field(default_factory=TokenVerifier)

    async def identify(
        self,
        authorization: str,
        body: bytes | None = None,
        webhook: WebhookHeaders | None = None,
        *,
        address: str = "",
    ) -> Identity:
        """Who sent this `Authorization` (empty where there was none), and this body, where a signature may count.

        Raises Unauthenticated for a token or a webhook's signature that is wrong. A signature of the body that is wrong
        gives no scopes: doors that open for everybody open for it as well.
        """
        if webhook is not None and body is not None:
            verify_webhook(body, webhook, self.secrets)
            return Identity(self._scopes(Scope.PUBLISH), shown="webhook", message_id=webhook.id, address=address)
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() == "bearer" and self.tokens.is_configured:
            claims = await self.tokens.claims(token.strip())
            return Identity(
                self._scopes(*scopes_of(claims)),
                subject_of(claims),
                shown="token",
                expires_at=claims["exp"] + LEEWAY_S,
                address=address,
            )
        if authorization and body is not None and is_signed(body, authorization, self.secrets):
            return Identity(self._scopes(Scope.PUBLISH), shown="signature", address=address)
        return Identity(self.anonymous_scopes, address=address)

    @property
    def lets_post(self) -> bool:
        """Whether anybody can post."""
        return bool(self.secrets or self.tokens.is_configured or Scope.PUBLISH in self.anonymous_scopes)

    def require(self, identity: Identity, scope: Scope, what: str) -> None:
        """Raise Forbidden, Unauthenticated or PostingDisabled where `what` needs a scope that the identity has not."""
        if scope in identity.scopes:
            return
        if identity.shown != "nothing":
            raise Forbidden(what, scope, identity.shown)
        if scope is Scope.PUBLISH and not self.lets_post:
            raise PostingDisabled
        message = f"{what} needs the scope {scope}, and the request shows nothing that gives it"
        raise Unauthenticated(message, hint=self._hint(scope))

    def _hint(self, scope: Scope) -> str:
        takes = ["a token as `Authorization: Bearer`"] if self.tokens.is_configured else []
        takes += ["a signature of the body"] if self.secrets and scope is Scope.PUBLISH else []
        advice = f"send {' or '.join(takes)}" if takes else "set JWT_SECRET, for tokens"
        return f"{advice}: docs/identity.md"

    def _scopes(self, *given: Scope) -> frozenset[Scope]:
        # Whoever may withdraw what others did may as well do it.
        return frozenset(Scope) if Scope.ADMIN in given else self.anonymous_scopes.union(given)


def scopes_of(claims: dict[str, Any]) -> set[Scope]:
    """The scopes of a token: words in `scope` (RFC 8693), or a list in `scope` or `scopes`; others mean nothing."""
    words: set[str] = set()
    for given in (claims.get("scope"), claims.get("scopes")):
        if isinstance(given, str):
            words.update(given.split())
        elif isinstance(given, list):
            words.update(word for word in given if isinstance(word, str))
    return {scope for scope in Scope if scope.value in words}
