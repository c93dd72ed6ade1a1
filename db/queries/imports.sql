-- How far the imports from other databases have come, and what they brought. Results are looked up one by one, which
-- LIMIT makes sure of: for a whole batch, the planner would rather read all results there are.

-- name: last_id(source)
SELECT last_id FROM podium.imports WHERE source = $1

-- name: advance(source, last_id)
-- Never back: reading a source again from its start takes nothing from what was reached before.
INSERT INTO podium.imports AS i (source, last_id) VALUES ($1, $2)
ON CONFLICT (source) DO UPDATE SET last_id = greatest(i.last_id, excluded.last_id), updated_at = now()

-- name: stored_ids(addresses, recorded_ats, ids)
-- Which of these results there are already.
SELECT k.id FROM unnest($1::text[], $2::timestamptz[], $3::bigint[]) AS k (address, recorded_at, id)
JOIN podium.orchestrators AS o ON o.address = k.address
CROSS JOIN LATERAL (
  SELECT FROM podium.results AS r
  WHERE r.orchestrator_id = o.id AND r.recorded_at = k.recorded_at AND r.id = k.id LIMIT 1
) AS stored

-- name: stored_from_region_tables(ids, addresses, recorded_ats, regions, job_types, round_trip_times, below_id)
-- Which of these events were imported before, from a region's table of before v1: results that have ids below $7, and
-- were recorded at the poster's time.
SELECT k.id
FROM unnest($1::bigint[], $2::text[], $3::timestamptz[], $4::text[], $5::podium.job_type[], $6::double precision[])
  AS k (id, address, recorded_at, region, job_type, round_trip_time)
JOIN podium.orchestrators AS o ON o.address = k.address
JOIN podium.regions AS g ON g.code = k.region AND g.job_type = k.job_type
CROSS JOIN LATERAL (
  SELECT FROM podium.results AS r
  WHERE r.orchestrator_id = o.id AND r.recorded_at = k.recorded_at AND r.id < $7
    AND r.region_id = g.id AND r.round_trip_time = k.round_trip_time LIMIT 1
) AS stored
