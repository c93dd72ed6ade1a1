"""What one GraphQL request carries to its resolvers."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from typing import Any, NamedTuple

from strawberry import Info
from strawberry.dataloader import DataLoader

from resolvers import audit, leaderboard, listing
from resolvers.aggregation import Aggregate, Dimension, Distribution, GroupKey
from resolvers.broadcast import Broadcast
from resolvers.catalog import REGIONS, Catalog
from resolvers.errors import InvalidArgument
from resolvers.filters import StatFilter, Window
from resolvers.identity import Authenticator, Identity, Scope
from resolvers.probe_feed import ProbeFeed
from resolvers.reading import NotingRunner, Reads
from resolvers.recording import Recorder
from resolvers.series import MAX_POINTS
from resolvers.streams.watching import Watching
from resolvers.telemetry.live import LogFeed
from resolvers.versions import Versions
from schema.limits import Limits
from schema.scalars import TimeRange

Load = Callable[[Any, list[Any]], Awaitable[list[Any]]]


@dataclass(frozen=True, slots=True)
class ServiceFacts:
    """What `service` tells of this server."""

    version: str
    default_window: timedelta
    max_body_bytes: int
    posting_enabled: bool
    limits: Limits


@dataclass(frozen=True, slots=True)
class Backend:
    """What the graph needs from the rest of podium; the same for every request."""

    db: Any
    write_db: Any
    catalog: Catalog
    recorder: Recorder
    broadcast: Broadcast
    log_feed: LogFeed
    watching: Watching
    probe_feed: ProbeFeed
    versions: Versions
    authenticator: Authenticator
    service: ServiceFacts
    report: Callable[..., None]

    @property
    def on_primary(self) -> "Backend":
        """The same, reading where results are written: a replica may not have yet what was just recorded."""
        return replace(self, db=self.write_db)


class AggregatesKey(NamedTuple):
    """One orchestrator's aggregates; those of several orchestrators that ask for the same are computed at once."""

    orchestrator: str
    wanted: StatFilter
    group_by: tuple[Dimension, ...]


class Question(NamedTuple):
    """What groups were asked for, over buckets of time that start at `starts` if there are any."""

    wanted: StatFilter
    group_by: tuple[Dimension, ...]
    starts: tuple[datetime, ...] | None = None


class DistributionsKey(NamedTuple):
    """The distributions of one group; those of all groups of a question are computed at once."""

    group: GroupKey
    question: Question
    bucket: int | None = None


