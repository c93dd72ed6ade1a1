-- Nodes and their connections page by page, and what is known of many nodes at once.

-- piece: identity
p.id, p.peer_id, o.address AS orchestrator

-- piece: identified
podium.peers AS p LEFT JOIN podium.orchestrators AS o ON o.id = p.orchestrator_id

-- piece: latest_connection
SELECT * FROM podium.peer_connections AS c WHERE c.peer_id = p.id ORDER BY c.opened_at DESC, c.id DESC LIMIT 1

-- piece: is_connected
EXISTS (SELECT FROM podium.peer_connections AS c WHERE c.peer_id = p.id AND c.closed_at IS NULL)

-- piece: last_seen_at
-- Of its latest connection, and of the log that is the latest by the node's own clock, which an index finds.
greatest(
    (SELECT l.stored_at FROM podium.peer_logs AS l WHERE l.peer_id = p.id ORDER BY l.ts DESC, l.id DESC LIMIT 1),
    (SELECT greatest(c.opened_at, c.closed_at) FROM ({latest_connection}) AS c))

-- piece: matching_peers
($1::text[] IS NULL OR p.peer_id = ANY ($1))
  AND ($2::text[] IS NULL OR o.address = ANY ($2))
  AND ($3::boolean IS NULL OR {is_connected} = $3)
  {?latest AND ($4::text[] IS NULL OR c.name = ANY ($4))
  AND ($5::text[] IS NULL OR c.chain = ANY ($5))
  AND ($6::text[] IS NULL OR c.version = ANY ($6))
  AND ($7::text[] IS NULL OR c.implementation = ANY ($7))
  AND ($8::boolean IS NULL OR c.authority = $8)}
  {?seen AND ($9::timestamptz IS NULL OR s.last_seen_at >= $9)
  AND ($10::timestamptz IS NULL OR s.last_seen_at <= $10)}

-- piece: with_latest
{?latest CROSS JOIN LATERAL ({latest_connection}) AS c}

-- piece: with_last_seen
-- OFFSET keeps it from being computed anew wherever it is named.
CROSS JOIN LATERAL (SELECT {last_seen_at} AS last_seen_at OFFSET 0) AS s

-- piece: by_name.first
AND ($11::text IS NULL OR p.peer_id > $11) ORDER BY p.peer_id

-- piece: by_name.last
AND ($11::text IS NULL OR p.peer_id < $11) ORDER BY p.peer_id DESC

-- name: by_name(peer_ids, orchestrators, is_connected, names, chains, versions, implementations, authority, seen_since, seen_until, cursor_peer_id, limit)
SELECT {identity}
FROM {identified} {with_latest} {?seen {with_last_seen}}
WHERE {matching_peers} {by_name:first|last}
LIMIT $12

-- piece: seen_at
-- Nodes that were linked and never seen stand behind all others.
coalesce(s.last_seen_at, '0001-01-01 00:00:00+00')

-- piece: by_last_seen.newest
AND ($11::text IS NULL OR ({seen_at}, p.peer_id) < ($12::timestamptz, $11)) ORDER BY {seen_at} DESC, p.peer_id DESC

-- piece: by_last_seen.oldest
AND ($11::text IS NULL OR ({seen_at}, p.peer_id) > ($12::timestamptz, $11)) ORDER BY {seen_at}, p.peer_id

-- name: by_last_seen(peer_ids, orchestrators, is_connected, names, chains, versions, implementations, authority, seen_since, seen_until, cursor_peer_id, cursor_at, limit)
SELECT {identity}, {seen_at} AS seen_at
FROM {identified} {with_latest} {with_last_seen}
WHERE {matching_peers} {by_last_seen:newest|oldest}
LIMIT $13

-- name: count_peers(peer_ids, orchestrators, is_connected, names, chains, versions, implementations, authority, seen_since, seen_until)
SELECT count(*) FROM {identified} {with_latest} {?seen {with_last_seen}} WHERE {matching_peers}

-- name: peers_by_name(peer_ids)
SELECT {identity} FROM {identified} WHERE p.peer_id = ANY ($1::text[])

-- name: peers_by_id(ids)
SELECT {identity} FROM {identified} WHERE p.id = ANY ($1::bigint[])

-- name: peers_of_orchestrators(addresses)
SELECT {identity} FROM {identified} WHERE o.address = ANY ($1::text[]) ORDER BY p.peer_id

-- name: states(ids)
-- What nodes have said of themselves at last, whether they are connected, and since when they are known.
SELECT p.id, {is_connected} AS is_connected,
  (SELECT min(c.opened_at) FROM podium.peer_connections AS c WHERE c.peer_id = p.id) AS first_seen_at,
  c.name, c.chain, c.version, c.implementation, c.authority, c.startup_time
FROM unnest($1::bigint[]) AS p (id) LEFT JOIN LATERAL ({latest_connection}) AS c ON true

-- name: last_seen(ids)
SELECT p.id, s.last_seen_at FROM unnest($1::bigint[]) AS p (id) {with_last_seen}

-- piece: connections.newest
AND ($2::timestamptz IS NULL OR (c.opened_at, c.id) < ($2, $3::bigint)) ORDER BY c.opened_at DESC, c.id DESC

-- piece: connections.oldest
AND ($2::timestamptz IS NULL OR (c.opened_at, c.id) > ($2, $3::bigint)) ORDER BY c.opened_at, c.id

-- name: connections(ids, cursor_at, cursor_id, limit)
-- A page of the connections of each of these nodes.
SELECT c.* FROM unnest($1::bigint[]) AS p (id)
CROSS JOIN LATERAL (
  SELECT c.peer_id AS peer, c.id, c.ip_addr AS ip_address, c.is_audit, c.name, c.chain, c.version, c.implementation,
    c.authority, c.startup_time, c.opened_at, c.closed_at
  FROM podium.peer_connections AS c
  WHERE c.peer_id = p.id {connections:newest|oldest}
  LIMIT $4
) AS c

-- name: count_connections(ids)
SELECT c.peer_id AS peer, count(*) AS number
FROM podium.peer_connections AS c WHERE c.peer_id = ANY ($1::bigint[]) GROUP BY 1
