"""The original leaderboard's /api: its parameters, its answers, through the same resolvers as the graph."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from compat_rest.endpoint import AnyMethod
from compat_rest.errors import PLAIN_TEXT, error_response
from compat_rest.parameters import UNIX_SECONDS, query_pairs
from resolvers import leaderboard, listing
from resolvers.aggregation import Aggregate, Dimension
from resolvers.catalog import Catalog
from resolvers.errors import InvalidArgument, PodiumError, Unauthenticated
from resolvers.filters import StatFilter, Window, from_unix
from resolvers.idempotency import post_key
from resolvers.identity import Authenticator, Identity, Scope
from resolvers.recording import Recorder
from resolvers.results import JobType, as_posted, decode_result
from resolvers.signing import WebhookHeaders

READ_HEADERS = {
    "Content-Type": "application/json",
    "Access-Control-Allow-Origin": "*",
    "Cache-Control": "public, max-age=30, stale-while-revalidate=15",
}
PRIVATE_HEADERS = READ_HEADERS | {"Cache-Control": "private, no-store", "Vary": "Authorization"}

Parameters = Mapping[str, str]
Read = Callable[[Parameters], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class LeaderboardApi:
    """Everything that /api needs: where to read, what to record with, who may, and the default window."""

    db: Any
    catalog: Catalog
    recorder: Recorder
    authenticator: Authenticator
    reads_are_open: bool
    default_window: timedelta
    report: Callable[..., None]

    def routes(self) -> list[Route]:
        """The exact paths; anything else below /api is not found."""
        reads = {
            "/api/aggregated_stats": self.aggregated_stats,
            "/api/raw_stats": self.raw_stats,
            "/api/top_ai_score": self.top_ai_score,
            "/api/pipelines": self.pipelines,
            "/api/regions": self.all_regions,
        }
        return [
            Route("/api/post_stats", AnyMethod(self._post_endpoint)),
            *(self._read_route(path, read) for path, read in reads.items()),
            Route("/api/{path:path}", AnyMethod(not_found)),
        ]

    async def aggregated_stats(self, parameters: Parameters) -> dict[str | None, Any]:
        """Scores by orchestrator and region."""
        wanted = self._filter(parameters)
        if parameters.get("pipeline") and not parameters.get("model"):
            raise InvalidArgument("model required", field="model")
        groups = await leaderboard.aggregates(self.db, wanted, (Dimension.ORCHESTRATOR, Dimension.REGION))
        answer: dict[str | None, Any] = {}
        for group in groups:
            answer.setdefault(group.key.orchestrator, {})[group.key.region] = _scores(group, wanted.job_type)
        return answer

    async def raw_stats(self, parameters: Parameters) -> dict[str, list[Any]]:
        """One orchestrator's results by region, newest first."""
        wanted = self._filter(parameters)
        if wanted.orchestrators is None:
            raise InvalidArgument("orchestrator is a required parameter", field="orchestrator")
        answer: dict[str, list[Any]] = {}
        for row in await listing.all_results(self.db, wanted):
            answer.setdefault(row.region, []).append(as_posted(row))
        return dict(sorted(answer.items()))

    async def top_ai_score(self, parameters: Parameters) -> dict[str, Any]:
        """The best AI cell of one orchestrator in the default window."""
        orchestrator = parameters.get("orchestrator")
        if not orchestrator:
            raise InvalidArgument("orchestrator is a required parameter", field="orchestrator")
        return dict(await leaderboard.top_ai_score(self.db, orchestrator, self._default_window()) or {})

    async def pipelines(self, parameters: Parameters) -> dict[str, Any]:
        """The pipelines with their models and regions."""
        rows = await leaderboard.pipelines(self.db, self._window(parameters), parameters.get("region"))
        return {"pipelines": [dict(row) for row in rows]}

    async def all_regions(self, parameters: Parameters) -> dict[str, Any]:
        """Every region, in the original's order: transcoding before AI, the newest first."""
        rows = sorted(await self.catalog.regions(), key=lambda row: (row.job_type == "ai", -row.id))
        return {"regions": [{"id": row.code, "name": row.name, "type": row.job_type} for row in rows]}

    async def post_stats(self, body: bytes, headers: Headers) -> None:
        """Store one result; who sent it is checked before anything is parsed."""
        poster = await self._poster(body, headers)
        await self.recorder.store([await self.recorder.check(decode_result(body))], post_key(poster))

    async def _poster(self, body: bytes, headers: Headers) -> Identity:
        webhook = WebhookHeaders.of(headers)
        identity = await self.authenticator.identify(headers.get("authorization", ""), body, webhook)
        try:
            self.authenticator.require(identity, Scope.PUBLISH, "post_stats")
        except Unauthenticated:
            raise Unauthenticated from None  # in the words of the original
        return identity

    async def _post_endpoint(self, request: Request) -> Response:
        if request.method != "POST":
            return _other_method(request, "POST")
        try:
            await self.post_stats(await request.body(), request.headers)
        except PodiumError as error:
            self.report("results_refused", reason=error.code, count=1)
            return error_response(error)
        return PlainTextResponse("ok")

    def _read_route(self, path: str, read: Read) -> Route:
        headers = READ_HEADERS if self.reads_are_open else PRIVATE_HEADERS

        async def endpoint(request: Request) -> Response:
            if request.method not in ("GET", "HEAD"):
                return _other_method(request, "GET, HEAD")
            try:
                if not self.reads_are_open:
                    await self._require_read(request)
                answer = await read(query_parameters(request.scope["query_string"]))
            except PodiumError as error:
                return error_response(error, headers)
            return Response(orjson.dumps(answer), headers=headers)

        return Route(path, AnyMethod(endpoint))

    async def _require_read(self, request: Request) -> None:
        identity = await self.authenticator.identify(request.headers.get("authorization", ""))
        self.authenticator.require(identity, Scope.READ, request.url.path.removeprefix("/api/"))

    def _filter(self, parameters: Parameters) -> StatFilter:
        window = self._window(parameters)
        model, pipeline = parameters.get("model"), parameters.get("pipeline")
        if model and not pipeline:
            raise InvalidArgument("pipeline required", field="pipeline")
        return StatFilter(
            window=window,
            job_type=_job_type(parameters.get("job_type"), is_ai=bool(pipeline)),
            orchestrators=_one(parameters.get("orchestrator")),
            regions=_one(parameters.get("region")),
            pipelines=_one(pipeline),
            models=_one(model),
        )

    def _window(self, parameters: Parameters) -> Window:
        since, until = _time(parameters, "since"), _time(parameters, "until")
        if since is None and until is None:
            return self._default_window()
        return Window(since, until)

    def _default_window(self) -> Window:
        return Window(since=datetime.now(UTC) - self.default_window)


