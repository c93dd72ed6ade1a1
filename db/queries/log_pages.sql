-- Logs of many nodes at once: pages of them, and how many there are of each type, over time.

-- piece: wanted
-- Columns have the start of long texts: $3 and $5 have the whole ones where any is so long. One type, or target, is
-- compared by itself, because only then is an index read in the order of time; and a subquery, so that the index of a
-- node's own logs is read, and not that of all network states.
($2::text[] IS NULL OR CASE WHEN cardinality($2) = 1 THEN l.type = (SELECT $2[1]) ELSE l.type = ANY ($2) END)
    AND ($3::text[] IS NULL OR {said} ->> 'msg' = ANY ($3))
    AND ($4::text[] IS NULL OR CASE WHEN cardinality($4) = 1 THEN l.target = (SELECT $4[1]) ELSE l.target = ANY ($4) END)
    AND ($5::text[] IS NULL OR {said} ->> 'target' = ANY ($5))
    AND ($6::timestamptz IS NULL OR l.ts >= $6)
    AND ($7::timestamptz IS NULL OR l.ts <= $7)
    AND ($8::boolean IS NULL OR l.is_audit = $8)

-- piece: page.newest
AND ($9::timestamptz IS NULL OR (l.ts, l.id) < ($9, $10::bigint)) ORDER BY l.ts DESC, l.id DESC

-- piece: page.oldest
AND ($9::timestamptz IS NULL OR (l.ts, l.id) > ($9, $10::bigint)) ORDER BY l.ts, l.id

-- name: logs(peers, types, msgs, target_starts, targets, since, until, is_audit, cursor_at, cursor_id, paths, limit, max_bytes)
-- A page of the logs of each of these nodes. JSON is text, because nobody has to take it apart; of messages that take
-- more than so many bytes together, as they are stored, none is read.
SELECT l.peer_id AS peer, l.id, l.ts AS at, l.stored_at, l.bytes
  {?msg , CASE WHEN char_length(l.type) < 128 THEN l.type ELSE {said} ->> 'msg' END AS msg}
  {?target , CASE WHEN char_length(l.target) < 128 THEN l.target ELSE {said} ->> 'target' END AS target}
  {?level , {said} ->> 'level' AS level}
  {?message , CASE WHEN l.bytes <= $13 THEN l.message::text END AS message}
  {?paths , $11::text[] AS paths, CASE WHEN l.bytes <= $13 THEN ARRAY(
    SELECT ({said} #> w.path::text[])::text FROM unnest($11) WITH ORDINALITY AS w (path, place) ORDER BY w.place
  ) END AS picked}
FROM (
  SELECT l.*, sum(pg_column_size(l.message)) OVER () AS bytes
  FROM unnest($1::bigint[]) AS p (id)
  CROSS JOIN LATERAL (
    SELECT l.* FROM podium.peer_logs AS l WHERE l.peer_id = p.id AND {wanted} {page:newest|oldest} LIMIT $12
  ) AS l
) AS l

-- name: count_logs(peers, types, msgs, target_starts, targets, since, until, is_audit)
SELECT l.peer_id AS peer, count(*) AS number
FROM podium.peer_logs AS l WHERE l.peer_id = ANY ($1::bigint[]) AND {wanted} GROUP BY 1

-- name: counts(peers, since, until, starts, limit)
-- How many logs of each type each of these nodes has, in each bucket of time where $4 has the buckets' starts; those first
-- of which there are most.
SELECT p.id AS peer, l.*
FROM unnest($1::bigint[]) AS p (id)
CROSS JOIN LATERAL (
  SELECT l.type AS msg, CASE WHEN $4::timestamptz[] IS NOT NULL THEN width_bucket(l.ts, $4) END AS bucket,
    count(*) AS number
  FROM podium.peer_logs AS l
  WHERE l.peer_id = p.id AND ($2::timestamptz IS NULL OR l.ts >= $2) AND ($3::timestamptz IS NULL OR l.ts <= $3)
  GROUP BY 1, 2 ORDER BY number DESC, msg, bucket
  LIMIT $5
) AS l
