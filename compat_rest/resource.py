"""A URL of the original telemetry service that is read, posted to, or both: JSON, a slash at its end or not."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from compat_rest.endpoint import AnyMethod, other_method
from compat_rest.errors import JSON, error_response
from compat_rest.tagged import tagged
from resolvers.answers import Answer, Answers, digest_of
from resolvers.errors import InvalidArgument, NotFound, PodiumError
from resolvers.identity import Authenticator, Scope
from resolvers.reading import Reads

# Whoever posts reads it at once: caches ask every time whether it is still the same.
OPEN = JSON | {"Access-Control-Allow-Origin": "*", "Cache-Control": "no-cache"}
CLOSED = OPEN | {"Cache-Control": "private, no-store", "Vary": "Authorization"}

Read = Callable[[Mapping[str, str], Reads], Awaitable[Any]]
Write = Callable[[bytes], Awaitable[Any]]


class NoForm(Exception):
    """A body has no form that its URL takes: the original answers 400 and not a word."""


@dataclass(frozen=True, slots=True)
class Access:
    """Who may read, and who may write: everybody where it is open."""

    authenticator: Authenticator
    reads_are_open: bool
    writes_are_open: bool

    async def require_read(self, request: Request, what: str) -> None:
        """Raise a PodiumError unless whoever asks may read."""
        if not self.reads_are_open:
            identity = await self.authenticator.identify(request.headers.get("authorization", ""))
            self.authenticator.require(identity, Scope.READ, what)

    async def require_write(self, request: Request, body: bytes, what: str) -> None:
        """Raise a PodiumError unless whoever asks may write; a webhook's message does not, as it would count twice."""
        if not self.writes_are_open:
            identity = await self.authenticator.identify(request.headers.get("authorization", ""), body)
            self.authenticator.require(identity, Scope.PUBLISH, what)


@dataclass(frozen=True, slots=True)
class Resource:
    """One URL: what is answered to those who read it, and what becomes of what is posted to it; None is not allowed."""

    path: str
    answers: Answers[Answer]
    access: Access
    read: Read | None = None
    write: Write | None = None

    def routes(self) -> list[Route]:
        """The exact path, and the same with a slash at its end."""
        return [Route(path, AnyMethod(self.respond)) for path in (self.path, f"{self.path}/")]

    async def respond(self, request: Request) -> Response:
        """The answer to one request."""
        headers = OPEN if self.access.reads_are_open else CLOSED
        try:
            if self.read and request.method in ("GET", "HEAD"):
                return await self._show(request, self.read, headers)
            if self.write and request.method == "POST":
                return await self._store(request, self.write)
        except NoForm:
            return Response(status_code=400)
        except NotFound:
            return Response(status_code=404)
        except PodiumError as error:
            return error_response(error, headers, JSON)
        return other_method(request, ", ".join((*("GET", "HEAD") * bool(self.read), *("POST",) * bool(self.write))))

    async def _show(self, request: Request, read: Read, headers: Mapping[str, str]) -> Response:
        await self.access.require_read(request, self.path)
        key = digest_of(orjson.dumps((self.path, request.path_params)))
        answer = await self.answers.get(key, partial(_computed, read, request.path_params))
        return tagged(answer, request, headers)

    async def _store(self, request: Request, write: Write) -> Response:
        body = await request.body()
        await self.access.require_write(request, body, self.path)
        try:
            stored = await write(body)
        except NotFound as error:  # what it names is not there, but the URL is
            raise InvalidArgument(error.message, field=error.field) from None
        return Response(orjson.dumps(stored), headers=CLOSED)


async def _computed(read: Read, path_params: Mapping[str, str], reads: Reads) -> Answer:
    return Answer(orjson.dumps(await read(path_params, reads)), may_be_kept=True)
