-- What nodes think of each other, as they say in their network states.

-- piece: is_opinion
-- Nodes write what they like, and must not break an answer about others: what is no integer and no boolean is no opinion.
o.value ->> 'reputation' ~ '^-?[0-9]{1,18}$' AND o.value ->> 'connected' IN ('true', 'false')

-- name: latest(after, limit)
-- What each node thinks of others by its latest network state, in the order in which jsonb has them; without nodes that
-- tell of nobody. The type is a subquery so that the index is used that finds one node's logs of a type, newest first,
-- and not that of all network states; where there are few of those, they tell first which nodes are in question.
SELECT p.peer_id AS reporting_peer, l.ts, o.remote_peer, o.reputation, o.connected
FROM podium.peers AS p
CROSS JOIN LATERAL (
  SELECT l.ts, {nodes_of} AS nodes
  FROM podium.peer_logs AS l
  WHERE l.peer_id = p.id AND l.type = (SELECT 'system.network_state') AND ($1::timestamptz IS NULL OR l.ts > $1)
  ORDER BY l.ts DESC, l.id DESC
  LIMIT 1
) AS l
CROSS JOIN LATERAL (
  SELECT array_agg(o.key) AS remote_peer, array_agg((o.value ->> 'reputation')::bigint) AS reputation,
    array_agg((o.value ->> 'connected')::boolean) AS connected
  FROM (
    SELECT o.key, o.value
    FROM jsonb_each(CASE jsonb_typeof(l.nodes) WHEN 'object' THEN l.nodes ELSE '{}' END)
      WITH ORDINALITY AS o (key, value, place)
    WHERE {is_opinion}
      {?of_logged AND EXISTS (
        SELECT FROM podium.peers AS r JOIN podium.peer_connections AS c ON c.peer_id = r.id WHERE r.peer_id = o.key)}
    ORDER BY o.place
  ) AS o
) AS o
WHERE o.remote_peer IS NOT NULL
  {?lately AND p.id IN (
    SELECT l.peer_id FROM podium.peer_logs AS l WHERE l.type = 'system.network_state' AND l.ts > $1)}
ORDER BY p.peer_id
LIMIT $2

-- piece: in_time
($2::timestamptz IS NULL OR l.ts > $2) AND ($3::timestamptz IS NULL OR l.ts < $3)

-- piece: states.newest
SELECT l.* FROM podium.peer_logs AS l
  WHERE l.type = 'system.network_state' AND {in_time}
  ORDER BY l.ts DESC, l.id DESC LIMIT $4

-- piece: states.mentioning
SELECT l.* FROM podium.peer_logs AS l
  WHERE l.type = 'system.network_state' AND podium.reported_peers(l.message) @> ARRAY[left($1, 256)] AND {in_time}

-- name: about(remote_peer, after, before, states, limit)
-- What nodes have thought of one, newest first: in the newest network states, as many as these, or in all that mention it.
SELECT p.peer_id AS reporting_peer, l.ts,
  (o.value ->> 'reputation')::bigint AS reputation, (o.value ->> 'connected')::boolean AS connected
FROM ({states:newest|mentioning}) AS l
JOIN podium.peers AS p ON p.id = l.peer_id
CROSS JOIN LATERAL (SELECT {nodes_of} -> $1::text AS value OFFSET 0) AS o  -- which takes each message apart once
WHERE {is_opinion}
ORDER BY l.ts DESC, l.id DESC
LIMIT $5