class Context:
    """One request: who asks, and loaders that batch what its fields ask for; what it reads is noted in `reads`."""

    def __init__(
        self, backend: Backend, identity: Identity, reads: Reads | None = None, now: datetime | None = None
    ) -> None:
        self.backend = backend
        self.reads = reads or Reads(backend.versions)
        self.db = NotingRunner(backend.db, self.reads)
        self._identity = identity
        self._now = now or datetime.now(UTC)
        self._points = 0
        self._loads: set[asyncio.Task[Any] | None] = set()
        self._loaders: dict[Load, DataLoader[Any, Any]] = {}

    @cached_property
    def orchestrators(self) -> DataLoader[str, Any]:
        """Loads orchestrators by address."""
        return DataLoader(load_fn=self._noted(self._load_orchestrators))

    @cached_property
    def audit_entries(self) -> DataLoader[int, Any]:
        """Loads entries of the audit log by id."""
        return DataLoader(load_fn=self._noted(self._load_audit_entries))

    @cached_property
    def aggregates(self) -> DataLoader[AggregatesKey, list[Aggregate]]:
        """Loads the groups of single orchestrators."""
        return DataLoader(load_fn=self._noted(self._load_aggregates))

    @cached_property
    def distributions(self) -> DataLoader[DistributionsKey, dict[str, Distribution | None]]:
        """Loads how the times of a group spread."""
        return DataLoader(load_fn=self._noted(self._load_distributions))

    def loader(self, load: Load) -> DataLoader[Any, Any]:
        """The request's loader of what this function finds for many keys at once, in their order."""
        if load not in self._loaders:
            self._loaders[load] = DataLoader(load_fn=self._noted(partial(load, self.db)))
        return self._loaders[load]

    @property
    def now(self) -> datetime:
        """One present time for the whole request, so that equal questions of its fields are recognised as equal."""
        self.reads.is_of_the_present = True
        return self._now

    @property
    def identity(self) -> Identity:
        """Who asks."""
        self.reads.is_personal = True
        return self._identity

    def require(self, scope: Scope, field: str) -> None:
        """Raise Unauthenticated, Forbidden or PostingDisabled unless the client may ask for this field."""
        if not self.may(scope):
            self.backend.authenticator.require(self.identity, scope, field)

    def may(self, scope: Scope) -> bool:
        """Whether the client has this scope."""
        return scope in self._identity.scopes  # those with the same scopes are answered the same

    @property
    def actor(self) -> str:
        """Who asks, for the audit log."""
        return self.identity.subject or "anonymous"

    @property
    def scopes(self) -> Hashable:
        """What the client may do: those who may do the same and ask the same are answered the same."""
        return self._identity.scopes

    def renewed(self, backend: Backend) -> "Context":
        """The same client's, with another present time and nothing loaded."""
        return Context(backend, self._identity)

    def take_points(self, number: int) -> None:
        """Raise InvalidArgument when all series of the request have more points than one may have."""
        self._points += number
        if self._points > MAX_POINTS:
            message = f"bucket: the series of a request have at most {MAX_POINTS} points, and these {self._points}"
            raise InvalidArgument(message, field="bucket")

    def cancel_loads(self) -> None:
        """End what is being loaded: each load has a task of its own, which outlives those that wait for it."""
        for task in self._loads:
            if task:
                task.cancel()

    def _noted(self, load: Callable[[list[Any]], Awaitable[list[Any]]]) -> Callable[[list[Any]], Awaitable[list[Any]]]:
        async def noted(keys: list[Any]) -> list[Any]:
            self._loads.add(asyncio.current_task())
            return await load(keys)

        return noted

    @property
    def default_window(self) -> Window:
        """The window of questions that name none."""
        return Window(since=self.now - self.backend.service.default_window)

    def window(self, during: TimeRange | None) -> Window:
        """The window that is meant by an argument."""
        return during.window(self) if during else self.default_window

    def regions(self) -> list[Any] | Awaitable[list[Any]]:
        """All regions (id, code, job_type, name, created_at), by code and job type, or an awaitable of them."""
        self.reads.note(REGIONS.tables)
        known = self.backend.catalog.known_regions()
        return self.backend.catalog.regions() if known is None else known

    async def region(self, code: str, job_type: str | None) -> Any:
        """A region by its code, for a kind of job where that is known."""
        self.reads.note(REGIONS.tables)
        return await self.backend.catalog.region(code, job_type)

    def find_regions(self, keys: Sequence[tuple[str, str | None]]) -> list[Any]:
        """The regions with these codes, for these kinds of job, or an awaitable of one that is not known yet."""
        self.reads.note(REGIONS.tables)
        catalog = self.backend.catalog
        return [catalog.known_region(*key) or catalog.region(*key) for key in keys]

    def regions_of(self, ids: Sequence[int]) -> list[Any] | Awaitable[list[Any]]:
        """The regions with these ids, or an awaitable of them when any is not known yet."""
        self.reads.note(REGIONS.tables)
        known = self.backend.catalog.known_regions_of(ids)
        return self.backend.catalog.regions_of(ids) if known is None else known

    def find_orchestrators(self, addresses: Sequence[str]) -> list[Any]:
        """Awaitables of the orchestrators with these addresses; all of a request are read at once."""
        found = {address: self.orchestrators.load(address) for address in set(addresses)}
        return [found[address] for address in addresses]

    async def _load_orchestrators(self, addresses: list[str]) -> list[Any]:
        return await listing.orchestrators_by_address(self.db, addresses)

    async def _load_audit_entries(self, ids: list[int]) -> list[Any]:
        return await audit.entries_by_id(self.db, ids)

    async def _load_aggregates(self, keys: list[AggregatesKey]) -> list[list[Aggregate]]:
        found: dict[AggregatesKey, list[Aggregate]] = {key: [] for key in keys}
        for question in {(key.wanted, key.group_by) for key in keys}:
            wanted, group_by = question
            addresses = tuple(key.orchestrator for key in keys if (key.wanted, key.group_by) == question)
            if wanted.orchestrators is not None:
                named = {address.lower() for address in wanted.orchestrators}
                addresses = tuple(address for address in addresses if address in named)
            groups = await leaderboard.aggregates(self.db, replace(wanted, orchestrators=addresses), group_by)
            for group in groups:
                found[AggregatesKey(group.key.orchestrator or "", wanted, group_by)].append(group)
        return [found[key] for key in keys]

    async def _load_distributions(self, keys: list[DistributionsKey]) -> list[dict[str, Distribution | None]]:
        questions = {key.question for key in keys}
        found = {q: await leaderboard.distributions(self.db, q.wanted, q.group_by, q.starts) for q in questions}
        return [found[key.question].get((key.bucket, key.group), {}) for key in keys]


async def identified(backend: Backend, authorization: str, address: str) -> Context:
    """The context of a client that shows this on a socket; PodiumError when it is not who it says."""
    return Context(backend, await backend.authenticator.identify(authorization, address=address))


def context_of(info: Info) -> Context:
    """The request's context, typed."""
    context: Context = info.context
    return context
