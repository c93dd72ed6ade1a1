-- Messages of nodes on their way into the database, and out of it when they have expired.

-- name: next_writer()
SELECT nextval('podium.telemetry_writers')

-- name: create_partitions(width, until)
SELECT podium.create_peer_log_partitions($1, $2)

-- name: drop_partitions(until)
SELECT podium.drop_peer_log_partitions($1)
