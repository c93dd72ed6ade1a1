-- What nodes have said.

-- piece: matching_logs
-- The filter of a node's logs. Columns have the start of long texts, the message has all of them.
l.peer_id = $1
    AND ($2::text IS NULL OR l.type = left($2, 128)
      AND (char_length($2) < 128 OR {said} ->> 'msg' = $2))
    AND ($3::text IS NULL OR l.target = left($3, 128)
      AND (char_length($3) < 128 OR {said} ->> 'target' = $3))
    AND ($4::timestamptz IS NULL OR l.ts > $4)
    AND ($5::timestamptz IS NULL OR l.ts < $5)

-- name: newest(peer, msg, target, after, before, limit)
-- A node's logs, newest first. The message is text, so that nobody has to take it apart who only passes it on.
SELECT l.id, l.ts, l.msg, l.message, c.ip_addr
FROM (
  SELECT l.id, l.ts, l.connection_id, l.message::text AS message,
    CASE WHEN char_length(l.type) < 128 THEN l.type ELSE {said} ->> 'msg' END AS msg
  FROM podium.peer_logs AS l
  WHERE {matching_logs}
  ORDER BY l.ts DESC, l.id DESC
  LIMIT $6
) AS l
LEFT JOIN podium.peer_connections AS c ON c.id = l.connection_id
ORDER BY l.ts DESC, l.id DESC

-- name: counts(peer)
-- How many logs of each type a node has; without a type are those that have no msg.
SELECT l.type AS msg, count(*) AS logs FROM podium.peer_logs AS l WHERE l.peer_id = $1 GROUP BY 1 ORDER BY 1
