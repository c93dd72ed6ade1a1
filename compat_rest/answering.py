"""The old URLs that are read: from a request to an answer that is kept, shared or computed, and its headers."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from compat_rest.endpoint import AnyMethod, other_method
from compat_rest.errors import PLAIN_TEXT, error_response
from compat_rest.tagged import tagged
from resolvers.answers import Answer, Answers, digest_of
from resolvers.errors import PodiumError
from resolvers.identity import Authenticator, Scope
from resolvers.reading import Reads

READ_HEADERS = {
    "Content-Type": "application/json",
    "Access-Control-Allow-Origin": "*",
    "Cache-Control": "public, max-age=30, stale-while-revalidate=15",
}
PRIVATE = {"Cache-Control": "private, no-store", "Vary": "Authorization"}

Question = TypeVar("Question")
Read = Callable[[Question, Reads], Awaitable[Any]]
Widening = Callable[[Question, Reads], Awaitable[str | None]]


async def never_widened(wanted: Any, reads: Reads) -> None:
    """The window is that which was asked for."""


@dataclass(frozen=True)
class WindowAnswer(Answer):
    """An answer with the interval that it is of, where that is wider than what was asked for."""

    window: str | None = None


@dataclass(frozen=True, slots=True)
class ReadEndpoint(Generic[Question]):
    """One URL: what a request means, what is answered to that, and which interval that is of if it is a wider one.

    A question is anything that orjson encodes, in one way. Who asks matters for whether they are answered, and not for
    what: so an answer is kept for all of them.
    """

    path: str
    parse: Callable[[Request], Question]
    read: Read[Question]
    answers: Answers[WindowAnswer]
    authenticator: Authenticator
    is_open: bool
    widening: Widening[Question] = never_widened
    headers: Mapping[str, str] = field(default_factory=lambda: READ_HEADERS)
    form_of_errors: Mapping[str, str] = field(default_factory=lambda: PLAIN_TEXT)

    def route(self) -> Route:
        """The exact path."""
        return Route(self.path, AnyMethod(self.respond))

    async def respond(self, request: Request) -> Response:
        """The answer, or that the client has it, or why there is none."""
        if request.method not in ("GET", "HEAD"):
            return other_method(request, "GET, HEAD", self.form_of_errors)
        headers = self.headers if self.is_open else {**self.headers, **PRIVATE}
        try:
            if not self.is_open:
                await self._require_read(request)
            wanted = self.parse(request)
            key = digest_of(orjson.dumps((self.path, wanted)))
            answer = await self.answers.get(key, partial(self._compute, wanted))
        except PodiumError as error:
            return error_response(error, headers, self.form_of_errors)
        return tagged(answer, request, {**headers, "Podium-Window": answer.window} if answer.window else headers)

    async def _compute(self, wanted: Question, reads: Reads) -> WindowAnswer:
        window = await self.widening(wanted, reads)
        return WindowAnswer(orjson.dumps(await self.read(wanted, reads)), may_be_kept=True, window=window)

    async def _require_read(self, request: Request) -> None:
        identity = await self.authenticator.identify(request.headers.get("authorization", ""))
        self.authenticator.require(identity, Scope.READ, self.path.removeprefix("/api").removeprefix("/"))
