"""The original canWatch API: ids for viewers and streams, and which of these a viewer watches."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

import orjson
from starlette.datastructures import Headers
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

from resolvers.errors import RETRY_AFTER_S, Forbidden, PodiumError, RateLimited, Unauthenticated, Unavailable
from resolvers.identity import Authenticator
from resolvers.identity import Scope as Right
from resolvers.rates import Rates
from resolvers.streams.deciding import Ask, Verdict, storable
from resolvers.streams.seats import Seats

CONTENT_TYPE = (b"content-type", b"application/json; charset=utf-8")
NO_STORE = (b"cache-control", b"no-store")
RETRY_AFTER = (b"retry-after", str(RETRY_AFTER_S).encode())
GETS, CHANGES = ("GET", "HEAD"), ("PATCH", "POST")
_WRONG_ESCAPE = re.compile(rb"%(?![0-9a-fA-F]{2})")

RawHeaders = list[tuple[bytes, bytes]]


class Reply(NamedTuple):
    """An answer, ready to be sent."""

    status: int
    headers: RawHeaders
    body: bytes


def _reply(status: int, fields: Mapping[str, str], *headers: tuple[bytes, bytes]) -> Reply:
    body = orjson.dumps(fields)
    return Reply(status, [CONTENT_TYPE, (b"content-length", str(len(body)).encode()), *headers], body)


def _refused(status: int, error: str, *headers: tuple[bytes, bytes]) -> Reply:
    return _reply(status, {"status": "ko", "error": error}, *headers)


OK = _reply(200, {"status": "ok"})
INVALID = _refused(404, "Invalid Data.")
LIMIT_REACHED = _refused(403, "Stream Limit Reached")
UNAVAILABLE = _refused(503, "Service Unavailable", NO_STORE, RETRY_AFTER)
NOTHING_HERE = Reply(404, [(b"content-length", b"0")], b"")
REFUSED = {
    Verdict.LIMIT_REACHED: LIMIT_REACHED,
    Verdict.UNKNOWN_VIEWER: INVALID,
    Verdict.UNKNOWN_STREAM: INVALID,
}


@dataclass(frozen=True, slots=True)
class StreamsApi:
    """Who decides, how often ids are made for one client, and who may use it: everybody unless it is closed."""

    seats: Seats
    rates: Rates
    authenticator: Authenticator
    is_open: bool

    def routes(self) -> list[Route]:
        """Every path of it."""
        return [
            AnyCaseRoute("/streams/{stream}/activate", Endpoint(CHANGES, self.activate, self._require)),
            AnyCaseRoute("/streams/{stream}/deactivate", Endpoint(CHANGES, self.deactivate, self._require)),
            AnyCaseRoute("/users/newId", Endpoint(GETS, self.new_viewer, self._require)),
            AnyCaseRoute("/streams/newId", Endpoint(GETS, self.new_stream, self._require)),
        ]

    async def activate(self, scope: Scope) -> Reply:
        """A viewer watches a stream."""
        return await self._decided(scope, activates=True)

    async def deactivate(self, scope: Scope) -> Reply:
        """A viewer watches a stream no more."""
        return await self._decided(scope, activates=False)

    async def new_viewer(self, scope: Scope) -> Reply:
        """An id for a viewer."""
        return await self._new(scope, "userId", self.seats.add_viewer)

    async def new_stream(self, scope: Scope) -> Reply:
        """An id for a stream."""
        return await self._new(scope, "streamId", self.seats.add_stream)

    async def _decided(self, scope: Scope, *, activates: bool) -> Reply:
        part = scope["path_params"]["stream"]
        stream = _decoded(part)
        # Asked for too where no viewer or stream is named: while the database is away, everything is answered alike.
        verdict = await self.seats.decide(Ask(_viewer(scope), storable(stream or ""), activates))
        return _undecodable(part) if stream is None else REFUSED.get(verdict, OK)

    async def _new(self, scope: Scope, name: str, add: Callable[[], Awaitable[str]]) -> Reply:
        await self.rates.take((scope.get("client") or ("",))[0])
        return _reply(200, {name: await add()}, NO_STORE)

    async def _require(self, scope: Scope) -> None:
        if not self.is_open:
            identity = await self.authenticator.identify(Headers(scope=scope).get("authorization", ""))
            self.authenticator.require(identity, Right.WATCH, "watching")


class AnyCaseRoute(Route):
    """A path in any case, with a slash at its end or not; a part of it is whatever is between two slashes, escaped ones
    among them, and is handed on as it came.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any]) -> None:
        super().__init__(path, endpoint)
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path) + "/?"
        self._pattern = re.compile(pattern.encode(), re.IGNORECASE)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether the path of a request is this one, and what its parts are."""
        if scope["type"] != "http" or not (found := self._pattern.fullmatch(scope["raw_path"])):
            return Match.NONE, {}
        return Match.FULL, {"endpoint": self.endpoint, "path_params": found.groupdict()}


class Endpoint:
    """An ASGI application around a function that answers some methods; others are answered as Express does."""

    def __init__(
        self,
        methods: tuple[str, ...],
        answer: Callable[[Scope], Awaitable[Reply]],
        require: Callable[[Scope], Awaitable[None]],
    ) -> None:
        self._methods = methods
        self._answer = answer
        self._require = require
        allowed = ",".join(methods).encode()
        length = (b"content-length", str(len(allowed)).encode())
        self._options = Reply(
            200, [(b"allow", allowed), (b"content-type", b"text/html; charset=utf-8"), length], allowed
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whose body nobody reads."""
        status, headers, body = await self._reply(scope)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _reply(self, scope: Scope) -> Reply:
        # A part that cannot be decoded is found before the method is looked at.
        if scope["method"] not in self._methods and None not in map(_decoded, scope["path_params"].values()):
            return self._options if scope["method"] == "OPTIONS" else NOTHING_HERE
        try:
            await self._require(scope)
            return await self._answer(scope)
        except Unavailable:
            return UNAVAILABLE
        except (Forbidden, RateLimited, Unauthenticated) as error:
            return _not_allowed(error)


def _not_allowed(error: PodiumError) -> Reply:
    headers = [NO_STORE]
    if isinstance(error, RateLimited):
        headers.append((b"retry-after", str(error.retry_after_s).encode()))
    if isinstance(error, Unauthenticated) and error.challenge:
        headers.append((b"www-authenticate", error.challenge.encode()))
    return _refused(error.status, error.message, *headers)


def _viewer(scope: Scope) -> str:
    """Who is named by `x-userid`; several of them are one, which nobody has."""
    given = [value for name, value in scope["headers"] if name == b"x-userid"]
    return storable(b", ".join(given).strip().decode("latin-1")) if given else ""


def _undecodable(part: bytes) -> Reply:
    return _refused(403, f"Failed to decode param '{part.decode('latin-1')}'")


def _decoded(part: bytes) -> str | None:
    """A part of a path as the original reads it, which is None where it cannot be read."""
    if b"%" not in part:
        return part.decode("latin-1")
    try:
        return None if _WRONG_ESCAPE.search(part) else unquote_to_bytes(part).decode()
    except UnicodeDecodeError:
        return None
