-- What nodes say of each other in their network states, about many of them at once; see also reputation.sql.

-- piece: is_opinion
-- As in reputation.sql: nodes write what they like, and what is no integer and no boolean is no opinion.
o.value ->> 'reputation' ~ '^-?[0-9]{1,18}$' AND o.value ->> 'connected' IN ('true', 'false')

-- piece: opinion
-- A number that takes more than 32 bits is left out.
CASE WHEN (o.value ->> 'reputation')::bigint BETWEEN -2147483648 AND 2147483647
    THEN (o.value ->> 'reputation')::integer END AS reputation,
  (o.value ->> 'connected')::boolean AS is_connected

-- piece: nodes
CASE jsonb_typeof({nodes_of}) WHEN 'object' THEN {nodes_of} ELSE '{}' END

-- piece: in_time
($2::timestamptz IS NULL OR l.ts >= $2) AND ($3::timestamptz IS NULL OR l.ts <= $3)

-- piece: about.newest
AND ($4::timestamptz IS NULL OR (l.ts, l.id) < ($4, $5::bigint)) ORDER BY l.ts DESC, l.id DESC

-- piece: about.oldest
AND ($4::timestamptz IS NULL OR (l.ts, l.id) > ($4, $5::bigint)) ORDER BY l.ts, l.id

-- piece: place.newest
ORDER BY l.ts DESC, l.id DESC

-- piece: place.oldest
ORDER BY l.ts, l.id

-- name: about_in_some(remotes, since, until, cursor_at, cursor_id, states, limit)
-- What was said of each of these nodes in so many network states: most nodes know most others, and then a few are enough.
WITH states AS MATERIALIZED (
  SELECT l.id, l.ts, l.peer_id, {nodes_of} AS nodes
  FROM podium.peer_logs AS l WHERE l.type = 'system.network_state' AND {in_time} {about:newest|oldest}
  LIMIT $6
)
SELECT found.* FROM (
  SELECT r.name AS peer, l.id, l.ts AS at, p.peer_id AS reporter_peer_id, r.name AS remote_peer_id, {opinion},
    row_number() OVER (PARTITION BY r.name {place:newest|oldest}) AS place
  FROM states AS l
  JOIN podium.peers AS p ON p.id = l.peer_id
  CROSS JOIN unnest($1::text[]) AS r (name)
  CROSS JOIN LATERAL (SELECT l.nodes -> r.name AS value) AS o
  WHERE {is_opinion}
) AS found
WHERE place <= $7 ORDER BY place

-- name: about(remotes, since, until, cursor_at, cursor_id, limit)
-- The same in all network states that mention them.
SELECT r.name AS peer, found.* FROM unnest($1::text[]) AS r (name)
CROSS JOIN LATERAL (
  SELECT l.id, l.ts AS at, p.peer_id AS reporter_peer_id, r.name AS remote_peer_id, {opinion}
  FROM podium.peer_logs AS l
  JOIN podium.peers AS p ON p.id = l.peer_id
  CROSS JOIN LATERAL (SELECT {nodes_of} -> r.name AS value) AS o
  WHERE l.type = 'system.network_state' AND podium.reported_peers(l.message) @> ARRAY[left(r.name, 256)]
    AND {is_opinion} AND {in_time} {about:newest|oldest}
  LIMIT $6
) AS found

-- name: count_about(remotes, since, until)
SELECT r.name AS peer, count(*) AS number FROM unnest($1::text[]) AS r (name)
CROSS JOIN LATERAL (
  SELECT {nodes_of} -> r.name AS value
  FROM podium.peer_logs AS l JOIN podium.peers AS p ON p.id = l.peer_id
  WHERE l.type = 'system.network_state' AND podium.reported_peers(l.message) @> ARRAY[left(r.name, 256)] AND {in_time}
) AS o
WHERE {is_opinion}
GROUP BY 1

-- piece: of_reporter
SELECT l.* FROM podium.peer_logs AS l WHERE l.peer_id = p.id AND l.type = (SELECT 'system.network_state') AND {in_time}

-- piece: states.latest
-- On further pages, the one that the first page was of.
SELECT l.* FROM ({of_reporter} AND ($4::timestamptz IS NULL OR (l.ts, l.id) = ($4, $5::bigint))
    ORDER BY l.ts DESC, l.id DESC LIMIT 1) AS l

-- piece: states.all
{of_reporter}

-- piece: given.newest
AND ($4::timestamptz IS NULL OR l.ts <= $4) AND ($4::timestamptz IS NULL OR (l.ts, l.id) < ($4, $5::bigint)
      OR (l.ts, l.id) = ($4, $5) AND o.key COLLATE "C" > $6::text)
  ORDER BY l.ts DESC, l.id DESC, o.key COLLATE "C"

-- piece: given.oldest
AND ($4::timestamptz IS NULL OR l.ts >= $4) AND ($4::timestamptz IS NULL OR (l.ts, l.id) > ($4, $5::bigint)
      OR (l.ts, l.id) = ($4, $5) AND o.key COLLATE "C" < $6::text)
  ORDER BY l.ts, l.id, o.key COLLATE "C" DESC

-- name: given(peers, since, until, cursor_at, cursor_id, cursor_key, limit)
-- What each of these nodes said of others: in its latest network state, or in all of them.
SELECT p.id AS peer, p.peer_id AS reporter_peer_id, found.* FROM podium.peers AS p
CROSS JOIN LATERAL (
  SELECT l.id, l.ts AS at, o.key AS remote_peer_id, {opinion}
  FROM ({states:latest|all}) AS l CROSS JOIN LATERAL jsonb_each({nodes}) AS o
  WHERE {is_opinion} {given:newest|oldest}
  LIMIT $7
) AS found
WHERE p.id = ANY ($1::bigint[])

-- piece: counted_states.latest
{of_reporter} ORDER BY l.ts DESC, l.id DESC LIMIT 1

-- piece: counted_states.all
{of_reporter}

-- name: count_given(peers, since, until)
SELECT p.id AS peer, count(*) AS number FROM podium.peers AS p
CROSS JOIN LATERAL ({counted_states:latest|all}) AS l CROSS JOIN LATERAL jsonb_each({nodes}) AS o
WHERE p.id = ANY ($1::bigint[]) AND {is_opinion}
GROUP BY 1
