"""GraphQL over HTTP: what a request must look like, and which status its answer has."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

import orjson
from graphql import GraphQLError, OperationType
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from resolvers.errors import RETRY_AFTER_S, ForeignOrigin, PayloadTooLarge, PodiumError, Unauthenticated, Unavailable
from resolvers.identity import Identity
from resolvers.signing import WebhookHeaders
from schema.answering import Answering, Encoded
from schema.batch import answers
from schema.context import Context
from schema.errors import extensions, formatted, shown_error
from schema.feeds import Feeds
from schema.http_cache import cache_headers, is_there_already
from schema.http_request import GRAPHQL_JSON, HTML, JSON, METHODS, RefusedRequest, media_type_of, read
from schema.operations import Operation, Refused
from schema.origins import is_allowed
from schema.persisted import Documents
from schema.request import InvalidRequest
from schema.request import Request as Asked
from schema.sse import EVENT_STREAM, EventStream, EventStreams, whole
from schema.trace import Trace, shown_name
from schema.tracing import TRACE_MARK, Tracing
from schema.websocket import PROTOCOL

# The headers by which clients show who they are.
_SHOWING = frozenset((b"authorization", *(f"webhook-{name}".encode() for name in WebhookHeaders._fields)))


class GraphQLEndpoint:
    """The endpoint /graphql: POST for everything, GET for queries and streams, and a page for browsers.

    `origins` are those whose pages may send mutations without showing who they are, beside the server's own; `max_age`
    is for how long caches may use an answer to GET without asking.
    """

    def __init__(
        self,
        feeds: Feeds,
        documents: Documents,
        answering: Answering,
        streams: EventStreams,
        page: Callable[[Request], Response],
        origins: Sequence[str],
        max_age: timedelta,
    ) -> None:
        self._operations = feeds.operations
        self._backend = feeds.backend
        self._feeds = feeds
        self._documents = documents
        self._answering = answering
        self._streams = streams
        self._page = page
        self._origins = origins
        self._max_age = max_age

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        response = await self.respond(Request(scope, receive, send))
        await response(scope, receive, send)

    async def respond(self, request: Request) -> Response | EventStream:
        """The answer to a request, whatever its method."""
        if request.method == "OPTIONS":
            return Response(status_code=204, headers={"Allow": METHODS})
        try:
            media_type = media_type_of(request)
        except RefusedRequest as refused:
            return _refusal(refused, JSON)
        if media_type == HTML:
            return self._page(request)
        try:
            return await self._answer(request, media_type)
        except RefusedRequest as refused:
            return _refusal(refused, media_type)
        except InvalidRequest as invalid:
            return _refusal(RefusedRequest(400, str(invalid)), media_type)
        except Refused as refused:
            return self._errors(refused.errors, media_type)
        except PayloadTooLarge:
            raise  # the middleware has to read on before it answers
        except PodiumError as error:
            return _failure(error, media_type)

    async def _answer(self, request: Request, media_type: str) -> Response | EventStream:
        asked, body = await read(request, self._operations.limits.max_batch)
        identity = await self._identify(request, body)
        prepare = partial(self._prepare, request, identity, media_type)
        if isinstance(asked, list):
            return await self._answer_batch(asked, prepare, identity, media_type)
        with Tracing(self._backend.report) as trace:
            request.scope[TRACE_MARK] = trace
            response = await self._answer_one(request, prepare(asked, trace), identity, media_type)
            trace.lap("encode")
        return response

    async def _answer_one(
        self, request: Request, operation: Operation, identity: Identity, media_type: str
    ) -> Response | EventStream:
        if operation.kind is OperationType.SUBSCRIPTION:
            self._operations.check_cost(operation)
            return await self._stream(operation, Context(self._backend, identity))
        return self._result(await self._answering.answer(operation, identity), request, media_type)

    async def _answer_batch(
        self, asked: list[Any], prepare: Callable[[Asked, Trace], Operation], identity: Identity, media_type: str
    ) -> Response:
        if media_type == EVENT_STREAM:
            raise RefusedRequest(406, f"The answer to a batch can be {GRAPHQL_JSON} or {JSON}.")
        report = self._backend.report

        def prepare_cheap(asked: Asked, trace: Trace) -> Operation:
            operation = prepare(asked, trace)
            self._operations.check_cost(operation)
            return operation

        async def execute(operation: Operation) -> orjson.Fragment:
            with Tracing(report, operation.trace):
                return orjson.Fragment((await self._answering.execute(operation, identity)).body)

        batch = await answers(asked, self._operations, prepare=prepare_cheap, execute=execute, report=report)
        return _json(batch, 200, media_type)

    async def _identify(self, request: Request, body: bytes) -> Identity:
        address = (request.scope.get("client") or ("",))[0]
        if _SHOWING.isdisjoint(dict(request.scope["headers"])):  # looking for each costs more
            return await self._backend.authenticator.identify("", address=address)
        headers = request.headers
        authorization = headers.get("authorization", "")
        return await self._backend.authenticator.identify(
            authorization, body, WebhookHeaders.of(headers), address=address
        )

    def _prepare(self, request: Request, identity: Identity, media_type: str, asked: Asked, trace: Trace) -> Operation:
        trace.name = shown_name(asked.name)
        operation = self._documents.prepare(asked, trace)
        if operation.kind is OperationType.MUTATION:
            if request.method != "POST":
                raise RefusedRequest(405, "Mutations are sent by POST.", Allow="POST")
            if identity.shown == "nothing":
                self._check_origin(request.headers)
        if operation.kind is OperationType.SUBSCRIPTION and (media_type != EVENT_STREAM or request.method == "HEAD"):
            raise Refused([GraphQLError(f"Subscribe over {PROTOCOL}, or with Accept: {EVENT_STREAM}.")])
        return operation

    def _check_origin(self, headers: Headers) -> None:
        origin = headers.get("origin")
        if not is_allowed(origin, headers.get("host", ""), self._origins):
            raise ForeignOrigin(origin or "")

    async def _stream(self, operation: Operation, context: Context) -> EventStream:
        stream = EventStream(self._backend.report)
        try:
            leave = await self._feeds.join(operation, context, stream)
        finally:
            operation.trace.executed(context.reads)
        self._streams.add(stream)

        expiry = None
        if (left_s := context.identity.left_s) is not None:
            expired = shown_error(Unauthenticated.by_token("the token has expired"), self._backend.report)
            errors = [formatted(expired, self._backend.report)]
            expiry = asyncio.get_running_loop().call_later(left_s, stream.end, errors)

        def end() -> None:
            self._streams.discard(stream)
            leave()
            if expiry:
                expiry.cancel()

        stream.leave = end
        return stream

    def _result(self, answer: Encoded, request: Request, media_type: str) -> Response:
        if media_type == EVENT_STREAM:
            headers = {"Content-Type": f"{EVENT_STREAM}; charset=utf-8", "Vary": "Accept", "Cache-Control": "no-store"}
            return Response(whole(answer.body), headers=headers)
        headers = {} if request.method == "POST" else cache_headers(answer, request.headers, self._max_age)
        if headers and is_there_already(answer, request.headers):
            # Compression, which adds this to what it could compress, does not see 304.
            return Response(status_code=304, headers={**headers, "Vary": f"{headers['Vary']}, Accept-Encoding"})
        status = 200 if answer.has_data or media_type == JSON else 400
        return _encoded(answer.body, status, media_type, headers)

    def _errors(self, errors: list[GraphQLError], media_type: str) -> Response:
        answer = {"errors": [formatted(error, self._backend.report) for error in errors]}
        if media_type == EVENT_STREAM:  # which has not begun
            return _json(answer, _status(errors[0]), media_type)
        return _json(answer, 400 if media_type == GRAPHQL_JSON else 200, media_type)


def _status(error: GraphQLError) -> int:
    cause = error.original_error
    return cause.status if isinstance(cause, PodiumError) else 500 if cause and error.path else 400


def _failure(error: PodiumError, media_type: str) -> Response:
    """The answer to a request whose sender is not who they say: nothing of it is executed."""
    headers = {"Retry-After": str(RETRY_AFTER_S)} if isinstance(error, Unavailable) else {}
    if isinstance(error, Unauthenticated) and error.challenge:
        headers["WWW-Authenticate"] = error.challenge
    return _json(
        {"errors": [{"message": error.message, "extensions": extensions(error)}]}, error.status, media_type, headers
    )


def _refusal(refused: RefusedRequest, media_type: str) -> Response:
    answer = {"errors": [{"message": str(refused), "extensions": {"code": "GRAPHQL_INVALID"}}]}
    return _json(answer, refused.status, media_type, refused.headers)


def _json(answer: Any, status: int, media_type: str, headers: dict[str, str] | None = None) -> Response:
    return _encoded(orjson.dumps(answer), status, media_type, headers or {})


def _encoded(answer: bytes, status: int, media_type: str, headers: dict[str, str]) -> Response:
    media_type = GRAPHQL_JSON if media_type == EVENT_STREAM else media_type
    shown = {
        "Content-Type": f"{media_type}; charset=utf-8",
        "Vary": "Accept",
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    return Response(answer, status, headers={**shown, **headers})
