"""What operators ask: whether it lives, whether it is ready, and how it is doing."""

import asyncio
from collections.abc import Awaitable, Callable

from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from resolvers.errors import RETRY_AFTER_S, PodiumError

READY_TIMEOUT_S = 2.0


def health_routes(
    expose: Callable[[], Awaitable[bytes]], check: Callable[[], Awaitable[object]], is_draining: Callable[[], bool]
) -> list[BaseRoute]:
    """`/livez`, `/readyz` and `/metrics`; `check` fails when the database does not answer, `expose` when
    other workers cannot be asked for their part.
    """

    async def livez(request: Request) -> Response:
        return PlainTextResponse("ok")

    async def readyz(request: Request) -> Response:
        if is_draining():
            return _not_ready("this server is stopping")
        answer = asyncio.ensure_future(check())
        try:  # shielded: when Postgres hangs, to cancel the question takes its time too
            await asyncio.wait_for(asyncio.shield(answer), READY_TIMEOUT_S)
        except (PodiumError, TimeoutError):
            answer.cancel()
            return _not_ready("the database does not answer")
        return PlainTextResponse("ok")

    async def show_metrics(request: Request) -> Response:
        try:
            return Response(await expose(), headers={"Content-Type": CONTENT_TYPE_LATEST})
        except TimeoutError:
            return _not_ready("the other workers cannot be asked")

    shown = (Route(path, show_metrics) for path in ("/metrics", "/metrics/"))
    return [Route("/livez", livez), Route("/readyz", readyz), *shown]


def _not_ready(reason: str) -> Response:
    headers = {"Retry-After": str(RETRY_AFTER_S), "Cache-Control": "no-store"}
    return JSONResponse({"error": reason}, 503, headers=headers)
