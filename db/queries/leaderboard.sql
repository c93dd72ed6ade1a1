-- What is computed of results: groups with their scores and distributions, failures, coverage, pipelines.

-- name: filter_ids(orchestrators, regions, pipelines, models)
SELECT
  CASE WHEN $1::text[] IS NOT NULL
    THEN ARRAY(SELECT id FROM podium.orchestrators WHERE address = ANY ($1)) END AS orchestrator_ids,
  CASE WHEN $2::text[] IS NOT NULL
    THEN ARRAY(SELECT id FROM podium.regions WHERE code = ANY ($2)) END AS region_ids,
  CASE WHEN $3::text[] IS NOT NULL OR $4::text[] IS NOT NULL
    THEN ARRAY(
      SELECT m.id FROM podium.models AS m JOIN podium.pipelines AS p ON p.id = m.pipeline_id
      WHERE ($3 IS NULL OR p.name = ANY ($3)) AND ($4 IS NULL OR m.name = ANY ($4))) END AS model_ids

-- piece: transcoding_round_trip_score
-- Real time counts: 1 - e^(-segment duration / round trip). `least` here and below keeps exp() from an underflow, which
  -- Postgres takes for an error.
  coalesce(1 - exp(-least(c.seg_duration, 700 * c.round_trip_time) / nullif(c.round_trip_time, 0)), 0)

-- piece: ai_round_trip_score
-- Others count: 0.8 at the median of the model's successful results, more below it, 0 where there is no median.
  coalesce(exp(ln(0.8::double precision) * least(c.round_trip_time, 3000 * scored.median) / scored.median), 0)

-- piece: ai_score
CASE WHEN c.success_rate > 0 THEN 0.65 * c.success_rate + 0.35 * c.round_trip_score ELSE 0 END

-- name: groups(since, until, job_type, orchestrator_ids, region_ids, model_ids, min_success_rate, max_success_rate, min_round_trip_time, max_round_trip_time, error_codes, model_is_warm, is_withdrawn, by_orchestrator, by_region, by_job_type, by_pipeline, by_model, starts, scored_models, medians, limit)
-- Means and scores per group, and per bucket of time where $19 has the buckets' starts. Scores are those of cells, that
-- is of one orchestrator, region, pipeline and model (in a bucket); a group has their mean, weighted by their samples.
-- $20 and $21 have the median round trip that the results of each model are scored against. What a poster left out
-- counts as 0.
SELECT {dimensions}, c.bucket, sum(c.samples)::bigint AS samples,
  sum(c.success_rate * c.samples) / sum(c.samples) AS success_rate,
  sum(c.round_trip_time * c.samples) / sum(c.samples) AS round_trip_time,
  sum(c.round_trip_score * c.samples) / sum(c.samples) AS round_trip_score,
  sum(c.samples * CASE
    WHEN c.model_id IS NULL THEN c.success_rate * c.round_trip_score ELSE {ai_score} END) / sum(c.samples) AS score,
  min(c.first_at) AS first_at, max(c.last_at) AS last_at
FROM (
  SELECT c.*, CASE
    WHEN c.model_id IS NULL THEN {transcoding_round_trip_score}
    ELSE {ai_round_trip_score} END AS round_trip_score
  FROM (
    SELECT CASE WHEN $19::timestamptz[] IS NOT NULL THEN width_bucket(r.recorded_at, $19) END AS bucket,
      r.orchestrator_id, r.region_id, r.model_id, count(*)::double precision AS samples,
      sum(r.success_rate) / count(*) AS success_rate,
      sum(r.round_trip_time) / count(*) AS round_trip_time,
      coalesce(sum(r.seg_duration), 0) / count(*) AS seg_duration,
      min(r.recorded_at) AS first_at, max(r.recorded_at) AS last_at
    FROM podium.results AS r
    WHERE {matching}
    GROUP BY 1, r.orchestrator_id, r.region_id, r.model_id
  ) AS c
  LEFT JOIN unnest($20::integer[], $21::double precision[]) AS scored (model_id, median) USING (model_id)
) AS c {names_of_cells}
GROUP BY 1, 2, 3, 4, 5, 6
LIMIT $22

