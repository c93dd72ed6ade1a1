"""Answers computed once for all who ask the same: together while that goes on, and again while nothing changes."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import cached_property
from time import monotonic
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

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


class AnswerMemory:
    """Where the answers of all doors are kept: the most recently used ones, in `max_bytes`.

    Keys of different doors differ. `counts` is how many answers came from where.
    """

    def __init__(self, max_bytes: int) -> None:
        self.counts = {"kept": 0, "shared": 0, "computed": 0}
        self.max_bytes = max_bytes
        self._kept: LRUCache[bytes, _Sized] = LRUCache(max_bytes, lambda kept: kept.size)

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def used_bytes(self) -> int:
        """How much memory those take that are kept."""
        return int(self._kept.currsize)

    def get(self, key: bytes) -> Any:
        """What is kept by this key, None without."""
        return self._kept.get(key)

    def keep(self, key: bytes, kept: "_Sized") -> None:
        """Keep something, unless it is too large."""
        if kept.size * LARGEST_PART <= self.max_bytes:
            self._kept[key] = kept

    def forget(self, key: bytes) -> None:
        """Make room, because it is old."""
        del self._kept[key]


class Answers(Generic[AnswerT]):
    """The answers of one door, by keys that hold all that an answer depends on beside what it notes as read.

    Where the memory is of no bytes, and while others' changes are not heard of, everything is computed for whoever
    asks: nothing is kept, and nothing shared.
    """

    def __init__(self, versions: Versions, memory: AnswerMemory, clock: Callable[[], float] = monotonic) -> None:
        self._versions = versions
        self._memory = memory
        self._clock = clock
        self._flights: dict[bytes, _Flight[AnswerT]] = {}

    @property
    def are_shared(self) -> bool:
        """Whether anything may be kept, or computed for several who ask, at present."""
        return self._memory.max_bytes > 0 and self._versions.are_heard

    def begin(self) -> Reads:
        """What an answer will have read that is begun now."""
        return Reads(self._versions, self._clock)

    def kept(self, key: bytes | None) -> AnswerT | None:
        """The answer that is kept, if it is still what would be answered."""
        kept: _Kept[AnswerT] | None = self._memory.get(key) if key is not None else None
        if key is None or kept is None or not self._versions.are_heard:
            return None
        if not self._versions.are_unchanged(kept.tables, kept.moment) or self._clock() >= kept.good_until:
            self._memory.forget(key)
            return None
        self._memory.counts["kept"] += 1
        return kept.answer

    async def get(self, key: bytes | None, compute: Compute[AnswerT]) -> AnswerT:
        """An answer that is kept, or being computed, or else computed now, by this very call; without a key always so.

        Whoever comes after a change does not get what was read before it: that computation goes on for those who came
        earlier, and all who come meanwhile share the next one. So however fast changes follow each other, a question
        is computed once at a time. When whoever computes is cancelled, the next one who waits does it; an exception is
        raised to all who share it. Personal answers are nobody else's.
        """
        if key is None or not self.are_shared:
            return await self._alone(compute)
        has_waited = False
        while (flight := self._flights.get(key)) is not None:
            if not has_waited and not flight.reads.are_current():
                await asyncio.wait([flight.landed])
            elif (answer := await asyncio.shield(flight.landed)) is not None:
                self._memory.counts["shared"] += 1
                return answer
            if flight.reads.is_personal:
                return await self._alone(compute)
            has_waited = True  # so that whatever flies now began after this call
        return self.kept(key) or await self._fly(key, compute)

    async def _alone(self, compute: Compute[AnswerT]) -> AnswerT:
        self._memory.counts["computed"] += 1
        return await compute(self.begin())

    async def _fly(self, key: bytes, compute: Compute[AnswerT]) -> AnswerT:
        self._memory.counts["computed"] += 1
        flight = self._flights[key] = _Flight[AnswerT](self.begin())
        try:
            answer = await compute(flight.reads)
        except BaseException as error:
            flight.fail(error)
            raise
        else:
            flight.land(answer)
        finally:
            del self._flights[key]
        if answer.may_be_kept and not flight.reads.is_personal:
            self._keep(key, answer, flight.reads)
        return answer

    def _keep(self, key: bytes, answer: AnswerT, reads: Reads) -> None:
        if not self._versions.are_heard or not reads.are_current():
            return
        # An encoder leaves up to as much room again behind what it has written; a copy has none.
        answer = replace(answer, body=memoryview(answer.body).tobytes())
        size = len(key) + len(answer.body) + OVERHEAD_BYTES
        # Nothing of it has changed up to this moment, so that it counts from here.
        self._memory.keep(key, _Kept(answer, reads.tables, self._versions.moment, reads.good_until, size))


class _Sized(Protocol):
    @property
    def size(self) -> int:
        """How much memory it takes."""


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
