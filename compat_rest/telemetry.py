"""The old URLs of telemetry that are asked about nodes: their parameters, their answers, through shared resolvers."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from compat_rest.answering import Read, ReadEndpoint, WindowAnswer
from compat_rest.endpoint import AnyMethod
from compat_rest.errors import JSON
from compat_rest.resource import OPEN
from compat_rest.telemetry_parameters import (
    LogsQuestion,
    OpinionsQuestion,
    ReputationsQuestion,
    about_everything,
    about_log_stats,
    about_logs,
    about_opinions,
    about_reputations,
    named_in_path,
)
from resolvers.answers import Answers
from resolvers.identity import Authenticator
from resolvers.reading import NotingRunner, Reads
from resolvers.telemetry.logs import log_counts, newest_logs
from resolvers.telemetry.peers import id_of, latest_connections
from resolvers.telemetry.reputation import latest_reputations, reputations_of
from resolvers.times import format_zoneless

Question = TypeVar("Question")
Shown = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class TelemetryApi:
    """What questions about nodes need: where to read, what is kept of answers, and who may ask."""

    db: Any
    answers: Answers[WindowAnswer]
    authenticator: Authenticator
    reads_are_open: bool

    def routes(self) -> list[Route]:
        """The paths, each with or without a slash at its end."""
        endpoints: list[ReadEndpoint[Any]] = [
            self._endpoint("/nodes", about_everything, self.nodes),
            self._endpoint("/nodes/log_stats", about_log_stats, self.log_stats),
            self._endpoint("/nodes/logs", about_logs, self.logs),
            self._endpoint("/reputation", about_reputations, self.reputations),
        ]
        exact = [Route(endpoint.path + end, AnyMethod(endpoint.respond)) for endpoint in endpoints for end in ("", "/")]
        return [*exact, Route("/reputation/{peer_id:path}", AnyMethod(self._below_reputation))]

    async def nodes(self, wanted: None, reads: Reads) -> Shown:
        """The latest connection of every node."""
        return [_node(row) for row in await latest_connections(NotingRunner(self.db, reads))]

    async def log_stats(self, peer_id: str | None, reads: Reads) -> Shown:
        """How many logs of each type a node has."""
        db = NotingRunner(self.db, reads)
        peer = None if peer_id is None else await id_of(db, peer_id)
        rows = [] if peer is None else await log_counts(db, peer)
        return [{"log_type": row.msg, "qty": row.logs} for row in rows]

    async def logs(self, asked: LogsQuestion, reads: Reads) -> Shown:
        """A node's logs, newest first; what it says about the future is shown to those who ask about then."""
        db = NotingRunner(self.db, reads)
        peer = await id_of(db, asked.peer_id)
        wanted = replace(asked.wanted, before=asked.wanted.before or datetime.now(UTC))
        rows = [] if peer is None else await newest_logs(db, peer, wanted, asked.limit)
        return [
            {
                "created_at": format_zoneless(ts),
                "ip_addr": ip_addr,
                "logs": orjson.Fragment(message),
                "msg": msg,
                "peer_id": asked.peer_id,
            }
            for _, ts, msg, message, ip_addr in rows
        ]

    async def reputations(self, asked: ReputationsQuestion, reads: Reads) -> Shown:
        """What nodes think of others at present."""
        return await self._reputations(asked, reads, of_logged=False)

    async def reputations_of_logged(self, asked: ReputationsQuestion, reads: Reads) -> Shown:
        """What nodes think of others that are nodes here."""
        return await self._reputations(asked, reads, of_logged=True)

    async def opinions(self, asked: OpinionsQuestion, reads: Reads) -> Shown:
        """What nodes have thought of one."""
        wanted = replace(asked.wanted, before=asked.wanted.before or datetime.now(UTC))
        rows = await reputations_of(NotingRunner(self.db, reads), asked.peer_id, wanted, asked.limit)
        return [{**row, "ts": format_zoneless(row.ts)} for row in rows]

    async def _reputations(self, asked: ReputationsQuestion, reads: Reads, *, of_logged: bool) -> Shown:
        now = datetime.now(UTC)
        after = _before(now, asked.max_age_s)
        rows = await latest_reputations(NotingRunner(self.db, reads), after, now, asked.limit, of_logged=of_logged)
        return [{**row, "ts": format_zoneless(row.ts)} for row in rows]

    async def _below_reputation(self, request: Request) -> Response:
        match named_in_path(request):
            case b"":
                return Response(status_code=404)
            case b"logged":
                logged = self._endpoint("/reputation/logged", about_reputations, self.reputations_of_logged)
                return await logged.respond(request)
            case _:
                opinions = self._endpoint("/reputation/{peer_id}", about_opinions, self.opinions)
                return await opinions.respond(request)

    def _endpoint(
        self, path: str, parse: Callable[[Request], Question], read: Read[Question]
    ) -> ReadEndpoint[Question]:
        answers, authenticator, is_open = self.answers, self.authenticator, self.reads_are_open
        return ReadEndpoint(path, parse, read, answers, authenticator, is_open, headers=OPEN, form_of_errors=JSON)


def _node(row: Any) -> dict[str, Any]:
    return {
        "audit": row.is_audit,
        "authority": row.authority,
        "chain": row.chain,
        "created_at": format_zoneless(row.opened_at),
        "id": row.id,
        "implementation": row.implementation,
        "ip_addr": row.ip_addr,
        "name": row.name,
        "peer_id": row.peer_id,
        "startup_time": row.startup_time,
        "version": row.version,
    }


def _before(now: datetime, age_s: int) -> datetime | None:
    """The time that is so long ago; None where it is before all times, the last one where it is after all."""
    try:
        return now - timedelta(seconds=age_s)
    except OverflowError:
        return None if age_s > 0 else datetime.max.replace(tzinfo=UTC)
