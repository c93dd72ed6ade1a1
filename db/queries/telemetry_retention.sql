-- How long messages of nodes are kept.

-- name: create_partitions(width, ahead)
SELECT podium.create_peer_log_partitions($1, now() + $2::interval)

-- name: cutoff(expiry)
-- What was stored before has expired.
SELECT now() - $1::interval

-- name: drop_partitions(until)
SELECT podium.drop_peer_log_partitions($1)

-- name: border(cutoff)
-- The partition in which some have expired and some have not: since when, and the command that vacuums it, where this
-- login may. The space stays its own, because returning it to the disk takes a lock that others wait for.
SELECT p.since,
  CASE WHEN may_vacuum THEN format('VACUUM (TRUNCATE false) %s', p.oid::regclass) END AS vacuum
FROM (
  SELECT c.oid, to_timestamp(substring(c.relname FROM 'expiring_(\d+)_\d+$'), 'YYYYMMDDHH24MISS') AS since,
    to_timestamp(substring(c.relname FROM 'expiring_\d+_(\d+)$'), 'YYYYMMDDHH24MISS') AS until,
    CASE WHEN current_setting('server_version_num')::integer >= 170000 THEN has_table_privilege(c.oid, 'MAINTAIN')
      ELSE pg_has_role(c.relowner, 'USAGE') END AS may_vacuum
  FROM pg_class AS c
  JOIN pg_inherits AS i ON i.inhrelid = c.oid
  JOIN pg_class AS parent ON parent.oid = i.inhparent
  WHERE parent.relnamespace = to_regnamespace('podium') AND parent.relname = 'peer_logs'
    AND c.relname LIKE 'peer_logs_expiring_%'
) AS p
WHERE p.since < $1 AND p.until > $1

-- name: trim_until(since, cutoff, batch)
-- The last time that belongs to a batch; many are stored at one time.
SELECT stored_at FROM podium.peer_logs
WHERE NOT is_audit AND stored_at >= $1 AND stored_at < $2
ORDER BY stored_at OFFSET $3 LIMIT 1

-- name: trim(since, until)
WITH gone AS (
  DELETE FROM podium.peer_logs WHERE NOT is_audit AND stored_at >= $1 AND stored_at <= $2 RETURNING 1
)
SELECT count(*) FROM gone

-- name: open_writers()
SELECT DISTINCT writer FROM podium.peer_connections WHERE closed_at IS NULL

-- name: living_writers()
-- Each holds its lock for as long as it lives.
SELECT objid::bigint AS writer FROM pg_locks
WHERE locktype = 'advisory' AND classid = hashtext('podium.telemetry_writer')::oid AND objsubid = 2 AND granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())

-- name: try_writer(writer)
-- Whether nobody is this writer, which stays so until the end of the transaction.
SELECT pg_try_advisory_xact_lock(hashtext('podium.telemetry_writer'), $1)

-- name: close_connections(writer)
WITH closed AS (
  UPDATE podium.peer_connections SET closed_at = now() WHERE closed_at IS NULL AND writer = $1 RETURNING 1
)
SELECT count(*) FROM closed

-- name: last_import()
-- Imported logs were stored by then, and expire as others do; their connections were closed long before.
SELECT max(updated_at) FROM podium.imports WHERE starts_with(source, 'telemetry/')

-- piece: origin.own
id > 0
-- piece: origin.imported
id < 0

-- name: forget_connections(cutoff, batch)
-- Those that were closed before, when all of their logs are gone; where logs are kept for ever, so are they.
WITH gone AS (
  DELETE FROM podium.peer_connections WHERE id IN (
    SELECT id FROM podium.peer_connections
    WHERE closed_at < $1 AND {origin:own|imported} AND NOT (is_audit AND has_logs) LIMIT $2
  ) RETURNING 1
)
SELECT count(*) FROM gone

-- name: forget_peers(after, cutoff, page)
-- Of a page of peers, those that are known since before, have no connection any more and belong to nobody.
WITH page AS (
  SELECT id FROM podium.peers WHERE id > $1 ORDER BY id LIMIT $3
), useless AS (
  SELECT p.id FROM podium.peers AS p
  WHERE p.id IN (SELECT id FROM page) AND p.created_at < $2 AND p.orchestrator_id IS NULL
    AND NOT EXISTS (SELECT FROM podium.peer_connections AS c WHERE c.peer_id = p.id)
  FOR UPDATE SKIP LOCKED
), gone AS (
  DELETE FROM podium.peers WHERE id IN (SELECT id FROM useless) RETURNING 1
)
SELECT (SELECT max(id) FROM page) AS last_id, (SELECT count(*) FROM gone) AS forgotten
