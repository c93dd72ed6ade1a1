"""Benchmarks, host systems and the sizes of the database, as the original telemetry service has them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
import orjson
from starlette.routing import Route

from compat_rest.resource import Access, NoForm, Resource
from resolvers import benchmarks, database_relations, host_systems
from resolvers.answers import Answer, Answers
from resolvers.benchmarks import Happening, Run, Setup
from resolvers.errors import InvalidArgument, NotFound
from resolvers.host_systems import NewHostSystem
from resolvers.reading import NotingRunner, Reads
from resolvers.storable import typed
from resolvers.times import format_zoneless, parse_zoneless

Params = Mapping[str, str]
Shown = dict[str, Any]

MAX_INT = 2**31 - 1
_ID = re.compile(r"[+-]?0{0,100}[0-9]{1,10}", re.ASCII)
REQUIRED_OF_RUN = frozenset(("host_system_id", "ts_start", "ts_end"))
REQUIRED_OF_EVENT = frozenset(("benchmark_id", "name", "phase", "created_at"))


class RunBody(msgspec.Struct, frozen=True):
    """The older form of a benchmark."""

    host_system_id: int
    ts_start: str
    ts_end: str
    description: str | None = None
    chain_spec: Any = None
    benchmark_spec: Any = None


class EventBody(msgspec.Struct, frozen=True):
    """An event of a benchmark."""

    benchmark_id: int
    name: str
    phase: str
    created_at: str


@dataclass(frozen=True, slots=True)
class BenchmarksApi:
    """Where these URLs read and write, and who may."""

    db: Any
    write_db: Any
    answers: Answers[Answer]
    access: Access

    def routes(self) -> list[Route]:
        """Every path; that for posting events is before the one that takes its last part for an id."""
        resources = (
            self._resource("/benchmarks", read=self.all_benchmarks, write=self.create_benchmark),
            self._resource("/benchmarks/events", write=self.record_event),
            self._resource("/benchmarks/{id}/events", read=self.events),
            self._resource("/benchmarks/{id}/targets", read=self.targets),
            self._resource("/host_systems", read=self.all_host_systems, write=self.create_host_system),
            self._resource("/stats/db", read=self.relations),
        )
        return [route for resource in resources for route in resource.routes()]

    async def all_benchmarks(self, params: Params, reads: Reads) -> list[Shown]:
        """Every benchmark, newest first."""
        return [_benchmark(row) for row in await benchmarks.all_benchmarks(NotingRunner(self.db, reads))]

    async def create_benchmark(self, body: bytes) -> Shown:
        """Store a benchmark in either form, and show it in the same one."""
        given = _object(body)
        if "setup" in given:
            return _benchmark(await benchmarks.create_benchmark(self.write_db, Setup(given["setup"])))
        _require(REQUIRED_OF_RUN, given)
        row = await benchmarks.create_benchmark(self.write_db, _run(typed(given, RunBody, "benchmark")))
        return _older_fields(row) | {"id": row.id}

    async def record_event(self, body: bytes) -> Shown:
        """Store an event of a benchmark."""
        given = _object(body)
        _require(REQUIRED_OF_EVENT, given)
        event = typed(given, EventBody, "event")
        at = _time("created_at", event.created_at)
        return _event(
            await benchmarks.record_event(self.write_db, Happening(event.benchmark_id, event.name, event.phase, at))
        )

    async def events(self, params: Params, reads: Reads) -> list[Shown]:
        """The events of a benchmark, newest first; none of one that is not there."""
        (events,) = await benchmarks.events_of(NotingRunner(self.db, reads), [_id(params)])
        return [_event(row) for row in events]

    async def targets(self, params: Params, reads: Reads) -> list[Shown]:
        """What the node of a benchmark has logged about; nothing where there is no such benchmark."""
        db = NotingRunner(self.db, reads)
        (benchmark,) = await benchmarks.benchmarks_by_id(db, [_id(params)])
        node = benchmarks.node_of(benchmark.setup) if benchmark else None
        (targets,) = await benchmarks.targets_of(db, [node])
        return [{"target": target} for target in targets]

    async def all_host_systems(self, params: Params, reads: Reads) -> list[Shown]:
        """Every host system, by id."""
        return [_host_system(row) for row in await host_systems.all_host_systems(NotingRunner(self.db, reads))]

    async def create_host_system(self, body: bytes) -> Shown:
        """Store a host system."""
        given = _object(body)
        for field in NewHostSystem.__struct_fields__:
            if field not in given:
                raise InvalidArgument(f"{field} is a required field", field=field)
        new = typed(given, NewHostSystem, "host system")
        return _host_system(await host_systems.create_host_system(self.write_db, new))

    async def relations(self, params: Params, reads: Reads) -> list[Shown]:
        """What takes room in the database."""
        rows = await database_relations.relations(NotingRunner(self.db, reads), reads)
        return [{"relation": f"{row.schema}.{row.name}", "size": row.size} for row in rows]

    def _resource(self, path: str, **methods: Any) -> Resource:
        return Resource(path, self.answers, self.access, **methods)


def _id(params: Params) -> int:
    given = params["id"]
    if not _ID.fullmatch(given) or not -MAX_INT - 1 <= int(given) <= MAX_INT:
        raise NotFound("no benchmark can have this id", field="id")
    return int(given)


def _object(body: bytes) -> Shown:
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise NoForm from None
    if not isinstance(given, dict):
        raise NoForm
    return given


def _require(fields: frozenset[str], given: Shown) -> None:
    if not fields <= given.keys():
        raise NoForm


def _run(given: RunBody) -> Run:
    return Run(
        host_system_id=given.host_system_id,
        started_at=_time("ts_start", given.ts_start),
        ended_at=_time("ts_end", given.ts_end),
        description=given.description,
        chain_spec=given.chain_spec,
        benchmark_spec=given.benchmark_spec,
    )


def _time(field: str, text: str) -> datetime:
    try:
        return parse_zoneless(text)
    except ValueError as error:
        raise InvalidArgument(f"{field}: {error}", field=field) from None


def _benchmark(row: Any) -> Shown:
    setup = row.setup if row.started_at is None else _older_fields(row)
    return {"created_at": format_zoneless(row.created_at), "id": row.id, "setup": setup}


def _older_fields(row: Any) -> Shown:
    return {
        "benchmark_spec": row.benchmark_spec,
        "chain_spec": row.chain_spec,
        "description": row.description,
        "host_system_id": row.host_system_id,
        "ts_start": format_zoneless(row.started_at),
        "ts_end": format_zoneless(row.ended_at),
    }


def _event(row: Any) -> Shown:
    return {**row, "created_at": format_zoneless(row.created_at)}


def _host_system(row: Any) -> Shown:
    return {"id": row.id, **{field: row[field] for field in NewHostSystem.__struct_fields__}}
