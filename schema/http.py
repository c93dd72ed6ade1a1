"""GraphQL over HTTP: what a request must look like, and which status its answer has."""

from asyncio import CancelledError
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any, NamedTuple

import orjson
from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    NoSchemaIntrospectionCustomRule,
    OperationType,
    execute,
    get_operation_ast,
    parse,
    specified_rules,
    validate,
)
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from schema.context import Backend, Context
from schema.cost import check_cost
from schema.errors import MAX_ERRORS, formatted
from schema.limits import MAX_TOKENS, check_limits

JSON = "application/json"
GRAPHQL_JSON = "application/graphql-response+json"
# A parsed document takes about 100 times its text; what is longer, or more, is parsed again.
_MAX_CACHED_CHARACTERS = 5_000
_MAX_CACHED_DOCUMENTS = 100


class _Operation(NamedTuple):
    query: str
    variables: dict[str, Any] | None
    name: str | None


class _Refused(Exception):
    """A request that is answered without being executed."""

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class GraphQLEndpoint:
    """The endpoint /graphql: POST for everything, GET for queries, and a page for browsers."""

    def __init__(
        self,
        schema: GraphQLSchema,
        backend: Backend,
        page: Callable[[Request], Response],
        *,
        introspection: bool = True,
    ) -> None:
        self._schema = schema
        self._backend = backend
        self._page = page
        self._hide_suggestions = not introspection
        self._rules = specified_rules if introspection else [*specified_rules, NoSchemaIntrospectionCustomRule]
        self._prepare_cached = lru_cache(maxsize=_MAX_CACHED_DOCUMENTS)(self._prepare_uncached)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        response = await self.respond(Request(scope, receive, send))
        await response(scope, receive, send)

    async def respond(self, request: Request) -> Response:
        """The answer to a request, whatever its method."""
        try:
            media_type = _media_type(request)
            if media_type is None:
                return self._page(request)
            operation, body = await _read(request)
        except _Refused as refused:
            answer = {"errors": [{"message": str(refused), "extensions": {"code": "GRAPHQL_INVALID"}}]}
            return _json(answer, refused.status, JSON, refused.headers)
        return await self._answer(request, operation, body, media_type)

    async def _answer(self, request: Request, operation: _Operation, body: bytes, media_type: str) -> Response:
        document, errors = self._prepare(operation.query)
        if document is None:
            return self._errors(errors, media_type)
        chosen = get_operation_ast(document, operation.name)
        if chosen is None:
            return self._errors([GraphQLError("Name one of the operations as operationName.")], media_type)
        if request.method != "POST" and chosen.operation is not OperationType.QUERY:
            refusal = {"errors": [{"message": "Only queries may be sent by GET."}]}
            return _json(refusal, 405, media_type, {"Allow": "POST"})
        if chosen.operation is OperationType.SUBSCRIPTION:
            return self._errors([GraphQLError("Subscriptions need a connection of their own.")], media_type)
        if too_dear := check_cost(self._schema, document, chosen, operation.variables):
            return self._errors(too_dear, media_type)
        context = Context(self._backend, body, request.headers.get("authorization", ""))
        result = await self._execute(document, operation, context)
        return self._result(result, media_type)

    async def _execute(self, document: DocumentNode, operation: _Operation, context: Context) -> ExecutionResult:
        result = execute(
            self._schema,
            document,
            context_value=context,
            variable_values=operation.variables,
            operation_name=operation.name,
            hide_suggestions=self._hide_suggestions,
        )
        try:
            return await result if isinstance(result, Awaitable) else result
        except CancelledError:
            context.cancel_loads()
            raise

    def _result(self, result: ExecutionResult, media_type: str) -> Response:
        answer: dict[str, Any] = {}
        if result.errors:
            answer["errors"] = [formatted(error, self._backend.report) for error in result.errors[:MAX_ERRORS]]
        # Without any path the operation was not executed: its variables do not fit.
        executed = not result.errors or result.data is not None or any(error.path for error in result.errors)
        if executed:
            answer["data"] = result.data
        status = 400 if not executed and media_type == GRAPHQL_JSON else 200
        return _json(answer, status, media_type)

    def _errors(self, errors: list[GraphQLError], media_type: str) -> Response:
        answer = {"errors": [formatted(error, self._backend.report) for error in errors[:MAX_ERRORS]]}
        return _json(answer, 400 if media_type == GRAPHQL_JSON else 200, media_type)

    def _prepare(self, query: str) -> tuple[DocumentNode | None, list[GraphQLError]]:
        prepare = self._prepare_cached if len(query) <= _MAX_CACHED_CHARACTERS else self._prepare_uncached
        return prepare(query)

    def _prepare_uncached(self, query: str) -> tuple[DocumentNode | None, list[GraphQLError]]:
        try:
            document = parse(query, max_tokens=MAX_TOKENS, no_location=False)
            errors = check_limits(document) or validate(
                self._schema, document, self._rules, max_errors=MAX_ERRORS, hide_suggestions=self._hide_suggestions
            )
        except GraphQLSyntaxError as error:
            if f"more than {MAX_TOKENS} tokens" in error.message:
                error.extensions = {"code": "TOO_COMPLEX"}
            return None, [error]
        except RecursionError:
            return None, [GraphQLError("The document is nested too deeply.", extensions={"code": "TOO_COMPLEX"})]
        return (None, errors) if errors else (document, [])


