-- What is asked of a database of the original of telemetry. Nothing is ever written there. Rows are JSON where versions of
-- the original differ in their columns: one that is not there is NULL.

-- piece: table.peer_connections
public.peer_connections
-- piece: table.substrate_logs
public.substrate_logs
-- piece: table.host_systems
public.host_systems
-- piece: table.benchmarks
public.benchmarks
-- piece: table.benchmark_events
public.benchmark_events

-- piece: legacy_table
{table:peer_connections|substrate_logs|host_systems|benchmarks|benchmark_events}

-- name: last_id()
SELECT coalesce(max(id), 0)::bigint FROM {legacy_table}

-- name: writing(names)
-- The transactions that go on, and may have written to these tables: whoever has taken an id has this lock.
SELECT DISTINCT l.virtualtransaction::text AS transaction
FROM pg_catalog.pg_locks AS l
JOIN pg_catalog.pg_class AS c ON c.oid = l.relation
WHERE l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
  AND c.relnamespace = to_regnamespace('public') AND c.relname = ANY ($1::text[])
  AND l.mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')

-- name: count(after, until)
SELECT count(*) FROM {legacy_table} WHERE id > $1::bigint AND id <= $2::bigint

-- name: ids(after, until)
SELECT id::bigint FROM {legacy_table} WHERE id > $1::bigint AND id <= $2::bigint

-- name: rows(after, until, rows)
SELECT t.id::bigint AS id, to_jsonb(t)::text AS value
FROM {legacy_table} AS t WHERE t.id > $1::bigint AND t.id <= $2::bigint ORDER BY t.id LIMIT $3

-- name: logs(after, until, rows, bytes)
-- The next messages by id: so many at most, and fewer when they are large; one at least. Their times are of UTC, and text.
SELECT id, peer_connection_id, created_at, message
FROM (
  SELECT id::bigint AS id, peer_connection_id::bigint AS peer_connection_id, created_at::text AS created_at,
    logs::text AS message,
    sum(pg_column_size(logs)) OVER (ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS bytes_before
  FROM (
    SELECT id, peer_connection_id, created_at, logs FROM public.substrate_logs
    WHERE id > $1::bigint AND id <= $2::bigint ORDER BY id LIMIT $3
  ) AS page
) AS page
WHERE coalesce(bytes_before, 0) < $4::bigint
ORDER BY id
