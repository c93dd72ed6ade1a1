-- Who watches what: viewers, the streams that they may watch, and how many of them at the same time.

-- piece: changed_viewers
-- What has changed is told from the rows that were locked: this statement sees those of its beginning.
UPDATE podium.viewers AS v SET active = d.active, expires_at = d.expires_at, is_used = true
FROM decided AS d WHERE v.id = d.id AND d.has_changed
RETURNING v.id, v.followed_until

-- piece: told
-- Calling out makes transactions wait for each other until they are on the disk: it is done where somebody may hear it.
SELECT count(pg_notify('podium_viewers', c.id)) AS viewers FROM changed AS c WHERE c.followed_until > now()

-- name: decide(viewers, streams, activates, limit, lease_s, at)
-- Decides what viewers ask for and writes what becomes of it, by the rows as they are once they are locked: who waits for a
-- lock goes on with what the one before has left. Locks are taken in the order of ids, so that nobody waits in a circle.
-- Streams that are used for the first time are marked, unless somebody else is at it.
WITH locked AS MATERIALIZED (
  SELECT id, active, expires_at, stream_limit FROM podium.viewers WHERE id = ANY ($1::text[]) ORDER BY id FOR UPDATE
), known AS MATERIALIZED (
  SELECT coalesce(array_agg(s.id), '{}') AS ids, array_agg(s.id) FILTER (WHERE NOT s.is_used) AS unused
  FROM podium.streams AS s WHERE s.id = ANY ($2::text[])
), decided AS MATERIALIZED (
  SELECT l.id, d.active, d.expires_at, d.places, d.verdicts, d.expired,
    (d.active, d.expires_at) IS DISTINCT FROM (l.active, l.expires_at) AS has_changed
  FROM locked AS l CROSS JOIN known AS k
  CROSS JOIN LATERAL podium.decide_streams(l.active, l.expires_at, coalesce(l.stream_limit, $4), l.id, $1, $2,
    $3::boolean[], k.ids, coalesce($6::timestamptz, now()), $5::double precision) AS d
), changed AS (
  {changed_viewers}
), told AS (
  {told}
), used AS (
  UPDATE podium.streams SET is_used = true WHERE id = ANY (ARRAY(
    SELECT s.id FROM podium.streams AS s
    WHERE s.id = ANY (ARRAY(SELECT unnest(k.unused) FROM known AS k))
      AND EXISTS (SELECT FROM decided AS d WHERE d.active ? s.id)
    FOR UPDATE SKIP LOCKED
  ))
)
SELECT places, verdicts, expired FROM decided WHERE (SELECT viewers FROM told) >= 0

-- name: expire(at, batch)
-- Gives leases back that have ended. What is locked is being decided, which does the same.
WITH due AS MATERIALIZED (
  SELECT id, active, expires_at FROM podium.viewers WHERE expires_at <= coalesce($1::timestamptz, now())
  ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED
), decided AS MATERIALIZED (
  SELECT due.id, d.active, d.expires_at, d.expired,
    (d.active, d.expires_at) IS DISTINCT FROM (due.active, due.expires_at) AS has_changed
  FROM due
  CROSS JOIN LATERAL podium.decide_streams(due.active, due.expires_at, 0, due.id, '{}', '{}', '{}', '{}',
    coalesce($1::timestamptz, now()), NULL) AS d
), changed AS (
  {changed_viewers}
), told AS (
  {told}
)
SELECT count(*) AS viewers, coalesce(sum(expired), 0) AS streams FROM decided WHERE (SELECT t.viewers FROM told AS t) >= 0

-- name: follow(viewers, seconds)
-- Have changes of these called out for so long.
UPDATE podium.viewers SET followed_until = now() + make_interval(secs => $2::double precision)
WHERE id IN (SELECT id FROM podium.viewers WHERE id = ANY ($1::text[]) ORDER BY id FOR NO KEY UPDATE)

-- name: add_viewer()
INSERT INTO podium.viewers (id) VALUES (gen_random_uuid()::text) RETURNING id

-- name: add_stream()
INSERT INTO podium.streams (id) VALUES (gen_random_uuid()::text) RETURNING id

-- name: viewers_by_id(ids)
SELECT id, stream_limit, active, created_at FROM podium.viewers WHERE id = ANY ($1::text[])

-- piece: page.forwards
($1::text IS NULL OR id > $1) ORDER BY id

-- piece: page.backwards
($1::text IS NULL OR id < $1) ORDER BY id DESC

-- name: viewers(cursor, limit)
SELECT id, stream_limit, active, created_at FROM podium.viewers WHERE {page:forwards|backwards} LIMIT $2

-- name: count_viewers()
SELECT count(*) FROM podium.viewers

-- name: streams_by_id(ids)
SELECT id, created_at FROM podium.streams WHERE id = ANY ($1::text[])

-- name: count_active()
SELECT count(*) AS viewers, coalesce(sum((SELECT count(*) FROM jsonb_object_keys(v.active))), 0)::bigint AS streams
FROM podium.viewers AS v WHERE v.active <> '{}'

-- name: forget_viewers(age_s, at, batch)
-- Those that were made so long ago and never used.
WITH gone AS (
  DELETE FROM podium.viewers WHERE id IN (
    SELECT id FROM podium.viewers
    WHERE NOT is_used AND created_at < coalesce($2::timestamptz, now()) - make_interval(secs => $1::double precision)
    ORDER BY created_at LIMIT $3 FOR UPDATE SKIP LOCKED
  ) RETURNING 1
)
SELECT count(*) FROM gone

-- name: forget_streams(age_s, at, batch)
WITH gone AS (
  DELETE FROM podium.streams WHERE id IN (
    SELECT id FROM podium.streams
    WHERE NOT is_used AND created_at < coalesce($2::timestamptz, now()) - make_interval(secs => $1::double precision)
    ORDER BY created_at LIMIT $3 FOR UPDATE SKIP LOCKED
  ) RETURNING 1
)
SELECT count(*) FROM gone
