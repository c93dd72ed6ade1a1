"""The original leaderboard's /api: its parameters, its answers, through the same resolvers as the graph."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from compat_rest.answering import Read, ReadEndpoint, Widening, WindowAnswer, never_widened
from compat_rest.endpoint import AnyMethod, other_method
from compat_rest.errors import PLAIN_TEXT, error_response
from compat_rest.questions import (
    DEFAULT_WINDOW,
    Parse,
    about_aggregates,
    about_everything,
    about_one_orchestrator,
    about_pipelines,
    about_top_score,
    interval,
    query_parameters,
)
from resolvers import leaderboard, listing
from resolvers.aggregation import Aggregate, Dimension
from resolvers.answers import Answers
from resolvers.catalog import REGIONS, Catalog
from resolvers.errors import PodiumError, Unauthenticated
from resolvers.filters import StatFilter, Window
from resolvers.idempotency import post_key
from resolvers.identity import Authenticator, Identity, Scope
from resolvers.reading import NotingRunner, Reads
from resolvers.recording import Recorder
from resolvers.results import JobType, as_posted, decode_result
from resolvers.rollups import read_state, widened
from resolvers.signing import WebhookHeaders


@dataclass(frozen=True, slots=True)
class LeaderboardApi:
    """Everything that /api needs: where to read, what to record with, who may, and the default window."""

    db: Any
    catalog: Catalog
    answers: Answers[WindowAnswer]
    recorder: Recorder
    authenticator: Authenticator
    reads_are_open: bool
    default_window: timedelta
    report: Callable[..., None]

    def routes(self) -> list[Route]:
        """The exact paths; anything else below /api is not found."""
        return [
            Route("/api/post_stats", AnyMethod(self._post_endpoint)),
            self._read_route("/api/aggregated_stats", about_aggregates, self.aggregated_stats, self.widening),
            self._read_route("/api/raw_stats", about_one_orchestrator, self.raw_stats),
            self._read_route("/api/top_ai_score", about_top_score, self.top_ai_score, self.widening),
            self._read_route("/api/pipelines", about_pipelines, self.pipelines, self.widening),
            self._read_route("/api/regions", about_everything, self.all_regions),
            Route("/api/{path:path}", AnyMethod(not_found)),
        ]

    async def aggregated_stats(self, wanted: StatFilter, reads: Reads) -> dict[str | None, Any]:
        """Scores by orchestrator and region."""
        wanted = self._in_time(wanted, reads)
        db, cells = NotingRunner(self.db, reads), (Dimension.ORCHESTRATOR, Dimension.REGION)
        answer: dict[str | None, Any] = {}
        for group in await leaderboard.aggregates(db, wanted, cells):
            answer.setdefault(group.key.orchestrator, {})[group.key.region] = _scores(group, wanted.job_type)
        return answer

    async def raw_stats(self, wanted: StatFilter, reads: Reads) -> dict[str, list[Any]]:
        """One orchestrator's results by region, newest first."""
        answer: dict[str, list[Any]] = {}
        for row in await listing.all_results(NotingRunner(self.db, reads), self._in_time(wanted, reads)):
            answer.setdefault(row.region, []).append(as_posted(row))
        return dict(sorted(answer.items()))

    async def top_ai_score(self, wanted: StatFilter, reads: Reads) -> dict[str, Any]:
        """The best AI cell of one orchestrator in the default window."""
        wanted = self._in_time(wanted, reads)
        (orchestrator,) = wanted.orchestrators or ()
        return dict(await leaderboard.top_ai_score(NotingRunner(self.db, reads), orchestrator, wanted.window) or {})

    async def pipelines(self, wanted: StatFilter, reads: Reads) -> dict[str, Any]:
        """The pipelines with their models and regions."""
        wanted = self._in_time(wanted, reads)
        (region,) = wanted.regions or (None,)
        rows = await leaderboard.pipelines(NotingRunner(self.db, reads), wanted.window, region)
        return {"pipelines": [dict(row) for row in rows]}

    async def all_regions(self, wanted: StatFilter, reads: Reads) -> dict[str, Any]:
        """Every region, in the original's order: transcoding before AI, the newest first."""
        reads.note(REGIONS.tables)
        rows = sorted(await self.catalog.regions(), key=lambda row: (row.job_type == "ai", -row.id))
        return {"regions": [{"id": row.code, "name": row.name, "type": row.job_type} for row in rows]}

    async def widening(self, wanted: StatFilter, reads: Reads) -> str | None:
        """The interval that is answered for, where it is wider than what is asked for: results of then are gone."""
        asked = self._in_time(wanted, reads).window
        state = await read_state(NotingRunner(self.db, reads))
        answered = widened(asked, state.results_since)
        return None if answered == asked else interval(answered)

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
            return other_method(request, "POST")
        try:
            await self.post_stats(await request.body(), request.headers)
        except PodiumError as error:
            self.report("results_refused", reason=error.code, count=1)
            return error_response(error)
        return PlainTextResponse("ok")

    def _read_route(
        self, path: str, parse: Parse, read: Read[StatFilter], widening: Widening[StatFilter] = never_widened
    ) -> Route:
        asked, answers = partial(question, parse), self.answers
        return ReadEndpoint(path, asked, read, answers, self.authenticator, self.reads_are_open, widening).route()

    def _in_time(self, wanted: StatFilter, reads: Reads) -> StatFilter:
        if wanted.window != DEFAULT_WINDOW:
            return wanted
        reads.is_of_the_present = True
        return replace(wanted, window=Window(since=datetime.now(UTC) - self.default_window))


def question(parse: Parse, request: Request) -> StatFilter:
    """What a request asks, by its parameters alone."""
    return parse(query_parameters(request.scope["query_string"]))


async def not_found(request: Request) -> Response:
    """The original's answer for a path that it does not have."""
    return Response("404 page not found\n", 404, headers=PLAIN_TEXT)


def _scores(group: Aggregate, job_type: JobType | None) -> dict[str, float]:
    scores = {"success_rate": group.success_rate, "round_trip_score": group.round_trip_score, "score": group.score}
    if job_type == "transcoding":
        scores |= {"total_score": group.score, "latency_score": group.round_trip_score}
    return scores