-- name: medians(since, until, job_type, orchestrator_ids, region_ids, model_ids, min_success_rate, max_success_rate, min_round_trip_time, max_round_trip_time, error_codes, model_is_warm, is_withdrawn)
-- The round trip that AI results are scored against: the median of the successful ones of each model.
SELECT r.model_id, percentile_cont(0.5) WITHIN GROUP (ORDER BY r.round_trip_time) AS median
FROM podium.results AS r
WHERE {matching} AND r.model_id IS NOT NULL AND r.round_trip_time <> 0 AND r.success_rate = 1
GROUP BY r.model_id

-- name: distributions(since, until, job_type, orchestrator_ids, region_ids, model_ids, min_success_rate, max_success_rate, min_round_trip_time, max_round_trip_time, error_codes, model_is_warm, is_withdrawn, by_orchestrator, by_region, by_job_type, by_pipeline, by_model, starts)
-- mean, min, max, standard deviation, p50, p95 and p99 of the times of each group, and per bucket of time where $19 has
-- the buckets' starts; NULL where nobody reported one.
SELECT {dimensions}, CASE WHEN $19::timestamptz[] IS NOT NULL THEN width_bucket(r.recorded_at, $19) END AS bucket,
  ARRAY[avg(r.round_trip_time), min(r.round_trip_time), max(r.round_trip_time), stddev_pop(r.round_trip_time)]
    || percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY r.round_trip_time) AS round_trip_time,
  ARRAY[avg(r.upload_time), min(r.upload_time), max(r.upload_time), stddev_pop(r.upload_time)]
    || percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY r.upload_time) AS upload_time,
  ARRAY[avg(r.download_time), min(r.download_time), max(r.download_time), stddev_pop(r.download_time)]
    || percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY r.download_time) AS download_time,
  ARRAY[avg(r.transcode_time), min(r.transcode_time), max(r.transcode_time), stddev_pop(r.transcode_time)]
    || percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY r.transcode_time) AS transcode_time
FROM podium.results AS r {names}
WHERE {matching}
GROUP BY 1, 2, 3, 4, 5, 6

-- name: top_ai_score(orchestrator, since)
-- The AI cell with the highest mean success rate, then the lowest mean round trip, and its score.
SELECT o.address AS orchestrator, g.code AS region, p.name AS pipeline, m.name AS model, {ai_score} AS value
FROM (
  SELECT c.*, {ai_round_trip_score} AS round_trip_score
  FROM (
    SELECT r.orchestrator_id, r.region_id, r.model_id,
      sum(r.success_rate) / count(*) AS success_rate, sum(r.round_trip_time) / count(*) AS round_trip_time
    FROM podium.results AS r {names}
    WHERE r.orchestrator_id = (SELECT id FROM podium.orchestrators WHERE address = $1)
      AND r.recorded_at >= $2 AND r.model_id IS NOT NULL AND r.withdrawal_id IS NULL
    GROUP BY r.orchestrator_id, r.region_id, r.model_id, g.code, p.name, m.name
    ORDER BY success_rate DESC, round_trip_time, g.code COLLATE "C", p.name COLLATE "C", m.name COLLATE "C"
    LIMIT 1
  ) AS c
  CROSS JOIN LATERAL (
    SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY r.round_trip_time) AS median
    FROM podium.results AS r
    WHERE r.model_id = c.model_id AND r.recorded_at >= $2 AND r.withdrawal_id IS NULL
      AND r.round_trip_time <> 0 AND r.success_rate = 1
  ) AS scored
) AS c {names_of_cells}

-- piece: failed
-- A result fails when not everything of it succeeded, or when it names an error.
(r.success_rate < 1 OR jsonb_array_length(r.errors) > 0)

-- name: failures(since, until, job_type, orchestrator_ids, region_ids, model_ids, min_success_rate, max_success_rate, min_round_trip_time, max_round_trip_time, error_codes, model_is_warm, is_withdrawn, by_orchestrator, by_region, by_job_type, by_pipeline, by_model)
-- How many results of each group there are, how many of them failed, and when one last did.
SELECT {dimensions}, count(*) AS samples, count(*) FILTER (WHERE {failed}) AS failures,
  max(r.recorded_at) FILTER (WHERE {failed}) AS last_at
FROM podium.results AS r {names}
WHERE {matching}
GROUP BY 1, 2, 3, 4, 5
HAVING count(*) FILTER (WHERE {failed}) > 0