async def not_found(request: Request) -> Response:
    """The original's answer for a path that it does not have."""
    return Response("404 page not found\n", 404, headers=PLAIN_TEXT)


def query_parameters(query: bytes) -> dict[str, str]:
    """The parameters of a query string: the first of repeated names counts, blank means absent."""
    parameters: dict[str, str] = {}
    for name, value in query_pairs(query):
        parameters.setdefault(name, value)
    for name, value in parameters.items():
        if "\0" in value:
            raise InvalidArgument(f"{name}: a NUL character matches nothing", field=name)
    return {name: value for name, value in parameters.items() if value}


def _other_method(request: Request, allowed: str) -> Response:
    allow = {"Allow": f"{allowed}, OPTIONS"}
    if request.method == "OPTIONS":
        cors = {"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Methods": allow["Allow"]}
        return Response(status_code=204, headers={**allow, **cors, "Access-Control-Allow-Headers": "*"})
    body = orjson.dumps({"error": f"{request.method} is not allowed here"})
    return Response(body, 405, headers={**allow, **PLAIN_TEXT})


def _scores(group: Aggregate, job_type: JobType | None) -> dict[str, float]:
    scores = {"success_rate": group.success_rate, "round_trip_score": group.round_trip_score, "score": group.score}
    if job_type == "transcoding":
        scores |= {"total_score": group.score, "latency_score": group.round_trip_score}
    return scores


def _job_type(given: str | None, *, is_ai: bool) -> JobType:
    if given == "ai" or (given != "transcoding" and is_ai):
        return "ai"
    return "transcoding"


def _one(value: str | None) -> tuple[str] | None:
    return (value,) if value else None


def _time(parameters: Parameters, name: str) -> datetime | None:
    value = parameters.get(name)
    if value is None:
        return None
    if not UNIX_SECONDS.fullmatch(value):
        raise InvalidArgument(f"{name}: Unix seconds, for instance 1726864722.5, not {value[:40]}", field=name)
    return from_unix(name, float(value))
