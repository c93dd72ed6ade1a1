"""The small tables that results refer to, kept in memory: regions, orchestrators, pipelines and models."""

from collections.abc import Callable, Collection, Sequence
from time import monotonic
from typing import cast

from db.pool import Database, Row
from db.statements import STATEMENTS
from resolvers.errors import InvalidRegion
from resolvers.results import JobType, Result
from resolvers.versions import Versions

REGIONS = STATEMENTS["catalog.regions"]
REGISTER_REGIONS = STATEMENTS["catalog.register_regions"]
ADD_ORCHESTRATORS = STATEMENTS["catalog.add_orchestrators"]
ADD_PIPELINES = STATEMENTS["catalog.add_pipelines"]
ADD_MODELS = STATEMENTS["catalog.add_models"]

MAX_KNOWN = 100_000


class Catalog:
    """Names that are in the database.

    Regions are read again when `versions` tells that they changed, after `ttl_s`, or at once for an unknown one.
    """

    def __init__(
        self,
        db: Database,
        ttl_s: float,
        clock: Callable[[], float] = monotonic,
        versions: Versions | None = None,
    ) -> None:
        self._db = db
        self._ttl_s = ttl_s
        self._clock = clock
        self._versions = versions or Versions()
        self.forget()

    def forget(self) -> None:
        """Read everything anew, because the database is not the one that was read."""
        self.forget_regions()
        self._orchestrators: set[str] = set()
        self._models: set[tuple[str, str]] = set()

    def forget_regions(self) -> None:
        """Read the regions anew, because one was added or renamed."""
        self._regions: list[Row] = []
        self._region_by_key: dict[tuple[str, str], Row] = {}
        self._region_by_id: dict[int, Row] = {}
        self._regions_until = 0.0
        self._regions_moment = self._versions.moment

    async def regions(self) -> list[Row]:
        """All regions (id, code, job_type, name, created_at), by code and job type; at most `ttl_s` old."""
        if (known := self.known_regions()) is not None:
            return known
        await self._read_regions()
        return self._regions

    def known_regions(self) -> list[Row] | None:
        """All regions as they were read last; None when they have to be read again."""
        has_to_be_read = self._clock() >= self._regions_until or self._regions_have_changed()
        return None if has_to_be_read else self._regions

    async def region(self, code: str, job_type: str | None) -> Row | None:
        """A region by its exact code, for any kind of job where none is named; None when there is none."""
        found = self.known_region(code, job_type)
        if found is None:
            await self._read_regions()
            found = self._find_region(code, job_type)
        return found

    def known_region(self, code: str, job_type: str | None) -> Row | None:
        """A region as it was read last; None when it was not, or has to be read again."""
        return None if self._regions_have_changed() else self._find_region(code, job_type)

    async def regions_of(self, ids: Sequence[int]) -> list[Row]:
        """The regions with these ids."""
        found = self.known_regions_of(ids)
        if found is None:
            await self._read_regions()
            found = [self._region_by_id[id_] for id_ in ids]
        return found

    def known_regions_of(self, ids: Sequence[int]) -> list[Row] | None:
        """The regions with these ids as they were read last; None when any was not, or has to be read again."""
        if self._regions_have_changed():
            return None
        found = [self._region_by_id.get(id_) for id_ in ids]
        return None if None in found else cast(list[Row], found)

    async def require_region(self, code: str, job_type: JobType) -> None:
        """Raise InvalidRegion unless there is a region with exactly this code for this kind of job."""
        if await self.region(code, job_type) is None:
            known = await self.region(code, None)
            detail = f": {code} is not known for {job_type} jobs" if known else ""
            raise InvalidRegion(f"invalid region{detail}", field="region")

    async def register_regions(self, names: dict[str, str], job_type: JobType) -> None:
        """Add the regions that are not known yet, names by code; known ones are not renamed."""
        await self.regions()
        new = {code: name for code, name in names.items() if self._find_region(code, job_type) is None}
        if new:
            codes = list(new)
            await self._db.write.fetch(REGISTER_REGIONS, codes=codes, job_type=job_type, names=list(new.values()))
            await self._read_regions()

    async def learn(self, results: Collection[Result]) -> None:
        """Add the orchestrators and models of these results that are not known yet."""
        # In one order everywhere, so that two gateways that add the same names do not wait for each other.
        addresses = sorted({result.orchestrator.lower() for result in results} - self._orchestrators)
        models = sorted({(r.pipeline, r.model) for r in results if r.job_type == "ai"} - self._models)
        if len(self._orchestrators) + len(self._models) > MAX_KNOWN:
            self.forget()
        if addresses:
            await self._db.write.fetch(ADD_ORCHESTRATORS, addresses=addresses)
            self._orchestrators.update(addresses)
        if models:
            pipelines, names = [pipeline for pipeline, _ in models], [name for _, name in models]
            await self._db.write.fetch(ADD_PIPELINES, names=sorted(set(pipelines)))
            await self._db.write.fetch(ADD_MODELS, pipelines=pipelines, names=names)
            self._models.update(models)

    async def _read_regions(self) -> None:
        moment, before, is_known = self._versions.moment, self._regions, self._regions_have_changed()
        self._regions = await self._db.write.fetch(REGIONS)
        if before and self._regions != before and not is_known:  # it was done by hand, and nobody has told of it
            self._versions.bump(REGIONS.tables)
        self._region_by_key = {(row.code, row.job_type): row for row in self._regions}
        self._region_by_id = {row.id: row for row in self._regions}
        self._regions_until = self._clock() + self._ttl_s
        self._regions_moment = moment

    def _regions_have_changed(self) -> bool:
        self._versions.catch_up()
        return not self._versions.are_unchanged(REGIONS.tables, self._regions_moment)

    def _find_region(self, code: str, job_type: str | None) -> Row | None:
        if job_type is not None:
            return self._region_by_key.get((code, job_type))
        return next((row for row in self._regions if row.code == code), None)
