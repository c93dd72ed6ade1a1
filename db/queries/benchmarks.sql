-- Benchmarks, what happened in them, and the machines that they run on. What is added is announced with its commit, by the
-- table's name; the count makes sure that it is.

-- piece: benchmark_columns
id, created_at, setup, host_system_id, description, chain_spec, benchmark_spec, started_at, ended_at

-- piece: event_columns
id, benchmark_id, name, phase, created_at

-- piece: host_system_columns
id, description, os, cpu_qty, cpu_clock, ram_mb, disk_info, created_at

-- piece: page.newest
($1::timestamptz IS NULL OR (created_at, id) < ($1, $2::bigint)) ORDER BY created_at DESC, id DESC

-- piece: page.oldest
($1::timestamptz IS NULL OR (created_at, id) > ($1, $2::bigint)) ORDER BY created_at, id

-- name: benchmarks(cursor_at, cursor_id, limit)
SELECT {benchmark_columns} FROM podium.benchmarks WHERE {page:newest|oldest} LIMIT $3

-- name: count_benchmarks()
SELECT count(*) FROM podium.benchmarks

-- name: benchmarks_by_id(ids)
SELECT {benchmark_columns} FROM podium.benchmarks WHERE id = ANY ($1::integer[])

-- name: add_benchmark(setup, host_system_id, description, chain_spec, benchmark_spec, started_at, ended_at)
WITH added AS (
  INSERT INTO podium.benchmarks (setup, host_system_id, description, chain_spec, benchmark_spec, started_at, ended_at)
  VALUES ($1, $2, $3, $4, $5, $6, $7)
  RETURNING {benchmark_columns}
), announced AS (
  SELECT pg_notify('podium_changes', 'benchmarks') FROM added
)
SELECT {benchmark_columns} FROM added WHERE (SELECT count(*) FROM announced) >= 0

-- name: events_of(benchmark_ids)
SELECT {event_columns} FROM podium.benchmark_events WHERE benchmark_id = ANY ($1::integer[])
ORDER BY benchmark_id, created_at DESC, id DESC

-- name: add_event(benchmark_id, name, phase, created_at)
WITH added AS (
  INSERT INTO podium.benchmark_events (benchmark_id, name, phase, created_at) VALUES ($1, $2, $3, $4)
  RETURNING {event_columns}
), announced AS (
  SELECT pg_notify('podium_changes', 'benchmark_events') FROM added
)
SELECT {event_columns} FROM added WHERE (SELECT count(*) FROM announced) >= 0

-- name: targets(peer_ids)
-- Which targets nodes have named: from each the next greater one is looked up in the index, so that this takes as many
-- steps as there are targets, and not logs. Those that may have been cut for the index are read from the messages.
WITH RECURSIVE wanted AS (
  SELECT id, peer_id FROM podium.peers WHERE peer_id = ANY ($1::text[])
), found (id, target) AS (
  SELECT w.id, l.target FROM wanted AS w CROSS JOIN LATERAL (
    SELECT target FROM podium.peer_logs WHERE peer_id = w.id AND target IS NOT NULL ORDER BY target LIMIT 1
  ) AS l
  UNION ALL
  SELECT f.id, l.target FROM found AS f CROSS JOIN LATERAL (
    SELECT target FROM podium.peer_logs WHERE peer_id = f.id AND target > f.target ORDER BY target LIMIT 1
  ) AS l
), whole AS (
  SELECT id, target FROM found WHERE char_length(target) < 128
  UNION ALL
  SELECT f.id, l.target FROM found AS f CROSS JOIN LATERAL (
    SELECT DISTINCT {said} ->> 'target' AS target FROM podium.peer_logs AS l
    WHERE l.peer_id = f.id AND l.target = f.target
  ) AS l
  WHERE char_length(f.target) = 128
)
SELECT w.peer_id, whole.target FROM wanted AS w JOIN whole ON whole.id = w.id
ORDER BY w.peer_id, whole.target COLLATE "C"

-- name: host_systems()
SELECT {host_system_columns} FROM podium.host_systems ORDER BY id

-- name: host_systems_by_id(ids)
SELECT {host_system_columns} FROM podium.host_systems WHERE id = ANY ($1::integer[])

-- name: add_host_system(description, os, cpu_qty, cpu_clock, ram_mb, disk_info)
WITH added AS (
  INSERT INTO podium.host_systems (description, os, cpu_qty, cpu_clock, ram_mb, disk_info)
  VALUES ($1, $2, $3, $4, $5, $6)
  RETURNING {host_system_columns}
), announced AS (
  SELECT pg_notify('podium_changes', 'host_systems') FROM added
)
SELECT {host_system_columns} FROM added WHERE (SELECT count(*) FROM announced) >= 0
