-- Messages of nodes on their way into the database.

-- name: next_writer()
SELECT nextval('podium.telemetry_writers')

-- name: name_session(name)
SELECT set_config('application_name', $1, false)

-- name: end_predecessors(name)
-- Sessions of the same writer that the server has not noticed to be gone: what they have sent is committed or undone then.
SELECT pg_terminate_backend(pid, 3000) AS has_ended FROM pg_stat_activity
WHERE application_name = $1 AND usename = current_user AND pid <> pg_backend_pid()

-- name: hold_writer(writer)
-- Until the end of the session: a writer whose lock nobody holds is dead.
SELECT pg_advisory_lock(hashtext('podium.telemetry_writer'), $1)

-- name: add_peers(peer_ids)
-- In one order, so that two who add the same do not wait for each other.
INSERT INTO podium.peers (peer_id) SELECT DISTINCT peer_id FROM unnest($1::text[]) AS peer_id ORDER BY peer_id
ON CONFLICT (peer_id) DO UPDATE SET peer_id = excluded.peer_id
RETURNING id, peer_id

-- name: store_connections(ids, writers, peer_ids, ip_addrs, are_audit, have_logs, names, chains, versions, implementations, authorities, startup_times, opened_ats, are_closed)
-- Each as it is now, whatever of it was stored before.
INSERT INTO podium.peer_connections (id, writer, peer_id, ip_addr, is_audit, has_logs, name, chain, version,
  implementation, authority, startup_time, opened_at, closed_at)
SELECT id, writer, peer_id, ip_addr, is_audit, has_logs, name, chain, version, implementation, authority, startup_time,
  opened_at, CASE WHEN is_closed THEN now() END
FROM unnest($1::bigint[], $2::integer[], $3::bigint[], $4::text[], $5::boolean[], $6::boolean[], $7::text[], $8::text[],
  $9::text[], $10::text[], $11::boolean[], $12::bigint[], $13::timestamptz[], $14::boolean[])
  AS c (id, writer, peer_id, ip_addr, is_audit, has_logs, name, chain, version, implementation, authority, startup_time,
    opened_at, is_closed)
ON CONFLICT (id) DO UPDATE SET peer_id = excluded.peer_id, has_logs = excluded.has_logs, name = excluded.name,
  chain = excluded.chain, version = excluded.version, implementation = excluded.implementation,
  authority = excluded.authority, startup_time = excluded.startup_time, closed_at = excluded.closed_at

-- name: adopt_logs(peer_id, connection_id, batch)
-- Some of what a node has said before it said who it is: `batch` or more, where there is as much. Moved and not changed,
-- because a distributed table changes no key; and stored as of now, so that those who listen to the node are told of it.
-- Another partition may have a row at the same place: then it is one of the same kind, or is left alone.
WITH found AS (
  DELETE FROM podium.peer_logs
  WHERE ctid = ANY (ARRAY(SELECT ctid FROM podium.peer_logs WHERE peer_id = 0 AND connection_id = $2 LIMIT $3))
    AND peer_id = 0 AND connection_id = $2
  RETURNING id, connection_id, ts, is_audit, type, target, message
), moved AS (
  INSERT INTO podium.peer_logs (id, peer_id, connection_id, ts, is_audit, type, target, message)
  SELECT id, $1, connection_id, ts, is_audit, type, target, message FROM found
)
SELECT count(*) FROM found

-- name: is_stored(peer_id, ts, id)
SELECT count(*) > 0 FROM podium.peer_logs WHERE peer_id = $1 AND ts = $2 AND id = $3
