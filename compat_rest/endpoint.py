"""An endpoint that answers every method itself, in the form that its old clients know."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send


class AnyMethod:
    """An ASGI application around a function; Starlette would answer other methods in its own form."""

    def __init__(self, answer: Callable[[Request], Awaitable[Response]]) -> None:
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        response = await self._answer(Request(scope, receive, send))
        await response(scope, receive, send)
