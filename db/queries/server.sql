-- Which server and database this is.

-- name: identity()
-- The time of its start tells a server from every other one, a replica of it too.
SELECT pg_postmaster_start_time() AS started_at, current_database() AS database, pg_is_in_recovery() AS is_replica

-- name: try_leadership()
-- Held until the end of the session.
SELECT pg_try_advisory_lock(hashtext('podium.leadership'))
