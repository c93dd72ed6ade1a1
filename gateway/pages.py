"""What a browser sees: the landing page, GraphiQL, and the static files of both."""

import re
from os import stat_result
from pathlib import Path
from typing import Final

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import PathLike, StaticFiles
from starlette.types import Scope

from compat_rest.tagged import tagged
from resolvers.answers import Answer
from schema.negotiation import preferred
from schema.root import SDL

STATIC: Final = Path(__file__).parent / "static"

# Style attributes and elements are written by the editor at run time, `data:` images are icons in style sheets, and
# `ws:` and `wss:` are for browsers whose 'self' does not cover the websocket of subscriptions.
CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'self'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "connect-src 'self' ws: wss:",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
SECURITY_HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
REVALIDATE: Final = "no-cache"
IMMUTABLE: Final = "public, max-age=31536000, immutable"
NEGOTIATED: Final = SECURITY_HEADERS | {"Cache-Control": REVALIDATE, "Vary": "Accept"}
CONTENT_HASHED: Final = re.compile(r"-[A-Z0-9]{8}\.(css|js)$")

CONTENTS: Final = {
    "name": "podium",
    "description": "A GraphQL gateway over Postgres for the performance record of decentralised video and AI networks.",
    "graphql": "/graphql",
    "schema": "/schema.graphql",
    "rest": [
        "/api/regions",
        "/api/pipelines",
        "/api/aggregated_stats",
        "/api/raw_stats",
        "/api/top_ai_score",
        "/api/post_stats",
        "/benchmarks",
        "/benchmarks/events",
        "/host_systems",
        "/stats/db",
        "/nodes",
        "/nodes/log_stats",
        "/nodes/logs",
        "/reputation",
        "/reputation/logged",
    ],
    "metrics": "/metrics",
    "health": ["/livez", "/readyz"],
}

ENCODED_CONTENTS: Final = Answer(orjson.dumps(CONTENTS), may_be_kept=True)
ENCODED_SDL: Final = Answer(SDL.encode(), may_be_kept=True)


def routes() -> list[BaseRoute]:
    """`/` and `/static/...`."""
    return [Route("/", landing), Mount("/static", PageFiles(directory=STATIC), name="static")]


async def landing(request: Request) -> Response:
    """The first page for a browser, and the same names as JSON for a program."""
    if wants_html(request.headers.get("accept", "")):
        return _page(request, "index.html")
    return tagged(ENCODED_CONTENTS, request, NEGOTIATED | {"Content-Type": "application/json"})


async def sdl(request: Request) -> Response:
    """The schema, as text."""
    return tagged(ENCODED_SDL, request, {"Content-Type": "text/plain; charset=utf-8", "Cache-Control": REVALIDATE})


def graphiql(request: Request) -> Response:
    """The page for a GET of the GraphQL endpoint whose Accept takes text/html."""
    return _page(request, "graphiql/index.html")


def documents_only(request: Request) -> Response:
    """The page instead of GraphiQL where only the documents of a manifest are executed."""
    return _page(request, "documents.html")


def wants_html(accept: str) -> bool:
    """Whether text/html is more welcome than JSON; `*/*`, as curl sends it, takes either."""
    return preferred(accept, ("application/json", "text/html")) == "text/html"


class PageFiles(StaticFiles):
    """Files with a content hash in their name are kept for a year; the others are asked for again by their ETag."""

    def file_response(
        self, full_path: PathLike, stat_result: stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers.update(SECURITY_HEADERS)
        response.headers["Cache-Control"] = IMMUTABLE if CONTENT_HASHED.search(str(full_path)) else REVALIDATE
        return response


FILES: Final = PageFiles(directory=STATIC)


def _page(request: Request, name: str) -> Response:
    path = STATIC / name
    response = FILES.file_response(path, path.stat(), request.scope)
    response.headers.update(NEGOTIATED)
    return response
