-- Which server and database this is, and how far it is.

-- name: position()
-- The time of its start tells a server from every other one, a replica of it too. The position is that in the log of all
-- writes, in bytes: up to where a primary has it on its disk, and up to where a replica has it done again.
SELECT pg_postmaster_start_time() AS started_at, current_database()::text AS database,
  pg_is_in_recovery() AS is_replica,
  (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END - '0/0')::bigint
    AS position

-- name: try_leadership()
-- Held until the end of the session.
SELECT pg_try_advisory_lock(hashtext('podium.leadership'))
