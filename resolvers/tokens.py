"""Bearer tokens: JWTs signed with a secret that both sides know, or with a key whose public half is published."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jwt
from jwt import PyJWK

from resolvers.errors import Unauthenticated
from resolvers.jwks import ALGORITHMS

SECRET_ALGORITHM = "HS256"  # noqa: S105  the name of an algorithm
MIN_SECRET_BYTES = 32
MAX_TOKEN_LENGTH = 8192
MAX_SUBJECT_LENGTH = 200
LEEWAY_S = 30

FindKeys = Callable[[str | None, str], Awaitable[list[PyJWK]]]

# What is told of a token says nothing that is in it.
_REASONS: dict[type[Exception], str] = {
    jwt.ExpiredSignatureError: "the token has expired",
    jwt.ImmatureSignatureError: "the token is not valid yet",
    jwt.InvalidIssuedAtError: "the token's iat is wrong",
    jwt.InvalidAudienceError: "the token is for another audience",
    jwt.InvalidIssuerError: "the token is of another issuer",
    jwt.MissingRequiredClaimError: "the token lacks a claim: exp, or aud or iss where this server asks for them",
    jwt.InvalidSignatureError: "the token's signature fits no key",
}


@dataclass(frozen=True, slots=True)
class TokenVerifier:
    """Checks tokens against the secrets, the present one first, and against published keys; either may be absent."""

    secrets: tuple[str, ...] = ()
    find_keys: FindKeys | None = None
    audience: str | None = None
    issuer: str | None = None

    @property
    def is_configured(self) -> bool:
        """Whether there is any token that this server takes."""
        return bool(self.secrets or self.find_keys)

    async def claims(self, token: str) -> dict[str, Any]:
        """What a token claims; Unauthenticated says what is wrong with it, Unavailable that its key is out of reach."""
        if len(token) > MAX_TOKEN_LENGTH:
            raise Unauthenticated.by_token(f"the token is longer than {MAX_TOKEN_LENGTH} characters")
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError):
            raise Unauthenticated.by_token("this is no token") from None
        return self._decoded(token, await self._keys(header))

    async def _keys(self, header: dict[str, Any]) -> Sequence[str | PyJWK]:
        # The header chooses among kinds of keys, and each key is for one algorithm only.
        algorithm = header.get("alg")
        if algorithm == SECRET_ALGORITHM and self.secrets:
            return self.secrets
        if self.find_keys and isinstance(algorithm, str) and algorithm in ALGORITHMS:
            return await self.find_keys(header.get("kid"), algorithm)
        raise Unauthenticated.by_token("the token's algorithm is not accepted")

    def _decoded(self, token: str, keys: Sequence[str | PyJWK]) -> dict[str, Any]:
        for key in keys:
            try:
                return self._decoded_with(token, key)
            except jwt.InvalidSignatureError:
                continue
            except (jwt.PyJWTError, ValueError, TypeError, ArithmeticError) as error:
                raise Unauthenticated.by_token(_REASONS.get(type(error), "the token is malformed")) from None
        raise Unauthenticated.by_token(_REASONS[jwt.InvalidSignatureError])

    def _decoded_with(self, token: str, key: str | PyJWK) -> dict[str, Any]:
        return jwt.decode(
            token,
            key,
            algorithms=[key.algorithm_name if isinstance(key, PyJWK) else SECRET_ALGORITHM],
            audience=self.audience,
            issuer=self.issuer,
            leeway=LEEWAY_S,
            options={"require": self._required(), "enforce_minimum_key_length": True},
        )

    def _required(self) -> list[str]:
        wanted = {"exp": True, "aud": self.audience, "iss": self.issuer}
        return [claim for claim, is_required in wanted.items() if is_required]


def subject_of(claims: dict[str, Any]) -> str | None:
    """Who a token is about; Unauthenticated for what cannot be shown or stored."""
    subject: str = claims.get("sub") or ""
    if len(subject) > MAX_SUBJECT_LENGTH or not subject.isprintable():
        raise Unauthenticated.by_token(f"the token's sub is not {MAX_SUBJECT_LENGTH} printable characters at most")
    return subject or None
