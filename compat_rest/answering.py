"""The old URLs that are read: from a query string to an answer that is kept, shared or computed, and its headers."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from compat_rest.endpoint import AnyMethod, other_method
from compat_rest.errors import error_response
from compat_rest.questions import Parse, query_parameters
from compat_rest.tagged import tagged
from resolvers.answers import Answer, Answers, digest_of
from resolvers.errors import PodiumError
from resolvers.filters import StatFilter
from resolvers.identity import Authenticator, Scope
from resolvers.reading import Reads

READ_HEADERS = {
    "Content-Type": "application/json",
    "Access-Control-Allow-Origin": "*",
    "Cache-Control": "public, max-age=30, stale-while-revalidate=15",
}
PRIVATE_HEADERS = READ_HEADERS | {"Cache-Control": "private, no-store", "Vary": "Authorization"}

Read = Callable[[StatFilter, Reads], Awaitable[Any]]
Widening = Callable[[StatFilter, Reads], Awaitable[str | None]]


async def never_widened(wanted: StatFilter, reads: Reads) -> None:
    """The window is that which was asked for."""


@dataclass(frozen=True)
class WindowAnswer(Answer):
    """An answer with the interval that it is of, where that is wider than what was asked for."""

    window: str | None = None


@dataclass(frozen=True, slots=True)
class ReadEndpoint:
    """One URL: what its parameters mean, what is answered to that, and which interval that is of if it is a wider one.

    Who asks matters for whether they are answered, and not for what: so an answer is kept for all of them.
    """

    path: str
    parse: Parse
    read: Read
    answers: Answers[WindowAnswer]
    authenticator: Authenticator
    is_open: bool
    widening: Widening = never_widened

    def route(self) -> Route:
        """The exact path."""
        return Route(self.path, AnyMethod(self.respond))

    async def respond(self, request: Request) -> Response:
        """The answer, or that the client has it, or why there is none."""
        if request.method not in ("GET", "HEAD"):
            return other_method(request, "GET, HEAD")
        headers = READ_HEADERS if self.is_open else PRIVATE_HEADERS
        try:
            if not self.is_open:
                await self._require_read(request)
            wanted = self.parse(query_parameters(request.scope["query_string"]))
            key = digest_of(orjson.dumps((self.path, wanted)))
            answer = await self.answers.get(key, partial(self._compute, wanted))
        except PodiumError as error:
            return error_response(error, headers)
        return tagged(answer, request, headers | {"Podium-Window": answer.window} if answer.window else headers)

    async def _compute(self, wanted: StatFilter, reads: Reads) -> WindowAnswer:
        window = await self.widening(wanted, reads)
        return WindowAnswer(orjson.dumps(await self.read(wanted, reads)), may_be_kept=True, window=window)

    async def _require_read(self, request: Request) -> None:
        identity = await self.authenticator.identify(request.headers.get("authorization", ""))
        self.authenticator.require(identity, Scope.READ, self.path.removeprefix("/api/"))
