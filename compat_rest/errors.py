"""Failures in the form of the originals: JSON, which that of the leaderboard sends as plain text."""

from collections.abc import Mapping

import orjson
from starlette.responses import Response

from resolvers.errors import RETRY_AFTER_S, PodiumError, Unauthenticated, Unavailable

PLAIN_TEXT = {"Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff"}
JSON = {"Content-Type": "application/json"}


def error_response(
    error: PodiumError, headers: Mapping[str, str] | None = None, form: Mapping[str, str] = PLAIN_TEXT
) -> Response:
    """`{"error": ...}` with the status of the error; 503 says when to try again, and is never cached."""
    extra = {"Retry-After": str(RETRY_AFTER_S), "Cache-Control": "no-store"} if isinstance(error, Unavailable) else {}
    if isinstance(error, Unauthenticated) and error.challenge:
        extra["WWW-Authenticate"] = error.challenge
    body = orjson.dumps({"error": error.message})
    return Response(body, error.status, headers={**(headers or {}), **form, **extra})
