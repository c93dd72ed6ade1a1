-- Nodes, by their connections.

-- name: id_of(peer_id)
SELECT id FROM podium.peers WHERE peer_id = $1

-- piece: connection_columns
c.id, c.opened_at, c.ip_addr, c.is_audit, c.name, c.chain, c.version, c.implementation, c.authority, c.startup_time

-- name: latest_connections()
-- The latest connection of every node, by node, and last, without one, the latest of those that have not said who they are.
SELECT p.peer_id, {connection_columns}
FROM podium.peers AS p
CROSS JOIN LATERAL (
  SELECT * FROM podium.peer_connections AS c WHERE c.peer_id = p.id ORDER BY c.opened_at DESC, c.id DESC LIMIT 1
) AS c
UNION ALL (
  SELECT NULL COLLATE "C", {connection_columns}
  FROM podium.peer_connections AS c WHERE c.peer_id IS NULL ORDER BY c.opened_at DESC, c.id DESC LIMIT 1
)
ORDER BY peer_id NULLS LAST
