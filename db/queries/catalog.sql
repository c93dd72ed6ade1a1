-- What results are about: regions, orchestrators, pipelines and models. What is added is announced with its commit, by
-- the table's name.

-- name: regions()
SELECT id, code, job_type, name, created_at FROM podium.regions ORDER BY code COLLATE "C", job_type

-- name: register_regions(codes, job_type, names)
WITH added AS (
  INSERT INTO podium.regions (code, job_type, name)
  SELECT code, $2::podium.job_type, name FROM unnest($1::text[], $3::text[]) AS wanted (code, name)
  ON CONFLICT (code, job_type) DO NOTHING
  RETURNING 1
)
SELECT pg_notify('podium_changes', 'regions') FROM added LIMIT 1

-- piece: matching_orchestrators
($14::text[] IS NULL OR o.address = ANY ($14))
  AND ($15::text IS NULL OR strpos(o.address, $15) > 0)
  AND ($16::timestamptz IS NULL OR o.created_at >= $16)
  AND ($17::timestamptz IS NULL OR o.created_at <= $17)
  AND (NOT $18 OR EXISTS (SELECT FROM podium.results AS r WHERE r.orchestrator_id = o.id AND {matching}))

-- piece: orchestrators.first_address
AND ($19::text IS NULL OR o.address COLLATE "C" > $19 AND $20::timestamptz IS NULL) ORDER BY o.address COLLATE "C"

-- piece: orchestrators.last_address
AND ($19::text IS NULL OR o.address COLLATE "C" < $19 AND $20::timestamptz IS NULL) ORDER BY o.address COLLATE "C" DESC

-- piece: orchestrators.oldest
AND ($19::text IS NULL OR (o.created_at, o.address COLLATE "C") > ($20::timestamptz, $19))
ORDER BY o.created_at, o.address COLLATE "C"

-- piece: orchestrators.newest
AND ($19::text IS NULL OR (o.created_at, o.address COLLATE "C") < ($20::timestamptz, $19))
ORDER BY o.created_at DESC, o.address COLLATE "C" DESC

-- name: orchestrators_page(since, until, job_type, orchestrator_ids, region_ids, model_ids, min_success_rate, max_success_rate, min_round_trip_time, max_round_trip_time, error_codes, model_is_warm, is_withdrawn, addresses, contains, seen_since, seen_until, is_tested, cursor_address, cursor_at, limit)
-- Those with a matching result where $18 is true.
SELECT o.id, o.address, o.created_at FROM podium.orchestrators AS o
WHERE {matching_orchestrators} {orchestrators:first_address|last_address|oldest|newest}
LIMIT $21

-- name: count_orchestrators(since, until, job_type, orchestrator_ids, region_ids, model_ids, min_success_rate, max_success_rate, min_round_trip_time, max_round_trip_time, error_codes, model_is_warm, is_withdrawn, addresses, contains, seen_since, seen_until, is_tested)
SELECT count(*) FROM podium.orchestrators AS o WHERE {matching_orchestrators}

-- name: orchestrators_by_address(addresses)
SELECT id, address, created_at FROM podium.orchestrators WHERE address = ANY ($1::text[])

-- name: add_orchestrators(addresses)
WITH added AS (
  INSERT INTO podium.orchestrators (address) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING RETURNING 1
)
SELECT pg_notify('podium_changes', 'orchestrators') FROM added LIMIT 1

-- name: add_pipelines(names)
WITH added AS (
  INSERT INTO podium.pipelines (name) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING RETURNING 1
)
SELECT pg_notify('podium_changes', 'pipelines') FROM added LIMIT 1

-- name: add_models(pipelines, names)
WITH added AS (
  INSERT INTO podium.models (pipeline_id, name)
  SELECT p.id, wanted.name
  FROM unnest($1::text[], $2::text[]) AS wanted (pipeline, name) JOIN podium.pipelines AS p ON p.name = wanted.pipeline
  ON CONFLICT DO NOTHING
  RETURNING 1
)
SELECT pg_notify('podium_changes', 'models') FROM added LIMIT 1
