"""What operators ask when something is wrong: why results failed, and when a node was last tested."""

from datetime import datetime
from enum import Enum
from typing import Annotated

import strawberry
from strawberry import Info

from resolvers import coverage, failures
from resolvers.page import DEFAULT_PAGE, MAX_PAGE, page_request
from schema.context import Question, context_of
from schema.inputs import Dimension, Filter, dimensions, result_filter
from schema.leaderboard import Grouped, Orchestrator, Region
from schema.permissions import READ
from schema.scalars import JobType
from schema.standings import During

ORCHESTRATOR = [Dimension.ORCHESTRATOR]

FirstGroups = Annotated[
    int | None,
    strawberry.argument(description=f"How many: at most {MAX_PAGE}, {DEFAULT_PAGE} when nothing is said."),
]


@strawberry.type(description="An error code among the failed results of a group.")
class FailureCode:
    error_code: str | None = strawberry.field(description="The code, like `Timeout`; null for failures without one.")
    results: int = strawberry.field(description="How many failed results have it.")
    count: int = strawberry.field(description="How often it happened in them, as the testers counted.")
    share: float = strawberry.field(description="Of the group's failed results, a fraction.")
    last_at: datetime = strawberry.field(description="When it was last recorded.")


@strawberry.type(
    description="A group with failed results: those with a success rate below 1, or that name an error. What it is not "
    "grouped by is null."
)
class FailureGroup(Grouped):
    samples: int = strawberry.field(description="How many results there are, the successful ones too.")
    failures: int = strawberry.field(description="How many of them failed.")
    share: float = strawberry.field(description="The part of the results that failed, a fraction.")
    last_at: datetime = strawberry.field(description="When the last failed result was recorded.")
    codes: list[FailureCode] = strawberry.field(description="Why, the most frequent code first.")


@strawberry.enum(description="What is known of one kind of test of an orchestrator.")
class CoverageStatus(Enum):
    SCORED = strawberry.enum_value(coverage.CoverageStatus.SCORED, description="It has successful results here.")
    FAILING = strawberry.enum_value(
        coverage.CoverageStatus.FAILING, description="It was tested, and no result had any success: its score is 0."
    )
    NOT_LATELY = strawberry.enum_value(
        coverage.CoverageStatus.NOT_LATELY, description="It was tested, but not in the window: it has no score."
    )
    NEVER = strawberry.enum_value(
        coverage.CoverageStatus.NEVER, description="Others were tested in the window, this one never was."
    )


@strawberry.type(description="One kind of test: a region, a kind of job, a pipeline and a model.")
class CoverageCell:
    status: CoverageStatus = strawberry.field(description="Whether it is scored, and why not.")
    samples: int = strawberry.field(description="How many results it has in the window.")
    last_at: datetime | None = strawberry.field(description="When it was last tested, ever; null if never.")
    job_type: JobType = strawberry.field(description="The kind of job.")
    pipeline: str | None = strawberry.field(description="The AI pipeline.")
    model: str | None = strawberry.field(description="The AI model.")
    code: strawberry.Private[str]

    @strawberry.field(description="Where the tests run.")
    def region(self, info: Info) -> Region:
        region: Region = context_of(info).find_regions([(self.code, str(self.job_type.value))])[0]
        return region


@strawberry.type(
    description="How well an orchestrator is tested: every kind of test that anybody had in the window, or that it "
    "ever had itself."
)
class Coverage:
    address: str = strawberry.field(description="The orchestrator's address, in lower case.")
    cells: list[CoverageCell] = strawberry.field(description="All kinds of tests, by job, pipeline, model and region.")

    @strawberry.field(description="The kinds of tests that give it no score, or a score of 0.")
    def missing(self) -> list[CoverageCell]:
        return [cell for cell in self.cells if cell.status is not CoverageStatus.SCORED]

    @strawberry.field(description="The node; null when podium never heard of it.")
    def orchestrator(self, info: Info) -> Orchestrator | None:
        found: Orchestrator | None = context_of(info).find_orchestrators([self.address])[0]
        return found


@strawberry.type
class DiagnosisQuery:
    @strawberry.field(
        extensions=[READ],
        description="Why results failed: error codes and counts per group, the one with the most failures first, in "
        "the default window when no other is given. Groups without failures are left out.",
    )
    async def failures(
        self,
        info: Info,
        filter: Filter = None,
        group_by: Annotated[
            list[Dimension] | None,
            strawberry.argument(description="What makes a group; an empty list makes a single group."),
        ] = ORCHESTRATOR,
        first: FirstGroups = None,
    ) -> list[FailureGroup]:
        context = context_of(info)
        wanted = result_filter(filter, context)
        grouped = dimensions(ORCHESTRATOR if group_by is None else group_by)
        size = page_request(first, None, None, None).size
        question = Question(wanted, grouped)
        groups = await failures.failures(context.db, wanted, grouped)
        return [_failure_group(group, question) for group in groups[:size]]

    @strawberry.field(
        extensions=[READ],
        description="When each orchestrator was last tested, and what is missing: answers `why is my node not scored`.",
    )
    async def coverage(
        self,
        info: Info,
        orchestrator: Annotated[
            str | None, strawberry.argument(description="An address, in any case; all by address if null.")
        ] = None,
        during: During = None,
        first: FirstGroups = None,
    ) -> list[Coverage]:
        context = context_of(info)
        size = page_request(first, None, None, None).size
        window = context.window(during)
        found = await coverage.coverage(context.db, orchestrator, window, window.until or context.now, size)
        return [Coverage(address=one.orchestrator, cells=[_cell(cell) for cell in one.cells]) for one in found]


def _failure_group(group: failures.FailureGroup, question: Question) -> FailureGroup:
    codes = [
        FailureCode(
            error_code=code.error_code, results=code.results, count=code.count, share=code.share, last_at=code.last_at
        )
        for code in group.codes
    ]
    return FailureGroup(
        key=group.key,
        question=question,
        samples=group.samples,
        failures=group.failures,
        share=group.share,
        last_at=group.last_at,
        codes=codes,
    )


def _cell(cell: coverage.CoverageCell) -> CoverageCell:
    return CoverageCell(
        status=CoverageStatus[cell.status.name],
        samples=cell.samples,
        last_at=cell.last_at,
        job_type=JobType(cell.job_type),
        pipeline=cell.pipeline,
        model=cell.model,
        code=cell.region,
    )
