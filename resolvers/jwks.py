"""The public keys of whoever issues tokens, fetched from a JWKS URL and kept."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from math import inf
from typing import Any

import httpx
from jwt import PyJWK, PyJWTError

from resolvers.errors import Unavailable
from resolvers.remote_json import fetch_json

ALGORITHMS = frozenset(
    ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "ES256K", "EdDSA")
)
MAX_KEYS = 50
TIMEOUT_S = 3.0
REFRESH_S = 300.0
MAX_AGE_S = 600.0
# Anybody can name keys that do not exist: they must not make this server ask for them again and again.
RETRY_S = 15.0


class Issuer:
    """Whoever signs tokens, known by the keys at a URL.

    Keys are fetched when the first token needs them, again in the background after `REFRESH_S`, and at most every
    `RETRY_S` for an id that is not among them. None is used for more than `MAX_AGE_S` after it was withdrawn, unless
    the server is away: then those that were fetched stay in use.
    """

    def __init__(self, url: str, report: Callable[..., None], clock: Callable[[], float] = time.monotonic) -> None:
        self._url = url
        self._client = httpx.AsyncClient(timeout=TIMEOUT_S)
        self._report = report
        self._clock = clock
        self._keys: list[PyJWK] = []
        self._tried_at = self._fetched_at = -inf
        self._is_away = False
        self._fetching: asyncio.Task[None] | None = None

    async def matching(self, key_id: str | None, algorithm: str) -> list[PyJWK]:
        """The keys that can have signed with this algorithm; Unavailable when there may be one that is out of reach."""
        found = self._known(key_id, algorithm)
        self._fetch_after(RETRY_S if self._is_away or not found else REFRESH_S)
        if self._fetching and (not found or self._may_be_withdrawn):
            await asyncio.shield(self._fetching)
            found = self._known(key_id, algorithm)
        if not found and self._is_away:
            raise Unavailable("the keys that tokens are checked with cannot be fetched")
        return found

    async def close(self) -> None:
        """Give up what is being fetched."""
        if self._fetching:
            self._fetching.cancel()
            with suppress(asyncio.CancelledError):
                await self._fetching
        await self._client.aclose()

    @property
    def _may_be_withdrawn(self) -> bool:
        # After a pause without tokens, the keys are older than any refresh in the background has left them.
        return not self._is_away and self._clock() - self._fetched_at >= MAX_AGE_S

    def _known(self, key_id: str | None, algorithm: str) -> list[PyJWK]:
        fitting = [key for key in self._keys if key.algorithm_name == algorithm]
        return [key for key in fitting if key_id is None or key.key_id in (None, key_id)]

    def _fetch_after(self, age_s: float) -> None:
        if self._fetching is None and self._clock() - self._tried_at >= age_s:
            self._tried_at = self._clock()
            self._fetching = asyncio.create_task(self._refresh(), name="jwks")

    async def _refresh(self) -> None:
        try:
            self._keys = public_keys(await fetch_json(self._client, self._url, TIMEOUT_S))
            self._fetched_at, self._is_away = self._clock(), False
        except Exception as error:  # whatever the other server does, the keys that are known stay in use
            self._is_away = True
            self._report("jwks_fetch_failed", error=error)
        finally:
            self._fetching = None


def public_keys(document: Any) -> list[PyJWK]:
    """The signing keys of a JWKS document; those of unknown kinds are left out, and secret ones always."""
    match document:
        case {"keys": list(given)}:
            keys = [_public_key(jwk) for jwk in given[:MAX_KEYS]]
            return [key for key in keys if key is not None]
        case _:
            raise ValueError("the document has no list of keys")


def _public_key(jwk: Any) -> PyJWK | None:
    if not isinstance(jwk, dict) or jwk.get("use", "sig") != "sig":
        return None
    with suppress(PyJWTError, ValueError, TypeError, ArithmeticError):
        key = PyJWK(jwk)
        if key.algorithm_name in ALGORITHMS:
            return key
    return None
