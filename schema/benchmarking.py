"""Benchmarks, what happens in them and what they run on, told through the graph."""

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any

import strawberry
from strawberry import Info

from resolvers import benchmarks, host_systems
from resolvers.benchmarks import Happening, Run, Setup, is_id
from resolvers.errors import Forbidden, InvalidArgument, NotFound, PodiumError
from resolvers.host_systems import NewHostSystem
from resolvers.identity import Scope
from schema.administration import EXPECTED, MutationError, mutation_errors
from schema.benchmarks import Benchmark, BenchmarkEvent, HostSystem
from schema.context import context_of
from schema.node import from_global_id
from schema.permissions import PUBLISH
from schema.scalars import Json

ERRORS = "Why nothing was done; empty when all is well."
# What resolvers call a field where the graph has another name for it, or another form.
FIELDS = {
    "benchmark_id": "benchmark",
    "benchmark_spec": "benchmarkSpec",
    "chain_spec": "chainSpec",
    "cpu_clock": "cpuClock",
    "cpu_qty": "cpuQty",
    "disk_info": "diskInfo",
    "host_system_id": "hostSystem",
    "ram_mb": "ramMb",
}


@strawberry.input(
    description="A benchmark, in one of two forms: either `setup`, or `hostSystem`, `startedAt` and `endedAt`, with "
    "what else is known."
)
class CreateBenchmarkInput:
    setup: Json | None = strawberry.field(
        default=strawberry.UNSET, description="How it is set up: any JSON, also null."
    )
    host_system: strawberry.ID | None = strawberry.field(default=None, description="The id of what it ran on.")
    started_at: datetime | None = strawberry.field(default=None, description="When it began.")
    ended_at: datetime | None = strawberry.field(default=None, description="When it ended.")
    description: str | None = strawberry.field(default=None, description="What it is.")
    chain_spec: Json | None = strawberry.field(default=None, description="The chain: any JSON.")
    benchmark_spec: Json | None = strawberry.field(default=None, description="What was done: any JSON.")


@strawberry.input(description="Something that happened in a benchmark.")
class RecordBenchmarkEventInput:
    benchmark: strawberry.ID = strawberry.field(description="The id of the benchmark.")
    name: str = strawberry.field(description="What it is about.")
    phase: str = strawberry.field(description="Which phase of it, like `start` or `end`.")
    created_at: datetime = strawberry.field(description="When it happened.")


@strawberry.input(description="A machine that benchmarks run on.")
class CreateHostSystemInput:
    description: str = strawberry.field(description="What there is to say of it.")
    os: str = strawberry.field(description="The operating system.")
    cpu_qty: int = strawberry.field(description="How many processors it has.")
    cpu_clock: int = strawberry.field(description="Their clock, in MHz.")
    ram_mb: int = strawberry.field(description="Its memory, in MB.")
    disk_info: str = strawberry.field(description="What disks it has.")


@strawberry.type(description="The benchmark that was created, or why none was.")
class CreateBenchmarkPayload:
    benchmark: Benchmark | None = strawberry.field(description="The benchmark; null when there are errors.")
    errors: list[MutationError] = strawberry.field(description=ERRORS)


@strawberry.type(description="The event that was recorded, or why none was.")
class RecordBenchmarkEventPayload:
    event: BenchmarkEvent | None = strawberry.field(description="The event; null when there are errors.")
    benchmark: Benchmark | None = strawberry.field(description="Its benchmark; null when there are errors.")
    errors: list[MutationError] = strawberry.field(description=ERRORS)


@strawberry.type(description="The host system that was created, or why none was.")
class CreateHostSystemPayload:
    host_system: HostSystem | None = strawberry.field(description="The host system; null when there are errors.")
    errors: list[MutationError] = strawberry.field(description=ERRORS)


@strawberry.type
class BenchmarkingMutation:
    @strawberry.mutation(extensions=[PUBLISH], description="Stores a benchmark.")
    async def create_benchmark(
        self,
        info: Info,
        input: Annotated[CreateBenchmarkInput, strawberry.argument(description="The benchmark.")],
    ) -> CreateBenchmarkPayload:
        try:
            row: Any = await benchmarks.create_benchmark(_write_db(info), _new_benchmark(input))
        except EXPECTED as error:
            return CreateBenchmarkPayload(benchmark=None, errors=_errors(error))
        return CreateBenchmarkPayload(benchmark=row, errors=[])

    @strawberry.mutation(extensions=[PUBLISH], description="Stores what happened in a benchmark.")
    async def record_benchmark_event(
        self,
        info: Info,
        input: Annotated[RecordBenchmarkEventInput, strawberry.argument(description="The event.")],
    ) -> RecordBenchmarkEventPayload:
        db = _write_db(info)
        try:
            id_ = _number(input.benchmark, "Benchmark", "benchmark_id")
            event: Any = await benchmarks.record_event(db, Happening(id_, input.name, input.phase, input.created_at))
        except EXPECTED as error:
            return RecordBenchmarkEventPayload(event=None, benchmark=None, errors=_errors(error))
        # Where it is written: a replica may not have it yet.
        found: list[Any] = await benchmarks.benchmarks_by_id(db, [id_])
        (events,) = await benchmarks.events_of(db, [id_])
        context_of(info).loader(benchmarks.events_of).prime(id_, events, force=True)
        return RecordBenchmarkEventPayload(event=event, benchmark=found[0], errors=[])

    @strawberry.mutation(extensions=[PUBLISH], description="Stores a machine that benchmarks run on.")
    async def create_host_system(
        self,
        info: Info,
        input: Annotated[CreateHostSystemInput, strawberry.argument(description="The machine.")],
    ) -> CreateHostSystemPayload:
        new = NewHostSystem(**vars(input))
        try:
            row: Any = await host_systems.create_host_system(_write_db(info), new)
        except EXPECTED as error:
            return CreateHostSystemPayload(host_system=None, errors=_errors(error))
        return CreateHostSystemPayload(host_system=row, errors=[])


def _write_db(info: Info) -> Any:
    """Where to write; not for a webhook's message, since each of them counts once, and this would count again."""
    context = context_of(info)
    if context.identity.shown == "webhook":
        raise Forbidden(info.field_name, Scope.PUBLISH, "webhook")
    return context.backend.write_db


def _new_benchmark(given: CreateBenchmarkInput) -> Setup | Run:
    older = {name: value for name, value in vars(given).items() if name != "setup" and value is not None}
    if given.setup is not strawberry.UNSET:
        if older:
            raise InvalidArgument("setup: either it or the fields of the older form, and not both", field="setup")
        return Setup(given.setup)
    if given.host_system is None or given.started_at is None or given.ended_at is None:
        raise InvalidArgument("setup: either it, or hostSystem, startedAt and endedAt", field="setup")
    older["host_system_id"] = _number(older.pop("host_system"), "HostSystem", "host_system_id")
    return Run(**older)


def _number(id_: str, type_name: str, field: str) -> int:
    try:
        named = from_global_id(id_)
    except InvalidArgument:
        named = None
    match named:
        case str(kind), [int(number)] if kind == type_name and is_id(number):
            return number
    raise NotFound(f"{field}: this is no id of a {type_name}", field=field)


def _errors(error: PodiumError) -> list[MutationError]:
    """The failure with its field as the graph names it."""
    field = error.field or ""
    name = f"input.{FIELDS.get(field, field)}"
    message = error.message.replace(f"{field}: ", f"{name}: ", 1)
    return [replace(it, field=name, message=message) for it in mutation_errors(error)]
