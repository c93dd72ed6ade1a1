-- What administrators did: the log, and what they do to regions and results. Each deed, its entry, and the announcement
-- of the tables that it changed are one statement; the count makes sure that the last is done. Of results it says as well
-- which cells of which hours must be rolled up anew.

-- piece: columns
id, recorded_at, actor, action, reason, affected, details

-- piece: matching_entries
($1::podium.audit_action IS NULL OR action = $1)
  AND ($2::text IS NULL OR actor = $2)
  AND ($3::timestamptz IS NULL OR recorded_at >= $3)
  AND ($4::timestamptz IS NULL OR recorded_at <= $4)

-- piece: page.newest
AND ($5::bigint IS NULL OR id < $5) ORDER BY id DESC

-- piece: page.oldest
AND ($5::bigint IS NULL OR id > $5) ORDER BY id

-- name: entries(action, actor, since, until, cursor, limit)
SELECT {columns} FROM podium.audit_log WHERE {matching_entries} {page:newest|oldest} LIMIT $6

-- name: count_entries(action, actor, since, until)
SELECT count(*) FROM podium.audit_log WHERE {matching_entries}

-- name: entries_by_id(ids)
SELECT {columns} FROM podium.audit_log WHERE id = ANY ($1::bigint[])

-- name: register_region(code, job_type, name, actor)
-- No row when it is registered already.
WITH added AS (
  INSERT INTO podium.regions (code, job_type, name) VALUES ($1, $2, $3)
  ON CONFLICT (code, job_type) DO NOTHING
  RETURNING id, code, job_type, name, created_at
), logged AS (
  INSERT INTO podium.audit_log (actor, action, affected, details)
  SELECT $4, 'register_region', 1, jsonb_build_object('code', code, 'job_type', job_type, 'name', name) FROM added
), announced AS (
  SELECT pg_notify('podium_changes', 'regions audit_log') FROM added
)
SELECT id, code, job_type, name, created_at FROM added WHERE (SELECT count(*) FROM announced) >= 0

-- name: rename_region(code, job_type, name, actor)
-- No row when there is no such region; no entry when it has that name already.
WITH before AS (
  SELECT id, name FROM podium.regions WHERE code = $1 AND job_type = $2 FOR UPDATE
), renamed AS (
  UPDATE podium.regions AS r SET name = $3 FROM before WHERE r.id = before.id
  RETURNING r.id, r.code, r.job_type, r.name, r.created_at, before.name AS previous_name
), logged AS (
  INSERT INTO podium.audit_log (actor, action, affected, details)
  SELECT $4, 'rename_region', 1,
    jsonb_build_object('code', code, 'job_type', job_type, 'name', name, 'previous_name', previous_name)
  FROM renamed WHERE name <> previous_name
), announced AS (
  SELECT pg_notify('podium_changes', 'regions audit_log') FROM renamed WHERE name <> previous_name
)
SELECT id, code, job_type, name, created_at FROM renamed WHERE (SELECT count(*) FROM announced) >= 0

-- name: lock_withdrawals()
-- One withdrawal after the other, until the end of the transaction: two that mark the same results would each wait for
-- rows of the other.
SELECT pg_advisory_xact_lock(hashtext('podium.withdrawals'))

-- piece: next_entry
entry AS MATERIALIZED (SELECT nextval('podium.audit_log_id_seq') AS id)

-- piece: logged_and_announced
announced AS (
  SELECT pg_notify('podium_changes', 'results audit_log') FROM logged
)
SELECT {columns}, cells.*
FROM logged CROSS JOIN (
  SELECT array_agg(hour) AS hours, array_agg(orchestrator_id) AS orchestrator_ids,
    array_agg(region_id) AS region_ids, array_agg(model_id) AS model_ids
  FROM (SELECT DISTINCT {hour_of_result} AS hour, orchestrator_id, region_id, model_id FROM marked) AS cell
) AS cells
WHERE (SELECT count(*) FROM announced) >= 0

-- name: withdraw_matching(since, until, job_type, orchestrator_ids, region_ids, model_ids, min_success_rate, max_success_rate, min_round_trip_time, max_round_trip_time, error_codes, model_is_warm, is_withdrawn, actor, reason, details)
WITH {next_entry},
marked AS (
  UPDATE podium.results AS r SET withdrawal_id = entry.id FROM entry WHERE {matching}
  RETURNING r.recorded_at, r.orchestrator_id, r.region_id, r.model_id
), logged AS (
  INSERT INTO podium.audit_log (id, actor, action, reason, affected, details) OVERRIDING SYSTEM VALUE
  SELECT (SELECT id FROM entry), $14, 'withdraw_stats', $15, count(*), $16 FROM marked HAVING count(*) > 0
  RETURNING {columns}
), {logged_and_announced}

