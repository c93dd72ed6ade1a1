"""What clients and caches in between may keep of answers to GET: entity tags, Cache-Control and Vary (RFC 9111)."""

from datetime import timedelta

from starlette.datastructures import Headers

from resolvers.answers import Answer
from resolvers.entity_tags import entity_tag, is_among

VARY = "Accept, Authorization"
CREDENTIALS = ("authorization", "webhook-id")


def cache_headers(answer: Answer, request: Headers, max_age: timedelta) -> dict[str, str]:
    """The headers of an answer to GET or HEAD.

    What shows who asks is for the one who asks alone.
    """
    if not answer.may_be_kept:
        return {"Cache-Control": "no-store", "Vary": VARY}
    kept_by = "private" if any(name in request for name in CREDENTIALS) else "public"
    seconds = int(max_age.total_seconds())
    lasting = f"max-age={seconds}" if seconds else "no-cache"  # which lets it be kept, and asked for every time
    return {"Cache-Control": f"{kept_by}, {lasting}", "Vary": VARY, "ETag": entity_tag(answer)}


def is_there_already(answer: Answer, request: Headers) -> bool:
    """Whether the client has this very answer, and needs to be told that only: status 304."""
    known = request.getlist("if-none-match")
    return bool(known) and answer.may_be_kept and is_among(entity_tag(answer), known)