-- name: failure_codes(since, until, job_type, orchestrator_ids, region_ids, model_ids, min_success_rate, max_success_rate, min_round_trip_time, max_round_trip_time, error_codes, model_is_warm, is_withdrawn, by_orchestrator, by_region, by_job_type, by_pipeline, by_model)
-- The codes of each group's failed results: in how many of them, how often, and when last. NULL stands for no code.
SELECT {dimensions}, e.error_code, count(*) AS results, least(sum(e.count), 2147483647)::bigint AS count, max(r.recorded_at) AS last_at
FROM podium.results AS r {names}
CROSS JOIN LATERAL (
  SELECT nullif(error ->> 'error_code', '') AS error_code, sum((error ->> 'count')::bigint) AS count
  FROM jsonb_array_elements(
    CASE WHEN jsonb_array_length(r.errors) > 0 THEN r.errors ELSE '[{"count": 1}]' END) AS error
  GROUP BY 1
) AS e
WHERE {matching} AND {failed}
GROUP BY 1, 2, 3, 4, 5, 6

-- name: coverage(since, until, addresses, limit)
-- Each orchestrator with every kind of test that anybody had in the window, or that it ever had itself: how many it had
-- in the window, how many of these had any success, and when the last ever was. A named orchestrator need not be known.
WITH wanted AS (
  SELECT o.id, coalesce(o.address, named.address) AS address
  FROM podium.orchestrators AS o
  FULL JOIN unnest($3::text[]) AS named (address) ON named.address = o.address
  WHERE $3 IS NULL OR named.address IS NOT NULL
  ORDER BY coalesce(o.address, named.address) COLLATE "C"
  LIMIT $4
), own AS (
  SELECT r.orchestrator_id, r.region_id, r.model_id, max(r.recorded_at) AS last_at,
    count(*) FILTER (WHERE r.recorded_at >= $1 AND r.recorded_at <= $2) AS samples,
    count(*) FILTER (WHERE r.recorded_at >= $1 AND r.recorded_at <= $2 AND r.success_rate > 0) AS successes
  FROM podium.results AS r
  WHERE r.orchestrator_id = ANY (ARRAY(SELECT id FROM wanted WHERE id IS NOT NULL)) AND r.withdrawal_id IS NULL
  GROUP BY r.orchestrator_id, r.region_id, r.model_id
), kinds AS (
  SELECT DISTINCT r.region_id, r.model_id FROM podium.results AS r
  WHERE r.recorded_at >= $1 AND r.recorded_at <= $2 AND r.withdrawal_id IS NULL
)
SELECT w.address AS orchestrator, g.code AS region, g.job_type, p.name AS pipeline, m.name AS model,
  coalesce(own.samples, 0) AS samples, coalesce(own.successes, 0) AS successes, own.last_at
FROM wanted AS w
CROSS JOIN LATERAL (
  SELECT region_id, model_id FROM kinds
  UNION SELECT region_id, model_id FROM own WHERE own.orchestrator_id = w.id
) AS c
LEFT JOIN own ON own.orchestrator_id = w.id AND own.region_id = c.region_id
  AND own.model_id IS NOT DISTINCT FROM c.model_id
JOIN podium.regions AS g ON g.id = c.region_id
LEFT JOIN podium.models AS m ON m.id = c.model_id
LEFT JOIN podium.pipelines AS p ON p.id = m.pipeline_id
ORDER BY w.address COLLATE "C", g.job_type, p.name COLLATE "C", m.name COLLATE "C", g.code COLLATE "C"

-- name: pipelines(since, until, region)
SELECT p.name AS id, array_agg(DISTINCT m.name COLLATE "C") AS models, array_agg(DISTINCT g.code COLLATE "C") AS regions
FROM (
  SELECT DISTINCT r.model_id, r.region_id FROM podium.results AS r
  WHERE r.model_id IS NOT NULL AND r.withdrawal_id IS NULL
    AND ($1::timestamptz IS NULL OR r.recorded_at >= $1) AND ($2::timestamptz IS NULL OR r.recorded_at <= $2)
    AND ($3::text IS NULL OR r.region_id = ANY (ARRAY(SELECT id FROM podium.regions WHERE code = $3)))
) AS r
JOIN podium.models AS m ON m.id = r.model_id
JOIN podium.pipelines AS p ON p.id = m.pipeline_id
JOIN podium.regions AS g ON g.id = r.region_id
GROUP BY p.name
ORDER BY p.name COLLATE "C"
