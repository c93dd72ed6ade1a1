-- What an import from the original of telemetry writes. Its times have no zone, and mean UTC; those outside the years 1 to
-- 9999 become the first or the last of them. Imported ids of connections and messages are negative.

-- name: other_source(source)
-- Another database that was imported from before.
SELECT min(source) FROM podium.imports
WHERE starts_with(source, 'telemetry/') AND NOT starts_with(source, $1)

-- name: begin(source)
-- From where on to read. The time of the last import keeps what it brings from being purged.
INSERT INTO podium.imports (source, last_id) VALUES ($1, 0)
ON CONFLICT (source) DO UPDATE SET updated_at = now()
RETURNING last_id

-- name: move(source, after, until)
-- Nothing, when another import has moved it meanwhile; it waits for one that is about to.
UPDATE podium.imports SET last_id = $3, updated_at = now() WHERE source = $1 AND last_id = $2 RETURNING last_id

-- piece: created_at
least(greatest((r ->> 'created_at')::timestamp, '0001-01-02'), '9999-12-30') AT TIME ZONE 'UTC'

-- name: store_connections(rows)
-- As they are there now: one may have said only meanwhile who it is, and is marked then. `new` are those that were not
-- there before.
WITH given AS (
  SELECT -(r ->> 'id')::bigint AS id, r ->> 'ip_addr' AS ip_addr, {created_at} AS created_at,
    CASE WHEN char_length(r ->> 'peer_id') BETWEEN 1 AND 256 THEN r ->> 'peer_id' END AS peer_id,
    coalesce((r ->> 'audit')::boolean, false) AS is_audit, left(r ->> 'name', 256) AS name,
    left(r ->> 'chain', 256) AS chain, left(r ->> 'version', 256) AS version,
    left(r ->> 'implementation', 256) AS implementation, (r ->> 'authority')::boolean AS authority,
    (r ->> 'startup_time')::bigint AS startup_time
  FROM (SELECT value::jsonb AS r FROM unnest($1::text[]) AS value) AS rows
), known AS (
  INSERT INTO podium.peers (peer_id, created_at)
  SELECT peer_id, least(min(created_at), now()) FROM given WHERE peer_id IS NOT NULL GROUP BY peer_id ORDER BY peer_id
  ON CONFLICT (peer_id) DO UPDATE SET peer_id = excluded.peer_id
  RETURNING id, peer_id
), before AS (
  SELECT c.id, c.peer_id FROM podium.peer_connections AS c WHERE c.id IN (SELECT id FROM given)
), stored AS (
  INSERT INTO podium.peer_connections AS c (id, peer_id, writer, ip_addr, is_audit, has_logs, name, chain, version,
    implementation, authority, startup_time, opened_at, closed_at)
  SELECT g.id, k.id, 0, g.ip_addr, g.is_audit, false, g.name, g.chain, g.version, g.implementation, g.authority,
    g.startup_time, g.created_at, least(g.created_at, now())
  FROM given AS g LEFT JOIN known AS k ON k.peer_id = g.peer_id
  ON CONFLICT (id) DO UPDATE SET peer_id = coalesce(c.peer_id, excluded.peer_id), name = excluded.name,
    chain = excluded.chain, version = excluded.version, implementation = excluded.implementation,
    authority = excluded.authority, startup_time = excluded.startup_time
  WHERE (c.peer_id, c.name, c.chain, c.version, c.implementation, c.authority, c.startup_time) IS DISTINCT FROM
    (coalesce(c.peer_id, excluded.peer_id), excluded.name, excluded.chain, excluded.version, excluded.implementation,
      excluded.authority, excluded.startup_time)
  RETURNING id, peer_id
)
SELECT s.id, s.peer_id, b.id IS NULL AS is_new, b.id IS NOT NULL AND b.peer_id IS NULL AND s.peer_id IS NOT NULL
    AS is_identified
FROM stored AS s LEFT JOIN before AS b ON b.id = s.id

-- name: store_logs(ids, connection_ids, times, messages)
-- Those of a connection that is not there are of a node that has not said who it is.
INSERT INTO podium.peer_logs (id, peer_id, connection_id, ts, is_audit, type, target, message)
SELECT -l.id, coalesce(c.peer_id, 0), -l.connection_id,
  least(greatest(l.ts::timestamp, '0001-01-02'), '9999-12-30') AT TIME ZONE 'UTC', coalesce(c.is_audit, false),
  CASE WHEN jsonb_typeof(said -> 'msg') = 'string' THEN left(said ->> 'msg', 128) END,
  CASE WHEN jsonb_typeof(said -> 'target') = 'string' THEN left(said ->> 'target', 128) END, message
