"""GraphQL over HTTP: what a request must look like, and which status its answer has."""

import asyncio
from collections.abc import Callable
from typing import Any

import orjson
from graphql import ExecutionResult, GraphQLError, OperationType
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from resolvers.errors import RETRY_AFTER_S, PodiumError, Unauthenticated, Unavailable
from resolvers.identity import Identity
from resolvers.signing import WebhookHeaders
from schema import operations
from schema.context import Context
from schema.errors import MAX_ERRORS, answer_of, extensions, formatted, shown_error
from schema.feeds import Feeds
from schema.operations import InvalidRequest, Operation, Refused
from schema.sse import EVENT_STREAM, EventStream, EventStreams, whole
from schema.websocket import PROTOCOL

JSON = "application/json"
GRAPHQL_JSON = "application/graphql-response+json"


class _Refused(Exception):
    """A request that is answered without being executed."""

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class GraphQLEndpoint:
    """The endpoint /graphql: POST for everything, GET for queries and streams, and a page for browsers."""

    def __init__(self, feeds: Feeds, streams: EventStreams, page: Callable[[Request], Response]) -> None:
        self._operations = feeds.operations
        self._backend = feeds.backend
        self._feeds = feeds
        self._streams = streams
        self._page = page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        response = await self.respond(Request(scope, receive, send))
        await response(scope, receive, send)

    async def respond(self, request: Request) -> Response | EventStream:
        """The answer to a request, whatever its method."""
        try:
            media_type = _media_type(request)
            if media_type is None:
                return self._page(request)
            asked, body = await _read(request)
        except (_Refused, InvalidRequest) as refused:
            answer = {"errors": [{"message": str(refused), "extensions": {"code": "GRAPHQL_INVALID"}}]}
            status, headers = (refused.status, refused.headers) if isinstance(refused, _Refused) else (400, {})
            return _json(answer, status, JSON, headers)
        try:
            identity = await self._identify(request, body)
            return await self._answer(request, asked, identity, media_type)
        except Refused as refused:
            return self._errors(refused.errors, media_type)
        except PodiumError as error:
            return _failure(error, media_type)

    async def _identify(self, request: Request, body: bytes) -> Identity:
        headers = request.headers
        authorization = headers.get("authorization", "")
        return await self._backend.authenticator.identify(authorization, body, WebhookHeaders.of(headers))

    async def _answer(
        self, request: Request, asked: operations.Request, identity: Identity, media_type: str
    ) -> Response | EventStream:
        operation = self._operations.prepare(asked)
        streams = operation.kind is OperationType.SUBSCRIPTION
        if streams and (media_type != EVENT_STREAM or request.method == "HEAD"):
            hint = f"Subscribe over {PROTOCOL}, or with Accept: {EVENT_STREAM}."
            return self._errors([GraphQLError(hint)], media_type)
        if request.method != "POST" and operation.kind is OperationType.MUTATION:
            refusal = {"errors": [{"message": "Mutations may not be sent by GET."}]}
            return _json(refusal, 405, media_type, {"Allow": "POST"})
        self._operations.check_cost(operation)
        context = Context(self._backend, identity)
        if streams:
            return await self._stream(operation, context)
        return self._result(await self._operations.execute(operation, context), media_type)

    async def _stream(self, operation: Operation, context: Context) -> EventStream:
        stream = EventStream(self._backend.report)
        leave = await self._feeds.join(operation, context, stream)
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

    def _result(self, result: ExecutionResult, media_type: str) -> Response:
        answer = answer_of(result, self._backend.report)
        if media_type == EVENT_STREAM:
            headers = {"Content-Type": f"{EVENT_STREAM}; charset=utf-8", "Vary": "Accept", "Cache-Control": "no-store"}
            return Response(whole(answer), headers=headers)
        status = 400 if "data" not in answer and media_type == GRAPHQL_JSON else 200
        return _json(answer, status, media_type)

    def _errors(self, errors: list[GraphQLError], media_type: str) -> Response:
        answer = {"errors": [formatted(error, self._backend.report) for error in errors[:MAX_ERRORS]]}
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


async def _read(request: Request) -> tuple[operations.Request, bytes]:
    if request.method in ("GET", "HEAD"):
        return _from_query(request), b""
    if request.method != "POST":
        raise _Refused(405, f"{request.method} is not allowed here.", Allow="GET, HEAD, POST")
    content_type, _, parameters = request.headers.get("content-type", "").partition(";")
    if content_type.strip().lower() != JSON or _charset(parameters) not in ("", "utf-8", "utf8"):
        raise _Refused(415, f"Send the operation as {JSON}.")
    body = await request.body()
    return operations.request_of(_decoded(body, "The body")), body


def _charset(parameters: str) -> str:
    for parameter in parameters.lower().split(";"):
        name, _, value = parameter.partition("=")
        if name.strip() == "charset":
            return value.strip().strip('"')
    return ""


def _from_query(request: Request) -> operations.Request:
    given: dict[str, Any] = dict(request.query_params)
    for name in ("variables", "extensions"):
        if given.get(name):
            given[name] = _decoded(given[name].encode(), name)
        else:
            given.pop(name, None)
    return operations.request_of(given)


def _decoded(text: bytes, what: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise _Refused(400, f"{what} must be valid JSON.") from None


def _media_type(request: Request) -> str | None:
    """The media type of the answer; None for a browser that asks for a page."""
    accept = request.headers.get("accept", "")
    kinds = [kind.partition(";")[0].strip().lower() for kind in accept.split(",")]
    for kind in kinds:
        if kind in (GRAPHQL_JSON, JSON, EVENT_STREAM):
            return kind
        if kind == "text/html" and request.method in ("GET", "HEAD") and "query" not in request.query_params:
            return None
    if not accept.strip() or "*/*" in kinds or "application/*" in kinds:
        return JSON
    raise _Refused(406, f"The answer can be {GRAPHQL_JSON}, {JSON} or {EVENT_STREAM}.")


def _json(answer: Any, status: int, media_type: str, headers: dict[str, str] | None = None) -> Response:
    media_type = GRAPHQL_JSON if media_type == EVENT_STREAM else media_type
    content_type = {"Content-Type": f"{media_type}; charset=utf-8", "Vary": "Accept"}
    return Response(orjson.dumps(answer), status, headers={**content_type, **(headers or {})})
