"""Answers computed once for all who ask the same: together while that goes on, and again while nothing changes."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import cached_property
from time import monotonic
from typing import Generic, NamedTuple, TypeVar

from cachetools import LRUCache

from resolvers.reading import Reads
from resolvers.versions import Versions

OVERHEAD_BYTES = 750  # of an answer that is kept, beside its key and its body
LARGEST_PART = 8  # what is larger than this part of the cache would drive too much else out


@dataclass(frozen=True)
class Answer:
    """An encoded answer. One that tells of a failure may not be kept, as the next attempt may succeed."""

    body: bytes
    may_be_kept: bool

    @cached_property
    def digest(self) -> str:
        """The same for equal bodies, and for them only."""
        return digest_of(self.body).hex()


def digest_of(text: bytes) -> bytes:
    """A short name of a text, which no other text has."""
    return hashlib.blake2b(text, digest_size=20).digest()


AnswerT = TypeVar("AnswerT", bound=Answer)
Compute = Callable[[Reads], Awaitable[AnswerT]]


class Answers(Generic[AnswerT]):
    """The answers of one gateway, by keys that hold all that an answer depends on beside what it notes as read.

    Kept are the most recently used, in `max_bytes`. With 0, and while others' changes are not heard of, everything is
    computed for whoever asks: nothing is kept, and nothing shared. `counts` is how many came from where.
    """

    def __init__(self, versions: Versions, max_bytes: int, clock: Callable[[], float] = monotonic) -> None:
        self.counts = {"kept": 0, "shared": 0, "computed": 0}
        self._versions = versions
        self._max_bytes = max_bytes
        self._clock = clock
        self._kept: LRUCache[bytes, _Kept[AnswerT]] = LRUCache(max_bytes, lambda kept: kept.size)
        self._flights: dict[bytes, _Flight[AnswerT]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def used_bytes(self) -> int:
        """How much memory those take that are kept."""
        return int(self._kept.currsize)

    @property
    def are_shared(self) -> bool:
        """Whether anything may be kept, or computed for several who ask, at present."""
        return self._max_bytes > 0 and self._versions.are_heard

    def begin(self) -> Reads:
        """What an answer will have read that is begun now."""
        return Reads(self._versions, self._clock)

    def kept(self, key: bytes | None) -> AnswerT | None:
        """The answer that is kept, if it is still what would be answered."""
        kept = self._kept.get(key) if key is not None else None
        if key is None or kept is None or not self._versions.are_heard:
            return None
        if not self._versions.are_unchanged(kept.tables, kept.moment) or self._clock() >= kept.good_until:
            del self._kept[key]
            return None
        self.counts["kept"] += 1
        return kept.answer

    async def get(self, key: bytes | None, compute: Compute[AnswerT]) -> AnswerT:
        """An answer that is kept, or being computed, or else computed now, by this very call; without a key always so.

        Whoever comes after a change does not get what was read before it. When whoever computes is cancelled, the next
        one who waits does it; an exception is raised to all of them. Personal answers are nobody else's.
        """
        if key is None or not self.are_shared:
            return await self._alone(compute)
        if (kept := self.kept(key)) is not None:
            return kept
        while (flight := self._flights.get(key)) is not None and flight.reads.are_current():
            answer = await asyncio.shield(flight.landed)
            if answer is not None:
                self.counts["shared"] += 1
                return answer
            if flight.reads.is_personal:
                return await self._alone(compute)
        return await self._fly(key, compute)

    async def _alone(self, compute: Compute[AnswerT]) -> AnswerT:
        self.counts["computed"] += 1
        return await compute(self.begin())

    async def _fly(self, key: bytes, compute: Compute[AnswerT]) -> AnswerT:
        self.counts["computed"] += 1
        flight = self._flights[key] = _Flight[AnswerT](self.begin())
        try:
            answer = await compute(flight.reads)
        except BaseException as error:
            flight.fail(error)
            raise
        else:
            flight.land(answer)
        finally:
            if self._flights.get(key) is flight:  # and not one that began after a change
                del self._flights[key]
        if answer.may_be_kept and not flight.reads.is_personal:
            self._keep(key, answer, flight.reads)
        return answer

    def _keep(self, key: bytes, answer: AnswerT, reads: Reads) -> None:
        size = len(key) + len(answer.body) + OVERHEAD_BYTES
        if size * LARGEST_PART > self._max_bytes or not self._versions.are_heard or not reads.are_current():
            return
        # An encoder leaves up to as much room again behind what it has written; a copy has none.
        answer = replace(answer, body=memoryview(answer.body).tobytes())
        # Nothing of it has changed up to this moment, so that it counts from here.
        self._kept[key] = _Kept(answer, reads.tables, self._versions.moment, reads.good_until, size)


class _Kept(NamedTuple, Generic[AnswerT]):
    answer: AnswerT
    tables: frozenset[str]
    moment: int
    good_until: float
    size: int


class _Flight(Generic[AnswerT]):
    """A computation that goes on; it lands with None for those who wait when it is not for them, or was given up."""

    def __init__(self, reads: Reads) -> None:
        self.reads = reads
        self.landed: asyncio.Future[AnswerT | None] = asyncio.get_running_loop().create_future()

    def land(self, answer: AnswerT) -> None:
        self.landed.set_result(None if self.reads.is_personal else answer)

    def fail(self, error: BaseException) -> None:
        if isinstance(error, Exception) and not self.reads.is_personal:
            self.landed.set_exception(error)
            self.landed.exception()  # nobody may be waiting
        else:
            self.landed.set_result(None)
