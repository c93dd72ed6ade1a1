"""Benchmarks in the graph, with their events, their targets and what they ran on; and the sizes of the database."""

from collections.abc import Callable, Sequence
from datetime import datetime
from enum import Enum
from functools import partial
from typing import Any

import strawberry
from strawberry import Info

from resolvers import benchmarks, database_relations, host_systems
from resolvers.page import encode_cursor, page_request
from resolvers.telemetry.listing import peers_by_name
from schema.connection import After, Before, Connection, First, Last, connection
from schema.context import context_of
from schema.leaderboard import source_row
from schema.node import Node, global_id
from schema.permissions import READ
from schema.scalars import Json
from schema.telemetry import Peer


def _loaded(load: Callable[..., Any], key: Callable[[Any], Any], description: str) -> Any:
    """A field of what this function finds for the keys of many at once; null where there is no key."""

    def many(rows: Sequence[Any], info: Info) -> list[Any]:
        loader, keys = context_of(info).loader(load), [key(row) for row in rows]
        return [None if key is None else loader.load(key) for key in keys]

    def resolve(self, info: Info):  # type: ignore[no-untyped-def]  # what it returns is said where it is used
        return many([self], info)[0]

    return strawberry.field(resolver=resolve, description=description, metadata={"many": many})


@strawberry.type(description="A machine that benchmarks run on.")
class HostSystem(Node):
    description: str = strawberry.field(description="What its owner says of it.")
    os: str = strawberry.field(description="The operating system.")
    cpu_qty: int = strawberry.field(description="How many processors it has.")
    cpu_clock: int = strawberry.field(description="Their clock, in MHz.")
    ram_mb: int = strawberry.field(description="Its memory, in MB.")
    disk_info: str = strawberry.field(description="What disks it has.")
    created_at: datetime = strawberry.field(description="When podium was told of it.")

    @strawberry.field(description="The global id.")
    def id(self) -> strawberry.ID:
        return global_id("HostSystem", source_row(self).id)

    @strawberry.field(description="Its id in the old URLs.")
    def number(self) -> int:
        return int(source_row(self).id)

    @classmethod
    def is_type_of(cls, source: Any, _info: Any) -> bool:
        """A host system is a row with processors."""
        return "cpu_qty" in source


@strawberry.type(description="Something that happened in a benchmark.")
class BenchmarkEvent:
    name: str = strawberry.field(description="What it is about.")
    phase: str = strawberry.field(description="Which phase of it, like `start` or `end`.")
    created_at: datetime = strawberry.field(description="When it happened, as whoever told of it says.")

    @strawberry.field(description="Its id in the old URLs.")
    def number(self) -> int:
        return int(source_row(self).id)


def _node(row: Any) -> str | None:
    return benchmarks.node_of(row.setup)


@strawberry.type(
    description="A benchmark, in one of two forms: a setup of any shape, or the older one with a host system and times."
)
class Benchmark(Node):
    created_at: datetime = strawberry.field(description="When it was stored, by the database's clock.")
    setup: Json | None = strawberry.field(description="How it was set up; null in the older form.")
    description: str | None = strawberry.field(description="In the older form: what it is.")
    chain_spec: Json | None = strawberry.field(description="In the older form: the chain.")
    benchmark_spec: Json | None = strawberry.field(description="In the older form: what was done.")
    started_at: datetime | None = strawberry.field(description="In the older form: when it began.")
    ended_at: datetime | None = strawberry.field(description="In the older form: when it ended.")
    host_system: HostSystem | None = _loaded(
        host_systems.host_systems_by_id,
        lambda row: row.host_system_id,
        "In the older form: the machine that it ran on.",
    )
    events: list[BenchmarkEvent] = _loaded(
        benchmarks.events_of, lambda row: row.id, "What happened in it, newest first."
    )
    peer: Peer | None = _loaded(
        peers_by_name,
        _node,
        "The node that it is about, `substrate.peerId` of its setup; null when podium never heard of it.",
    )

    @strawberry.field(description="The global id.")
    def id(self) -> strawberry.ID:
        return global_id("Benchmark", source_row(self).id)

    @strawberry.field(description="Its id in the old URLs.")
    def number(self) -> int:
        return int(source_row(self).id)

    @strawberry.field(description="What the node that it is about has logged about, ascending; empty without one.")
    async def targets(self, info: Info) -> list[str]:
        node = _node(self)
        targets: list[str] = [] if node is None else await context_of(info).loader(benchmarks.targets_of).load(node)
        return targets

    @classmethod
    def is_type_of(cls, source: Any, _info: Any) -> bool:
        """A benchmark is a row with a specification."""
        return "benchmark_spec" in source


@strawberry.enum(description="What kind of relation takes room.")
class RelationKind(Enum):
    TABLE = strawberry.enum_value("table", description="A table, or a partition of one, with what it keeps aside.")
    INDEX = strawberry.enum_value("index", description="An index, or that of a partition.")
    SEQUENCE = strawberry.enum_value("sequence", description="A sequence of numbers.")


@strawberry.type(description="What takes room in podium's database. The sizes of all of them add up.")
class DatabaseRelation:
    schema: str = strawberry.field(description="The schema of the database that it is in.")
    name: str = strawberry.field(description="Its name there.")
    kind: RelationKind = strawberry.field(description="What it is.")
    size_bytes: float = strawberry.field(description="Its size in bytes: a whole number, which may need 53 bits.")
    size: str = strawberry.field(description="The same for people, like `8192 bytes` or `12 MB`.")


@strawberry.type
class BenchmarksQuery:
    @strawberry.field(extensions=[READ], description="Benchmarks, newest first.")
    async def benchmarks(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[Benchmark]:
        db = context_of(info).db
        page = await benchmarks.benchmarks_page(db, page_request(first, after, last, before))
        return connection(
            page,
            lambda row: encode_cursor(*benchmarks.benchmark_cursor(row)),
            partial(benchmarks.count_benchmarks, db),
        )

    @strawberry.field(extensions=[READ], description="The machines that benchmarks run on, by their number.")
    async def host_systems(self, info: Info) -> list[HostSystem]:
        rows: Any = await host_systems.all_host_systems(context_of(info).db)
        return list(rows)

    @strawberry.field(
        extensions=[READ], description="What takes room in podium's database, the largest first; indexes by themselves."
    )
    async def database_relations(self, info: Info) -> list[DatabaseRelation]:
        context = context_of(info)
        rows: Any = await database_relations.relations(context.db, context.reads)
        return list(rows)
