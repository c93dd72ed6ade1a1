-- What an import from canWatch writes: ids, which nobody knows to be unused, so that they do not expire; and what is
-- watched.

-- name: wait_for_others()
-- One batch after the other, whoever imports, until the end of the transaction.
SELECT pg_advisory_xact_lock(hashtext('podium.streams_import'))

-- name: store_streams(ids)
-- How many are new.
WITH added AS (
  INSERT INTO podium.streams (id, is_used) SELECT g.id, true FROM unnest($1::text[]) AS g (id) ORDER BY g.id
  ON CONFLICT (id) DO NOTHING RETURNING 1
)
SELECT count(*) FROM added

-- name: store_viewers(ids)
-- How many are new.
WITH added AS (
  INSERT INTO podium.viewers (id, is_used) SELECT g.id, true FROM unnest($1::text[]) AS g (id) ORDER BY g.id
  ON CONFLICT (id) DO NOTHING RETURNING 1
)
SELECT count(*) FROM added

-- name: store_active(ids, viewers, streams, lease_s)
-- What these viewers watch, each pair of $2 and $3 being one stream of one of them: what was started at the original since
-- the last import starts here, whatever the limit, and what was ended there ends. How many of both.
WITH locked AS MATERIALIZED (
  SELECT id, active FROM podium.viewers WHERE id = ANY ($1::text[]) ORDER BY id FOR UPDATE
), watched AS MATERIALIZED (
  SELECT viewer, array_agg(stream ORDER BY stream) AS streams
  FROM unnest($2::text[], $3::text[]) AS w (viewer, stream) GROUP BY viewer
), compared AS MATERIALIZED (
  SELECT l.id, l.active, coalesce(w.streams, '{}') AS watched, coalesce(i.active, '{}') AS before
  FROM locked AS l LEFT JOIN watched AS w ON w.viewer = l.id LEFT JOIN podium.imported_viewers AS i ON i.id = l.id
), moments AS MATERIALIZED (
  SELECT m.since, m.since + ($4::double precision * 1000)::bigint AS until
  FROM (SELECT floor(extract(epoch FROM now()) * 1000)::bigint AS since) AS m
), merged AS MATERIALIZED (
  SELECT c.*, (
    SELECT coalesce(array_agg(s.id), '{}') FROM (SELECT unnest(c.watched) EXCEPT SELECT unnest(c.before)) AS s (id)
    WHERE NOT c.active ? s.id
  ) AS started, (
    SELECT coalesce(array_agg(s.id), '{}') FROM (SELECT unnest(c.before) EXCEPT SELECT unnest(c.watched)) AS s (id)
    WHERE c.active ? s.id
  ) AS ended
  FROM compared AS c
), changed AS (
  UPDATE podium.viewers AS v
  SET active = m.active - m.ended || (
      SELECT coalesce(jsonb_object_agg(s.id, jsonb_build_array(t.since, t.until)), '{}')
      FROM unnest(m.started) AS s (id) CROSS JOIN moments AS t
    ),
    expires_at = CASE WHEN m.started = '{}' THEN v.expires_at
      ELSE least(v.expires_at, (SELECT to_timestamp(t.until / 1000.0) FROM moments AS t)) END
  FROM merged AS m WHERE v.id = m.id AND (m.started <> '{}' OR m.ended <> '{}')
  RETURNING v.id, v.followed_until
), told AS (
  SELECT count(pg_notify('podium_viewers', c.id)) AS viewers FROM changed AS c WHERE c.followed_until > now()
), noted AS (
  INSERT INTO podium.imported_viewers (id, active) SELECT id, watched FROM merged WHERE watched <> before
  ON CONFLICT (id) DO UPDATE SET active = excluded.active
)
SELECT coalesce(sum(cardinality(started)), 0)::bigint AS started, coalesce(sum(cardinality(ended)), 0)::bigint AS ended
FROM merged WHERE (SELECT t.viewers FROM told AS t) >= 0
