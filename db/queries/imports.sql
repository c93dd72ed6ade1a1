-- How far the imports from other databases have come.

-- name: last_id(source)
SELECT last_id FROM podium.imports WHERE source = $1

-- name: advance(source, last_id)
-- Never back: reading a source again from its start takes nothing from what was reached before.
INSERT INTO podium.imports AS i (source, last_id) VALUES ($1, $2)
ON CONFLICT (source) DO UPDATE SET last_id = greatest(i.last_id, excluded.last_id), updated_at = now()

-- name: count_stored(addresses, recorded_ats, ids)
-- How many of these results there are already.
SELECT count(*) FROM unnest($1::text[], $2::timestamptz[], $3::bigint[]) AS k (address, recorded_at, id)
JOIN podium.orchestrators AS o ON o.address = k.address
JOIN podium.results AS r ON r.orchestrator_id = o.id AND r.recorded_at = k.recorded_at AND r.id = k.id
