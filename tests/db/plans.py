"""What statements read, as Postgres counts it when it executes them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import orjson

from db.pool import Row, Runner
from db.statements import Statement


@dataclass(frozen=True, slots=True)
class Scan:
    """A table that was read, by an index or, where that is None, from its beginning to its end; `rows` includes those
    that did not match. `heap_fetches` is how many of them an index that holds all that is wanted could not answer; None
    for others.
    """

    table: str
    index: str | None
    rows: float
    heap_fetches: int | None = None


class Explaining:
    """Runs statements, and notes what each has read."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self.scans: list[Scan] = []

    async def fetch(self, statement: Statement, **parameters: Any) -> list[Row]:
        """All rows."""
        self.scans += await scans_of(self._runner, statement, **parameters)
        return await self._runner.fetch(statement, **parameters)

    async def fetchrow(self, statement: Statement, **parameters: Any) -> Row | None:
        """The first row, None where there is none."""
        rows = await self.fetch(statement, **parameters)
        return rows[0] if rows else None

    async def fetchval(self, statement: Statement, **parameters: Any) -> Any:
        """The first column of the first row."""
        return (await self.fetch(statement, **parameters))[0][0]

    def of(self, table: str) -> list[Scan]:
        """Those of a table or its partitions."""
        return [scan for scan in self.scans if scan.table.startswith(table)]


async def scans_of(runner: Runner, statement: Statement, **parameters: Any) -> list[Scan]:
    """What a statement reads, by executing it once."""
    explaining = replace(statement, sql=f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {statement.sql}", picked={})
    found = orjson.loads(await runner.fetchval(explaining, **parameters))
    return list(_scans(found[0]["Plan"]))


def _scans(node: dict[str, Any], table: str = "") -> Iterator[Scan]:
    loops, table = node["Actual Loops"], node.get("Relation Name", table)
    removed = sum(node.get(f"Rows Removed by {why}", 0) for why in ("Filter", "Index Recheck"))
    if loops and node["Node Type"].endswith(("Seq Scan", "Index Scan", "Index Only Scan")):
        yield Scan(table, node.get("Index Name"), loops * (node["Actual Rows"] + removed), node.get("Heap Fetches"))
    for child in node.get("Plans", ()):
        yield from _scans(child, table)
