"""How many bytes a result takes on disk, with everything that belongs to it."""

from dataclasses import dataclass

import asyncpg

# Partitions count as the table that they are of.
RELATIONS = """
SELECT coalesce(sum(pg_table_size(oid)) FILTER (WHERE name = 'results'), 0)::bigint AS rows,
  coalesce(sum(pg_indexes_size(oid)) FILTER (WHERE name = 'results'), 0)::bigint AS indexes,
  coalesce(sum(pg_total_relation_size(oid)) FILTER (WHERE name LIKE '%rollups'), 0)::bigint AS rollups
FROM (
  SELECT c.oid, coalesce(parent.relname, c.relname) AS name
  FROM pg_class AS c
  LEFT JOIN pg_inherits AS i ON i.inhrelid = c.oid LEFT JOIN pg_class AS parent ON parent.oid = i.inhparent
  WHERE c.relnamespace = 'podium'::regnamespace AND c.relkind = 'r'
) AS tables
"""
# A row takes what Postgres says, rounded up to 8 bytes, and a pointer of 4.
ROWS = """
SELECT avg(bytes)::double precision AS any, avg(bytes) FILTER (WHERE payload IS NULL)::double precision AS bare
FROM (
  SELECT payload, (pg_column_size(r.*) + 7) / 8 * 8 + 4 AS bytes
  FROM podium.results AS r TABLESAMPLE SYSTEM ($1) REPEATABLE (1)
) AS sampled
"""
SAMPLE = 200_000


@dataclass(frozen=True, slots=True)
class Size:
    """Bytes per result: of its row, also where it has no payload, of indexes, and of its share of roll-ups."""

    row: float
    bare_row: float
    indexes: float
    rollups: float


async def size(url: str) -> Size:
    """What the results of a database take, on average, as a superuser sees it."""
    connection = await asyncpg.connect(url)
    try:
        number = await connection.fetchval("SELECT count(*) FROM podium.results")
        taken = await connection.fetchrow(RELATIONS)
        average = await connection.fetchrow(ROWS, min(100.0, 100 * SAMPLE / number))
    finally:
        await connection.close()
    row, indexes, rollups = (taken[name] / number for name in ("rows", "indexes", "rollups"))
    return Size(row, row * average["bare"] / average["any"], indexes, rollups)
