-- Messages of nodes on their way into the database.

-- name: next_writer()
SELECT nextval('podium.telemetry_writers')