-- name: withdraw_by_key(orchestrators, recorded_ats, ids, actor, reason, details)
-- The times apart from the keys, because they alone tell which partitions to look at.
WITH {next_entry},
marked AS (
  UPDATE podium.results AS r SET withdrawal_id = entry.id FROM entry
  WHERE r.recorded_at = ANY ($2::timestamptz[]) AND r.withdrawal_id IS NULL
    AND (r.orchestrator_id, r.recorded_at, r.id) IN (
      SELECT o.id, k.recorded_at, k.id
      FROM unnest($1::text[], $2::timestamptz[], $3::bigint[]) AS k (address, recorded_at, id)
      JOIN podium.orchestrators AS o ON o.address = k.address)
  RETURNING r.recorded_at, r.orchestrator_id, r.region_id, r.model_id
), logged AS (
  INSERT INTO podium.audit_log (id, actor, action, reason, affected, details) OVERRIDING SYSTEM VALUE
  SELECT (SELECT id FROM entry), $4, 'withdraw_stats', $5, count(*), $6 FROM marked HAVING count(*) > 0
  RETURNING {columns}
), {logged_and_announced}

-- name: restore_results(withdrawal_id, actor, reason, details)
WITH marked AS (
  UPDATE podium.results AS r SET withdrawal_id = NULL WHERE r.withdrawal_id = $1
  RETURNING r.recorded_at, r.orchestrator_id, r.region_id, r.model_id
), logged AS (
  INSERT INTO podium.audit_log (actor, action, reason, affected, details)
  SELECT $2, 'restore_stats', $3, count(*), $4 FROM marked HAVING count(*) > 0
  RETURNING {columns}
), {logged_and_announced}

-- name: add_peer(peer_id)
INSERT INTO podium.peers (peer_id) VALUES ($1) ON CONFLICT (peer_id) DO NOTHING

-- name: link_peer(peer_id, orchestrator, actor)
-- No row when there is no such node; no entry when it belongs there already. It belongs to nobody where $2 is NULL.
WITH before AS (
  SELECT id, orchestrator_id FROM podium.peers WHERE peer_id = $1 FOR NO KEY UPDATE
), linked AS (
  UPDATE podium.peers AS p SET orchestrator_id = o.id
  FROM before LEFT JOIN podium.orchestrators AS o ON o.address = $2
  WHERE p.id = before.id
  RETURNING p.id, p.peer_id, p.orchestrator_id, o.address AS orchestrator, before.orchestrator_id AS previous_id
), changed AS (
  SELECT linked.*, o.address AS previous FROM linked LEFT JOIN podium.orchestrators AS o ON o.id = linked.previous_id
  WHERE linked.orchestrator_id IS DISTINCT FROM linked.previous_id
), logged AS (
  INSERT INTO podium.audit_log (actor, action, affected, details)
  SELECT $3, 'link_peer', 1,
    jsonb_build_object('peer_id', peer_id, 'orchestrator', orchestrator, 'previous_orchestrator', previous)
  FROM changed
), announced AS (
  SELECT pg_notify('podium_changes', 'audit_log') FROM changed
)
SELECT id, peer_id, orchestrator FROM linked WHERE (SELECT count(*) FROM announced) >= 0

-- name: set_stream_limit(viewer, limit, actor)
-- No row when there is no such viewer; no entry when it has that limit already, which is that of the gateway where $2 is
-- NULL. What is watched already goes on.
WITH before AS (
  SELECT id, stream_limit FROM podium.viewers WHERE id = $1 FOR NO KEY UPDATE
), changed AS (
  UPDATE podium.viewers AS v SET stream_limit = $2::integer, is_used = true FROM before
  WHERE v.id = before.id AND before.stream_limit IS DISTINCT FROM $2::integer
  RETURNING v.id, v.stream_limit, before.stream_limit AS previous
), logged AS (
  INSERT INTO podium.audit_log (actor, action, affected, details)
  SELECT $3, 'set_stream_limit', 1,
    jsonb_build_object('viewer', id, 'stream_limit', stream_limit, 'previous_stream_limit', previous)
  FROM changed
), announced AS (
  SELECT pg_notify('podium_changes', 'audit_log'), pg_notify('podium_viewers', id) FROM changed
)
SELECT id FROM before WHERE (SELECT count(*) FROM announced) >= 0

-- name: release_streams(viewer, streams, actor)
-- Frees some of a viewer's streams, or all of them if NULL. No row when there is no such viewer; no entry when it watched
-- none of them. expires_at may be too early then, which expire finds.
WITH before AS (
  SELECT id, active FROM podium.viewers WHERE id = $1 FOR NO KEY UPDATE
), released AS (
  SELECT b.id, array_agg(s.id ORDER BY s.id) AS streams
  FROM before AS b CROSS JOIN LATERAL jsonb_object_keys(b.active) AS s (id)
  WHERE ($2::text[] IS NULL OR s.id = ANY ($2::text[])) GROUP BY b.id
), changed AS (
  UPDATE podium.viewers AS v SET active = b.active - r.streams
  FROM before AS b JOIN released AS r ON r.id = b.id WHERE v.id = b.id
  RETURNING v.id, r.streams
), logged AS (
  INSERT INTO podium.audit_log (actor, action, affected, details)
  SELECT $3, 'release_streams', cardinality(streams), jsonb_build_object('viewer', id, 'streams', streams) FROM changed
), announced AS (
  SELECT pg_notify('podium_changes', 'audit_log'), pg_notify('podium_viewers', id) FROM changed
)
SELECT id FROM before WHERE (SELECT count(*) FROM announced) >= 0
