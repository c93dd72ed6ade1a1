"""The small tables that results refer to, kept in memory: regions, orchestrators, pipelines and models."""

from collections.abc import Callable, Iterable
from time import monotonic

from db.pool import Database, Row, Runner
from db.statements import STATEMENTS
from resolvers.errors import InvalidRegion
from resolvers.results import JobType, Result

REGIONS = STATEMENTS["leaderboard.regions"]
REGISTER_REGIONS = STATEMENTS["leaderboard.register_regions"]
ORCHESTRATOR_IDS = STATEMENTS["leaderboard.orchestrator_ids"]
PIPELINE_IDS = STATEMENTS["leaderboard.pipeline_ids"]
MODEL_IDS = STATEMENTS["leaderboard.model_ids"]

MAX_KNOWN = 100_000


class Catalog:
    """Ids by name. Regions are read again after `ttl_s`, or at once for a name that is not known yet."""

    def __init__(self, db: Database, ttl_s: float, clock: Callable[[], float] = monotonic) -> None:
        self._db = db
        self._ttl_s = ttl_s
        self._clock = clock
        self.forget()

    def forget(self) -> None:
        """Read everything anew, because the database is not the one that was read."""
        self._regions: list[Row] = []
        self._region_ids: dict[tuple[str, str], int] = {}
        self._regions_until = 0.0
        self._orchestrator_ids: dict[str, int] = {}
        self._model_ids: dict[tuple[str, str], int] = {}
        self._meanings: dict[tuple[str, int], object] = {}

    async def regions(self) -> list[Row]:
        """All regions (id, code, job_type, name, created_at), by code and job type; at most `ttl_s` old."""
        if self._clock() >= self._regions_until:
            await self._read_regions()
        return self._regions

    async def region(self, code: str, job_type: str | None) -> Row | None:
        """A region by its exact code, for any kind of job where none is named; None when there is none."""
        found = self._find_region(code, job_type)
        if found is None:
            await self._read_regions()
            found = self._find_region(code, job_type)
        return found

    async def region_id(self, code: str, job_type: JobType) -> int:
        """The id of a region by its exact code; InvalidRegion when there is none for this kind of job."""
        found = self._region_ids.get((code, job_type))
        if found is not None:
            return found
        region = await self.region(code, job_type)
        if region is None:
            raise self._invalid_region(code, job_type)
        return int(region.id)

    async def register_regions(self, names: dict[str, str], job_type: JobType) -> None:
        """Add the regions that are not known yet, names by code; known ones are not renamed."""
        await self.regions()
        new = {code: name for code, name in names.items() if (code, job_type) not in self._region_ids}
        if new:
            codes = list(new)
            await self._db.write.fetch(REGISTER_REGIONS, codes=codes, job_type=job_type, names=list(new.values()))
            await self._read_regions()

    def knows(self, results: Iterable[Result]) -> bool:
        """Whether the ids of all orchestrators and models of these results are in memory."""
        return all(
            result.orchestrator.lower() in self._orchestrator_ids
            and (result.job_type != "ai" or (result.pipeline, result.model) in self._model_ids)
            for result in results
        )

    async def learn(self, db: Runner, results: Iterable[Result]) -> None:
        """Read, and add where new, the orchestrators and models of these results."""
        if len(self._orchestrator_ids) + len(self._model_ids) > MAX_KNOWN:
            self.forget()
        addresses = {result.orchestrator.lower() for result in results} - self._orchestrator_ids.keys()
        # In one order everywhere, so that two gateways that add the same names do not wait for each other.
        while missing := sorted(addresses - self._orchestrator_ids.keys()):
            rows = await db.fetch(ORCHESTRATOR_IDS, addresses=missing)
            self._note("orchestrator", rows, lambda row: row.address)
            self._orchestrator_ids.update((row.address, row.id) for row in rows)
        models = {(result.pipeline, result.model) for result in results if result.job_type == "ai"}
        while missing_models := sorted(models - self._model_ids.keys()):
            await self._learn_models(db, missing_models)

    def orchestrator_id(self, result: Result) -> int:
        """The id of a result's orchestrator; it must be known."""
        return self._orchestrator_ids[result.orchestrator.lower()]

    def model_id(self, result: Result) -> int | None:
        """The id of a result's model, which must be known; None for transcoding."""
        return self._model_ids[result.pipeline, result.model] if result.job_type == "ai" else None

    async def _learn_models(self, db: Runner, models: list[tuple[str, str]]) -> None:
        pipelines: dict[str, int] = {}
        while missing := sorted({pipeline for pipeline, _ in models} - pipelines.keys()):
            pipelines |= {row.name: row.id for row in await db.fetch(PIPELINE_IDS, names=missing)}
        by_id = {id_: name for name, id_ in pipelines.items()}
        ids = [pipelines[pipeline] for pipeline, _ in models]
        rows = await db.fetch(MODEL_IDS, pipeline_ids=ids, names=[model for _, model in models])
        self._note("model", rows, lambda row: (by_id[row.pipeline_id], row.name))
        self._model_ids.update(((by_id[row.pipeline_id], row.name), row.id) for row in rows)

    def _note(self, kind: str, rows: list[Row], name: Callable[[Row], object]) -> None:
        """Forget everything when an id means something else than before: the database was restored."""
        if any(self._meanings.get((kind, row.id), name(row)) != name(row) for row in rows):
            self.forget()
        self._meanings.update(((kind, row.id), name(row)) for row in rows)

    async def _read_regions(self) -> None:
        self._regions = await self._db.write.fetch(REGIONS)
        self._region_ids = {(row.code, row.job_type): row.id for row in self._regions}
        self._regions_until = self._clock() + self._ttl_s

    def _find_region(self, code: str, job_type: str | None) -> Row | None:
        wanted = (row for row in self._regions if row.code == code and job_type in (None, row.job_type))
        return next(wanted, None)

    def _invalid_region(self, code: str, job_type: JobType) -> InvalidRegion:
        if any(known == code for known, _ in self._region_ids):
            return InvalidRegion(f"invalid region: {code} is not known for {job_type} jobs", field="region")
        return InvalidRegion("invalid region", field="region")
