"""An endpoint that answers every method itself, in the form that its old clients know."""

from collections.abc import Awaitable, Callable, Mapping

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from compat_rest.errors import PLAIN_TEXT


class AnyMethod:
    """An ASGI application around a function; Starlette would answer other methods in its own form."""

    def __init__(self, answer: Callable[[Request], Awaitable[Response]]) -> None:
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        response = await self._answer(Request(scope, receive, send))
        await response(scope, receive, send)


def other_method(request: Request, allowed: str, form: Mapping[str, str] = PLAIN_TEXT) -> Response:
    """The answer to a method that is not allowed; OPTIONS is answered as browsers ask before they send another one."""
    allow = {"Allow": f"{allowed}, OPTIONS"}
    if request.method == "OPTIONS":
        cors = {"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Methods": allow["Allow"]}
        return Response(status_code=204, headers={**allow, **cors, "Access-Control-Allow-Headers": "*"})
    body = orjson.dumps({"error": f"{request.method} is not allowed here"})
    return Response(body, 405, headers={**allow, **form})


async def nothing_here(request: Request, error: Exception) -> Response:
    """The answer for a path that nobody has: empty, as the original of telemetry answers."""
    return Response(status_code=404)
