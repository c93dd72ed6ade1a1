-- What has been stored lately, for whoever listens to nodes.

-- name: clock(hidden_for)
-- Our time, and until when everything that was stored is committed: a log has the time at which the transaction that
-- stores it began, and is seen when that ends. The beginning of this statement counts, not its end: a transaction that
-- begins while it looks is of later. Of writers with another login, nothing is shown: their transactions are taken to
-- last as long as $1.
SELECT statement_timestamp() AS present, least(statement_timestamp(), (
    SELECT min(CASE WHEN a.state IS NULL THEN statement_timestamp() - $1::interval ELSE a.xact_start END)
    FROM pg_stat_activity AS a
    WHERE a.datname = current_database() AND a.application_name LIKE 'podium telemetry%'
  )) AS settled

-- name: peers(peer_ids)
SELECT p.id, p.peer_id FROM podium.peers AS p WHERE p.peer_id = ANY ($1::text[])

-- name: logs_between(peers, types, whole_peers, after, after_id, until, until_id, limit, max_bytes)
-- Logs of these types, and of some peers those of any, in the order in which they were stored: the first so many, and of
-- these so many bytes. With $1 as it is, the planner might read all that a node has ever said.
SELECT f.id, f.peer_id, f.ts, f.stored_at, f.type, f.message, f.found FROM (
  SELECT c.*, count(*) OVER () AS found, sum(octet_length(c.message)) OVER (
      ORDER BY c.stored_at, c.id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS bytes_before
  FROM (
    SELECT l.id, l.peer_id, l.ts, l.stored_at, l.type, l.message::text AS message FROM podium.peer_logs AS l
    WHERE l.stored_at >= $4 AND l.stored_at <= $6
      AND (l.stored_at, l.id) > ($4, $5::bigint) AND (l.stored_at, l.id) <= ($6, $7::bigint)
      AND l.peer_id + 0 = ANY ($1::bigint[])
      AND (l.type = ANY ($2::text[]) OR l.peer_id + 0 = ANY ($3::bigint[]))
    ORDER BY l.stored_at, l.id LIMIT $8
  ) AS c
) AS f
WHERE coalesce(f.bytes_before, 0) < $9
ORDER BY f.stored_at, f.id

-- name: logs_since(peer, type, since, since_id, until, until_id, limit, max_bytes)
-- What a node has said from some time of its own on, as far as it was stored until then: the first so many, and of these
-- so many bytes.
SELECT f.id, f.peer_id, f.ts, f.stored_at, f.type, f.message, f.found FROM (
  SELECT c.*, count(*) OVER () AS found, sum(octet_length(c.message)) OVER (
      ORDER BY c.ts, c.id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS bytes_before
  FROM (
    SELECT l.id, l.peer_id, l.ts, l.stored_at, l.type, l.message::text AS message FROM podium.peer_logs AS l
    WHERE l.peer_id = $1 AND ($2::text IS NULL OR l.type = $2) AND l.ts >= $3 AND (l.ts, l.id) > ($3, $4::bigint)
      AND (l.stored_at, l.id) <= ($5, $6::bigint)
    ORDER BY l.ts, l.id LIMIT $7
  ) AS c
) AS f
WHERE coalesce(f.bytes_before, 0) < $8
ORDER BY f.ts, f.id
