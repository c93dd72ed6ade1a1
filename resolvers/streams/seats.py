"""What can be done about who watches what; both doors come here."""

from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from functools import partial
from typing import Any, TypeVar

from db.pool import Pool, Row
from db.statements import STATEMENTS, Statement
from resolvers.errors import InvalidArgument, NotFound, PodiumError, StreamLimitReached, Unavailable
from resolvers.streams.attempts import Attempts
from resolvers.streams.deciding import Ask, Decided, Rules, Verdict, decide, storable
from resolvers.streams.viewers import Viewer, streams_by_id, viewers_by_id

ADD_VIEWER = STATEMENTS["streams.add_viewer"]
ADD_STREAM = STATEMENTS["streams.add_stream"]
FOLLOW = STATEMENTS["streams.follow"]
SET_LIMIT = STATEMENTS["audit.set_stream_limit"]
RELEASE = STATEMENTS["audit.release_streams"]

MAX_LIMIT = 1000
REFUSALS = (Verdict.LIMIT_REACHED, Verdict.UNKNOWN_VIEWER, Verdict.UNKNOWN_STREAM)

Found = TypeVar("Found")
Submit = Callable[[list[Ask]], Awaitable[list[Verdict]]]


class Seats:
    """Activates and deactivates streams, together with what others ask for meanwhile: `submit` collects it, and has it
    decided by `decide_together`.

    Everything raises Unavailable while the database is away, at once when that is known, and within 2 s when it hangs.
    `counts` has how often each verdict was given, `unavailable` those that got none, and `expired` leases that ended.
    """

    def __init__(self, db: Pool, rules: Rules, counts: Counter[str]) -> None:
        self.rules = rules
        self.counts = counts
        self.submit: Submit = self.decide_together
        self._db = db
        self._attempts = Attempts()

    async def decide(self, ask: Ask) -> Verdict:
        """What becomes of this."""
        try:
            self._attempts.admit()
            (verdict,) = await self.submit([ask])
        except Unavailable:
            self.counts["unavailable"] += 1
            raise
        return verdict

    async def decide_together(self, asks: list[Ask]) -> list[Verdict]:
        """What becomes of each of these."""
        decided: Decided = await self._attempts.run(partial(decide, self._db, asks, self.rules))
        self.counts.update(decided.verdicts)
        self.counts["expired"] += decided.expired
        return decided.verdicts

    async def activate(self, viewer: str, stream: str) -> Viewer:
        """The viewer, who watches this stream from now on; NotFound or StreamLimitReached if that cannot be."""
        return await self._done(Ask(storable(viewer), storable(stream), activates=True))

    async def deactivate(self, viewer: str, stream: str) -> Viewer:
        """The viewer, who watches this stream no more, if it ever did; NotFound where one of them is not there."""
        return await self._done(Ask(storable(viewer), storable(stream), activates=False))

    async def add_viewer(self) -> str:
        """The id of a new viewer."""
        return str(await self._attempt(ADD_VIEWER))

    async def add_stream(self) -> str:
        """The id of a new stream."""
        return str(await self._attempt(ADD_STREAM))

    async def set_limit(self, viewer: str, limit: int | None, *, actor: str) -> Viewer:
        """Let a viewer watch so many streams at the same time, as many as others if None. What is watched goes on."""
        if limit is not None and not 0 <= limit <= MAX_LIMIT:
            raise InvalidArgument(f"limit: a whole number from 0 to {MAX_LIMIT}, not {limit}", field="limit")
        return await self._changed(await self._attempt(SET_LIMIT, viewer=storable(viewer), limit=limit, actor=actor))

    async def release(self, viewer: str, streams: Sequence[str] | None = None, *, actor: str) -> Viewer:
        """Free these streams of a viewer, whatever has become of them, or all if None."""
        given = None if streams is None else [storable(stream) for stream in streams]
        id_ = await self._attempt(RELEASE, viewer=storable(viewer), streams=given, actor=actor)
        return await self._changed(id_)

    async def viewer(self, id_: str) -> Viewer | None:
        """A viewer as it is on the primary, None where there is none."""
        (viewer,) = await self._run(partial(viewers_by_id, self._db, [storable(id_)], default_limit=self.rules.limit))
        return viewer

    async def follow(self, viewers: Iterable[str], seconds: float) -> None:
        """Have the database call out for so long what changes about these viewers."""
        await self._attempt(FOLLOW, viewers=[storable(viewer) for viewer in viewers], seconds=seconds)

    async def stream(self, id_: str) -> Row | None:
        """A stream (id, created_at) as it is on the primary, None where there is none."""
        (stream,) = await self._run(partial(streams_by_id, self._db, [storable(id_)]))
        return stream

    async def _done(self, ask: Ask) -> Viewer:
        verdict = await self.decide(ask)
        if verdict in REFUSALS:
            raise refusal(verdict)
        return await self._changed(ask.viewer)

    async def _changed(self, id_: str | None) -> Viewer:
        viewer = await self.viewer(id_) if id_ else None
        if viewer is None:
            raise refusal(Verdict.UNKNOWN_VIEWER)
        return viewer

    async def _attempt(self, statement: Statement, **parameters: Any) -> Any:
        return await self._run(partial(self._db.fetchval, statement, **parameters))

    async def _run(self, work: Callable[[], Coroutine[Any, Any, Found]]) -> Found:
        self._attempts.admit()
        return await self._attempts.run(work)


def refusal(verdict: Verdict) -> PodiumError:
    """Why something was not done."""
    if verdict is Verdict.LIMIT_REACHED:
        return StreamLimitReached()
    what = "viewer" if verdict is Verdict.UNKNOWN_VIEWER else "stream"
    return NotFound(f"there is no {what} with this id", field=what)
