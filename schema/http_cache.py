"""What clients and caches in between may keep of answers to GET: entity tags, Cache-Control and Vary (RFC 9111)."""

from datetime import timedelta

from starlette.datastructures import Headers

from resolvers.answers import Answer

VARY = "Accept, Authorization"
CREDENTIALS = ("authorization", "webhook-id")


def cache_headers(answer: Answer, request: Headers, max_age: timedelta) -> dict[str, str]:
    """The headers of an answer to GET or HEAD.

    The tag is a weak one, because compression changes the bytes. What shows who asks is for the one who asks alone.
    """
    if not answer.may_be_kept:
        return {"Cache-Control": "no-store", "Vary": VARY}
    kept_by = "private" if any(name in request for name in CREDENTIALS) else "public"
    seconds = int(max_age.total_seconds())
    lasting = f"max-age={seconds}" if seconds else "no-cache"  # which lets it be kept, and asked for every time
    return {"Cache-Control": f"{kept_by}, {lasting}", "Vary": VARY, "ETag": _tag(answer)}


def is_there_already(answer: Answer, request: Headers) -> bool:
    """Whether the client has this very answer, and needs to be told that only: status 304."""
    known = ",".join(request.getlist("if-none-match"))
    if not known or not answer.may_be_kept:
        return False
    tags = {tag.strip() for tag in known.split(",")}
    return "*" in tags or _tag(answer).removeprefix("W/") in {tag.removeprefix("W/") for tag in tags}


def _tag(answer: Answer) -> str:
    return f'W/"{answer.digest}"'
