"""Whether questions may be asked of a replica: how old its answers are, and where they are asked instead."""

from collections import deque
from collections.abc import Callable
from math import inf
from time import monotonic
from typing import NamedTuple, Protocol

from db.replication import ASK_TIMEOUT_S, Position
from db.routing import RoutedReads, Source

INTERVAL_S = 0.5
# A replica may stop just when it was found to be well, and is used until the next look has ended.
HELD_S = INTERVAL_S + 2 * ASK_TIMEOUT_S
MAX_SAMPLES = 1200


class Sample(NamedTuple):
    """Where the primary was at some time of this process's clock."""

    at: float
    position: int


class Lag:
    """How old a replica's data are, told by where the primary was when: no clocks of two machines are compared, and an
    idle primary makes nothing old.
    """

    def __init__(self) -> None:
        self._samples: deque[Sample] = deque(maxlen=MAX_SAMPLES)

    def primary_was(self, at: float, position: int) -> None:
        """Note where the primary was; a smaller position than before is another primary's."""
        while self._samples and self._samples[-1].position > position:
            self._samples.pop()
        self._samples.append(Sample(at, position))

    def of(self, position: int) -> float | None:
        """For how many seconds at most the primary, when last heard of, had been past this position; None when that is
        longer than anything that was noted.
        """
        reached = next((sample for sample in reversed(self._samples) if sample.position <= position), None)
        return self._samples[-1].at - reached.at if reached else None


class Server(Protocol):
    """Somebody who can be asked; db/replication.py has the real ones."""

    async def position(self) -> Position | None:
        """Where it is; None when it does not answer."""

    def close(self) -> None:
        """Hang up."""


class Replica:
    """Looks how the server of questions is, and leads questions to it while no answer of its is older than `max_lag_s`.

    While the primary is away, its age when the primary was last heard of counts: nothing can be stored since.
    """

    def __init__(
        self,
        reads: RoutedReads,
        primary: Server,
        replica: Server,
        max_lag_s: float,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.lag_s = inf
        self._reads = reads
        self._primary = primary
        self._replica = replica
        self._max_lag_s = max_lag_s - HELD_S
        self._clock = clock
        self._lag = Lag()

    async def look(self) -> None:
        """Ask both servers, the primary first, and lead questions where they belong."""
        asked_at = self._clock()
        primary = await self._primary.position()
        replica = await self._replica.position()
        if primary and primary.position is not None:
            self._lag.primary_was(asked_at, primary.position)
        lag_s = self._lag.of(replica.position) if replica and replica.position is not None else None
        self.lag_s = inf if lag_s is None else lag_s
        if (decided := self._decide(primary, replica, lag_s)) is not None:
            self._reads.move(*decided)

    def close(self) -> None:
        """Hang up."""
        self._primary.close()
        self._replica.close()

    def _decide(
        self, primary: Position | None, replica: Position | None, lag_s: float | None
    ) -> tuple[Source, str] | None:
        """The source and why; None to stay, as nothing better is known."""
        if primary is None and (replica is None or not replica.is_replica):
            return None
        if replica is None:
            return Source.PRIMARY, "replica_away"
        if primary and primary.is_server_of(replica):
            return Source.OWN, "same_server"
        if not replica.is_replica:
            return Source.PRIMARY, "not_a_replica"
        if lag_s is None:
            return Source.PRIMARY, "lag_unknown"
        if lag_s > self._bound_s():
            return Source.PRIMARY, "replica_lags"
        return Source.REPLICA, "replica_is_well"

    def _bound_s(self) -> float:
        # Whoever has to come back must be well by far, so that a lag about the bound does not move reads to and fro.
        return self._max_lag_s if self._reads.source is Source.REPLICA else self._max_lag_s / 2
