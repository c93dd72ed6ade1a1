"""The graph's entry points: everything that can be asked and done."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

import strawberry
from graphql import GraphQLSchema
from strawberry import Info
from strawberry.schema.config import StrawberryConfig

from resolvers import listing
from resolvers.audit import MAX_ENTRY_ID
from resolvers.benchmarks import benchmarks_by_id, is_id
from resolvers.errors import InvalidArgument
from resolvers.host_systems import host_systems_by_id
from resolvers.identity import Scope
from resolvers.page import MAX_PAGE
from resolvers.recording import MAX_RESULTS, ResultKey
from resolvers.telemetry.listing import peers_by_name
from schema.administration import AdministrationMutation
from schema.aggregates import AggregatesQuery
from schema.audit import AuditEntry, AuditQuery
from schema.benchmarking import BenchmarkingMutation
from schema.benchmarks import Benchmark, BenchmarksQuery, HostSystem
from schema.catalog import CatalogQuery
from schema.context import Context, context_of
from schema.diagnosis import DiagnosisQuery
from schema.leaderboard import Orchestrator, Region
from schema.limits import MAX_LINES
from schema.linking import LinkingMutation
from schema.node import Node, from_global_id
from schema.permissions import READ, GrantedScope
from schema.probe_series import ProbeSeriesQuery
from schema.probes import ProbeRun, ProbesQuery, run_by_id
from schema.probing import ProbingMutation
from schema.recording import RecordingMutation
from schema.reputation import ReputationQuery
from schema.results import ResultsQuery, Stat, stat_key
from schema.scalars import DATE_TIME, DURATION, JSON, Duration, Json
from schema.sdl import alphabetical
from schema.series import SeriesQuery
from schema.standings import StandingsQuery
from schema.subscriptions import Subscription
from schema.telemetry import Peer, TelemetryQuery
from schema.viewers import ViewersQuery
from schema.watching import WatchingMutation
from schema.websocket import MAX_OPERATIONS
from schema.window import WindowQuery


@strawberry.type(description="What this server accepts.")
class Limits:
    max_page: int = strawberry.field(description="Items on a page of a connection.")
    max_results: int = strawberry.field(description="Results in one recordStats.")
    max_body_bytes: int = strawberry.field(description="Bytes of a request's body, or of a WebSocket's frame.")
    max_operations: int = strawberry.field(description="Operations at once on one WebSocket.")
    max_document_length: int | None = strawberry.field(
        description="Characters of a document; null where there is no limit."
    )
    max_lines: int = strawberry.field(description="Lines of a document.")
    max_tokens: int | None = strawberry.field(description="Tokens of a document; null where there is no limit.")
    max_depth: int | None = strawberry.field(description="How deeply fields are nested; null where there is no limit.")
    max_introspection_depth: int | None = strawberry.field(
        description="How deeply fields are nested below `__schema` and `__type`; null where there is no limit."
    )
    max_aliases: int | None = strawberry.field(description="Aliases of an operation; null where there is no limit.")
    max_directives: int | None = strawberry.field(
        description="Directives of an operation; null where there is no limit."
    )
    max_cost: int | None = strawberry.field(
        description="Objects that the answer to an operation can have; null where there is no limit."
    )
    max_variable_values: int | None = strawberry.field(
        description="Values in the variables, items of lists and fields of objects each; null where there is no limit."
    )
    max_errors: int = strawberry.field(description="Errors in an answer.")
    max_batch: int = strawberry.field(description="Operations in one HTTP request; below 2, lists of them are refused.")


@strawberry.type(description="This server.")
class Service:
    version: str = strawberry.field(description="The version of podium.")
    default_window: Duration = strawberry.field(description="How far questions look back that name no window.")
    posting_enabled: bool = strawberry.field(description="Whether anybody can post results.")
    limits: Limits = strawberry.field(description="What it accepts.")


@strawberry.type(description="Who you are to this server, by the token or signature of your request.")
class Identity:
    subject: str | None = strawberry.field(description="Whom the token names; null without one.")
    scopes: list[GrantedScope] = strawberry.field(description="What you may do.")


@strawberry.type(description="Everything that can be asked.")
class Query(
    CatalogQuery,
    ResultsQuery,
    AggregatesQuery,
    SeriesQuery,
    StandingsQuery,
    DiagnosisQuery,
    WindowQuery,
    AuditQuery,
    TelemetryQuery,
    ReputationQuery,
    BenchmarksQuery,
    ProbesQuery,
    ProbeSeriesQuery,
    ViewersQuery,
):
    @strawberry.field(extensions=[READ], description="The object with this global id; null when it is gone.")
    async def node(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="A global id.")]
    ) -> Node | None:
        context = context_of(info)
        found: Node | None = None
        match from_global_id(id):
            case "Region", [str(code), str(job_type)]:
                found = await context.region(code, job_type)
            case "Orchestrator", [str(address)]:
                found = await context.orchestrators.load(address)
            case "Stat", [str(address), int(micros), int(id_)]:
                found = await _stat(context, stat_key(address, micros, id_))
            case "AuditEntry", [int(id_)]:
                found = await context.audit_entries.load(id_) if 0 < id_ <= MAX_ENTRY_ID else None
            case "Peer", [str(peer_id)]:
                found = await context.loader(peers_by_name).load(peer_id)
            case "Benchmark", [int(id_)]:
                found = await context.loader(benchmarks_by_id).load(id_) if is_id(id_) else None
            case "HostSystem", [int(id_)]:
                found = await context.loader(host_systems_by_id).load(id_) if is_id(id_) else None
            case "ProbeRun", [str(run_id)]:
                found = await run_by_id(info, run_id)
            case _:
                raise InvalidArgument("id: this is no id of this service", field="id")
        return found

    @strawberry.field(extensions=[READ], description="What this server is and accepts.")
    def service(self, info: Info) -> Service:
        facts = context_of(info).backend.service
        return Service(
            version=facts.version,
            default_window=Duration(facts.default_window),
            posting_enabled=facts.posting_enabled,
            limits=Limits(
                max_page=MAX_PAGE,
                max_results=MAX_RESULTS,
                max_body_bytes=facts.max_body_bytes,
                max_operations=MAX_OPERATIONS,
                max_lines=MAX_LINES,
                **asdict(facts.limits),
            ),
        )

    @strawberry.field(description="Who you are, and what you may do. Needs no scope.")
    def identity(self, info: Info) -> Identity:
        identity = context_of(info).identity
        scopes = [GrantedScope(scope) for scope in Scope if scope in identity.scopes]
        return Identity(subject=identity.subject, scopes=scopes)


@strawberry.type(description="Everything that can be done.")
class Mutation(
    RecordingMutation,
    AdministrationMutation,
    LinkingMutation,
    BenchmarkingMutation,
    ProbingMutation,
    WatchingMutation,
):
    pass


async def _stat(context: Context, key: ResultKey | None) -> Any:
    rows = await listing.results_by_key(context.db, [key]) if key else None
    return rows[0] if rows else None


schema = strawberry.Schema(
    query=Query,
    mutation=Mutation,
    subscription=Subscription,
    types=[Region, Orchestrator, Stat, AuditEntry, Peer, Benchmark, HostSystem, ProbeRun],
    config=StrawberryConfig(scalar_map={Duration: DURATION, Json: JSON, datetime: DATE_TIME}),
)
GRAPHQL_SCHEMA: GraphQLSchema = schema._schema  # Strawberry has no public name for it
SDL = alphabetical(schema.as_str())