async def _read(request: Request) -> tuple[_Operation, bytes]:
    if request.method in ("GET", "HEAD"):
        return _from_query(request), b""
    if request.method != "POST":
        raise _Refused(405, f"{request.method} is not allowed here.", Allow="GET, HEAD, POST")
    content_type, _, parameters = request.headers.get("content-type", "").partition(";")
    if content_type.strip().lower() != JSON or _charset(parameters) not in ("", "utf-8", "utf8"):
        raise _Refused(415, f"Send the operation as {JSON}.")
    body = await request.body()
    return _operation(_decoded(body, "The body")), body


def _charset(parameters: str) -> str:
    for parameter in parameters.lower().split(";"):
        name, _, value = parameter.partition("=")
        if name.strip() == "charset":
            return value.strip().strip('"')
    return ""


def _from_query(request: Request) -> _Operation:
    given: dict[str, Any] = dict(request.query_params)
    for name in ("variables", "extensions"):
        if given.get(name):
            given[name] = _decoded(given[name].encode(), name)
        else:
            given.pop(name, None)
    return _operation(given)


def _decoded(text: bytes, what: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise _Refused(400, f"{what} must be valid JSON.") from None


def _operation(given: Any) -> _Operation:
    if not isinstance(given, dict):
        raise _Refused(400, "Send one operation as a JSON object.")
    query, variables, name = given.get("query"), given.get("variables"), given.get("operationName")
    if not isinstance(query, str) or not query:
        raise _Refused(400, "query: the document, as a string, is missing.")
    if not isinstance(variables, dict | None):
        raise _Refused(400, "variables: must be an object.")
    if not isinstance(name, str | None):
        raise _Refused(400, "operationName: must be a string.")
    if not isinstance(given.get("extensions"), dict | None):
        raise _Refused(400, "extensions: must be an object.")
    return _Operation(query, variables, name or None)


def _media_type(request: Request) -> str | None:
    """The media type of the answer; None for a browser that asks for a page."""
    accept = request.headers.get("accept", "")
    kinds = [kind.partition(";")[0].strip().lower() for kind in accept.split(",")]
    for kind in kinds:
        if kind in (GRAPHQL_JSON, JSON):
            return kind
        if kind == "text/html" and request.method in ("GET", "HEAD") and "query" not in request.query_params:
            return None
    if not accept.strip() or "*/*" in kinds or "application/*" in kinds:
        return JSON
    raise _Refused(406, f"The answer can be {GRAPHQL_JSON} or {JSON}.")


def _json(answer: Any, status: int, media_type: str, headers: dict[str, str] | None = None) -> Response:
    content_type = {"Content-Type": f"{media_type}; charset=utf-8", "Vary": "Accept"}
    return Response(orjson.dumps(answer), status, headers={**content_type, **(headers or {})})
