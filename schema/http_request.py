"""What an HTTP request asks: method, media types, query string and body, before any document is looked at."""

from typing import Any
from urllib.parse import parse_qsl

import orjson
from starlette.requests import Request as HttpRequest

from schema.negotiation import MediaType, preferred
from schema.request import MEMBERS, InvalidRequest, Request, request_of
from schema.sse import EVENT_STREAM

JSON = "application/json"
GRAPHQL_JSON = "application/graphql-response+json"
HTML = "text/html"

ANSWERS = (JSON, GRAPHQL_JSON, EVENT_STREAM)
METHODS = "GET, HEAD, OPTIONS, POST"
MAX_PARAMETERS = 1000


class RefusedRequest(InvalidRequest):
    """A request that is answered without being executed."""

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def media_type_of(request: HttpRequest) -> str:
    """The media type of the answer; a page is offered to a GET that names no operation."""
    accept = ",".join(request.headers.getlist("accept")).lower()
    media_type = preferred(accept, (*ANSWERS, HTML) if "text/" in accept and _asks_nothing(request) else ANSWERS)
    if media_type is None:
        raise RefusedRequest(406, f"The answer can be {GRAPHQL_JSON}, {JSON} or {EVENT_STREAM}.")
    return media_type


async def read(request: HttpRequest, max_batch: int) -> tuple[Request | list[Any], bytes]:
    """What is asked, and the body that asks for it; RefusedRequest and InvalidRequest say why it is no request.

    Of a batch it is a list of objects that are not looked at yet.
    """
    if request.method in ("GET", "HEAD"):
        return _of_query(request.scope["query_string"]), b""
    if request.method != "POST":
        raise RefusedRequest(405, f"{request.method} is not allowed here.", Allow=METHODS)
    sent = MediaType.of(request.headers.get("content-type", ""))
    if sent.name != JSON or not sent.is_utf_8:
        raise RefusedRequest(415, f"Send the operation as {JSON} in UTF-8.")
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise RefusedRequest(415, "Send the body as it is, in no content coding.", Accept_Encoding="identity")
    body = await request.body()
    given = _decoded(body, "The body")
    return _batch(given, max_batch) if isinstance(given, list) else request_of(given), body


def _batch(given: list[Any], max_batch: int) -> list[Any]:
    if max_batch < 2:
        raise RefusedRequest(400, "Send one operation as a JSON object: this server takes no batches.")
    if not 0 < len(given) <= max_batch:
        raise RefusedRequest(400, f"Send 1 to {max_batch} operations in a batch, not {len(given)}.")
    if not all(isinstance(item, dict) for item in given):
        raise RefusedRequest(400, "Send each operation of a batch as a JSON object.")
    return given


def _asks_nothing(request: HttpRequest) -> bool:
    return request.method in ("GET", "HEAD") and not any(name in request.query_params for name in MEMBERS)


def _of_query(query: bytes) -> Request:
    try:
        pairs = parse_qsl(query.decode(), keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS)
    except ValueError:
        message = f"The query string must be UTF-8, with {MAX_PARAMETERS} parameters at most."
        raise RefusedRequest(400, message) from None
    given: dict[str, Any] = {}
    for name, value in pairs:
        if name in given and name in MEMBERS:
            raise RefusedRequest(400, f"{name}: given more than once.")
        given[name] = value
    for name in ("variables", "extensions"):
        given[name] = _decoded(given[name].encode(), name) if given.get(name) else None
    return request_of(given)


def _decoded(text: bytes, what: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise RefusedRequest(400, f"{what} must be valid JSON.") from None
