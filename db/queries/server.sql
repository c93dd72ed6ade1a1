-- Which server and database this is, and how far it is.

-- name: position()
-- The time of its start tells a server from every other one, a replica of it too. The position is that in the log of all
-- writes, in bytes: up to where a primary has it on its disk, and up to where a replica has it done again.
SELECT pg_postmaster_start_time() AS started_at, current_database()::text AS database,
  pg_is_in_recovery() AS is_replica,
  (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END - '0/0')::bigint
    AS position

-- name: try_leadership()
-- Held until the end of the session.
SELECT pg_try_advisory_lock(hashtext('podium.leadership'))

-- name: relations()
-- What takes room in podium's schema, the largest first: a table with what it keeps aside, but without its indexes, which
-- are relations of their own, so that the sizes add up. One that goes meanwhile has no size.
SELECT schema, name, kind, size_bytes, pg_size_pretty(size_bytes) AS size
FROM (
  SELECT n.nspname::text AS schema, c.relname::text AS name,
    CASE c.relkind WHEN 'i' THEN 'index' WHEN 'S' THEN 'sequence' ELSE 'table' END AS kind,
    pg_table_size(c.oid) AS size_bytes
  FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
  WHERE n.nspname = 'podium' AND c.relkind IN ('r', 'i', 'S')
) AS relation
WHERE size_bytes IS NOT NULL
ORDER BY size_bytes DESC, name COLLATE "C"
