"""Answers to GET with their entity tags: whoever has one already is told that only."""

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response

from resolvers.answers import Answer
from resolvers.entity_tags import entity_tag, is_among


def tagged(answer: Answer, request: Request, headers: Mapping[str, str]) -> Response:
    """The answer with these headers; or 304, with those of them that a cache may want to know."""
    tag = entity_tag(answer)
    known = request.headers.getlist("if-none-match")
    if not known or not is_among(tag, known):
        return Response(answer.body, headers={**headers, "ETag": tag})
    # Compression, which adds this to what it could compress, does not see 304.
    vary = ", ".join(filter(None, (headers.get("Vary"), "Accept-Encoding")))
    kept = {name: value for name, value in headers.items() if name != "Content-Type"}
    return Response(status_code=304, headers={**kept, "ETag": tag, "Vary": vary})
