"""Signatures of posted bodies."""

import hmac
from collections.abc import Sequence

from resolvers.errors import PostingDisabled, Unauthenticated


def signature(body: bytes, secret: str) -> str:
    """The HMAC-SHA256 of a body as 64 lower-case hex digits, as posting clients send it in `Authorization`."""
    return hmac.digest(secret.encode(), body, "sha256").hex()


def verify(body: bytes, given: str, secrets: Sequence[str]) -> None:
    """Raise Unauthenticated unless `given` is the signature of the raw body with one of the keys.

    Compared in constant time; PostingDisabled when there is no key at all.
    """
    if not secrets:
        raise PostingDisabled
    given_bytes = given.encode()
    matches = [hmac.compare_digest(signature(body, secret).encode(), given_bytes) for secret in secrets]
    if not any(matches):
        raise Unauthenticated