FROM (
  SELECT *, CASE WHEN jsonb_typeof(message -> 'payload') = 'object' AND NOT message ? 'msg' THEN message -> 'payload'
    ELSE message END AS said
  FROM (
    SELECT id, connection_id, ts, message::jsonb AS message
    FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[]) AS l (id, connection_id, ts, message)
  ) AS l
) AS l
LEFT JOIN podium.peer_connections AS c ON c.id = -l.connection_id

-- name: note_logs(connection_ids, times)
-- A connection was open until its last message, and not later than now, whatever its node's clock said.
UPDATE podium.peer_connections AS c
SET has_logs = true, closed_at = greatest(c.closed_at, least(l.ts AT TIME ZONE 'UTC', now()))
FROM (
  SELECT connection_id, max(ts::timestamp) AS ts FROM unnest($1::bigint[], $2::text[]) AS l (connection_id, ts)
  GROUP BY connection_id
) AS l
WHERE c.id = -l.connection_id

-- piece: taken.host_systems
podium.host_systems
-- piece: taken.benchmarks
podium.benchmarks
-- piece: taken.benchmark_events
podium.benchmark_events

-- name: taken(ids)
-- Which of these ids rows of podium's own have.
SELECT id FROM {taken:host_systems|benchmarks|benchmark_events} WHERE id = ANY ($1::bigint[]) ORDER BY id

-- piece: sequence.host_systems
'podium.host_systems_id_seq'
-- piece: sequence.benchmarks
'podium.benchmarks_id_seq'
-- piece: sequence.benchmark_events
'podium.benchmark_events_id_seq'

-- name: take_ids(number)
-- So many ids that nothing will have; the last of them. The writer may do that, and not set the sequence.
SELECT max(nextval({sequence:host_systems|benchmarks|benchmark_events})) FROM generate_series(1, $1::integer)

-- name: store_host_systems(rows)
WITH added AS (
  INSERT INTO podium.host_systems (id, description, os, cpu_qty, cpu_clock, ram_mb, disk_info)
  SELECT (r ->> 'id')::integer, r ->> 'description', r ->> 'os', (r ->> 'cpu_qty')::integer,
    (r ->> 'cpu_clock')::integer, (r ->> 'ram_mb')::integer, r ->> 'disk_info'
  FROM (SELECT value::jsonb AS r FROM unnest($1::text[]) AS value) AS rows
  RETURNING 1
), announced AS (
  SELECT pg_notify('podium_changes', 'host_systems') FROM added LIMIT 1
)
SELECT count(*) FROM announced

-- name: store_benchmarks(rows)
-- In either form: of the older one, time is that of its start.
WITH added AS (
  INSERT INTO podium.benchmarks (id, created_at, setup, host_system_id, description, chain_spec, benchmark_spec,
    started_at, ended_at)
  SELECT (r ->> 'id')::integer, coalesce(r ->> 'created_at', r ->> 'ts_start')::timestamp AT TIME ZONE 'UTC',
    nullif(r -> 'setup', 'null'), (r ->> 'host_system_id')::integer, r ->> 'description',
    nullif(r -> 'chain_spec', 'null'), nullif(r -> 'benchmark_spec', 'null'),
    (r ->> 'ts_start')::timestamp AT TIME ZONE 'UTC', (r ->> 'ts_end')::timestamp AT TIME ZONE 'UTC'
  FROM (SELECT value::jsonb AS r FROM unnest($1::text[]) AS value) AS rows
  RETURNING 1
), announced AS (
  SELECT pg_notify('podium_changes', 'benchmarks') FROM added LIMIT 1
)
SELECT count(*) FROM announced

-- name: store_benchmark_events(rows)
WITH added AS (
  INSERT INTO podium.benchmark_events (id, benchmark_id, name, phase, created_at)
  SELECT (r ->> 'id')::integer, (r ->> 'benchmark_id')::integer, r ->> 'name', r ->> 'phase', {created_at}
  FROM (SELECT value::jsonb AS r FROM unnest($1::text[]) AS value) AS rows
  RETURNING 1
), announced AS (
  SELECT pg_notify('podium_changes', 'benchmark_events') FROM added LIMIT 1
)
SELECT count(*) FROM announced
