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

-- name: groups(since, until, job_type, orchestrator_ids, region_ids, model_ids, min_success_rate, max_success_rate, min_round_trip_time, max_round_trip_time, error_codes, model_is_warm, is_withdrawn, hours_since, days_since, days_until, hours_until, by_orchestrator, by_region, by_job_type, by_pipeline, by_model, starts, scored_models, medians, limit)
-- Means and scores per group, and per bucket of time where $23 has the buckets' starts. Scores are those of cells, that
-- is of one orchestrator, region, pipeline and model (in a bucket); a group has their mean, weighted by their samples.
-- $24 and $25 have the median round trip that the results of each model are scored against. What a poster left out
-- counts as 0.
SELECT CASE WHEN $18 THEN o.address END AS orchestrator,
  CASE WHEN $19 THEN g.code END AS region,
  CASE WHEN $20 THEN g.job_type END AS job_type,
  CASE WHEN $21 THEN p.name END AS pipeline,
  CASE WHEN $22 THEN m.name END AS model,
  c.bucket, sum(c.samples)::bigint AS samples,
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
    SELECT CASE WHEN $23::timestamptz[] IS NOT NULL THEN width_bucket(r.at, $23) END AS bucket,
      r.orchestrator_id, r.region_id, r.model_id, sum(r.samples)::double precision AS samples,
      sum(r.success_rate) / sum(r.samples) AS success_rate,
      sum(r.round_trip_time) / sum(r.samples) AS round_trip_time,
      sum(r.seg_duration) / sum(r.samples) AS seg_duration,
      min(r.first_at) AS first_at, max(r.last_at) AS last_at
    FROM ({parts}) AS r
    GROUP BY 1, r.orchestrator_id, r.region_id, r.model_id
  ) AS c
  LEFT JOIN unnest($24::integer[], $25::double precision[]) AS scored (model_id, median) USING (model_id)
) AS c {names_of_cells}
GROUP BY 1, 2, 3, 4, 5, 6
LIMIT $26

-- piece: scored_against
-- The successful AI results that a model's median is made of.
r.model_id IS NOT NULL AND r.round_trip_time <> 0 AND r.success_rate = 1

-- name: medians(since, until, job_type, orchestrator_ids, region_ids, model_ids, min_success_rate, max_success_rate, min_round_trip_time, max_round_trip_time, error_codes, model_is_warm, is_withdrawn, results_since, gone_since, gone_until)
-- The round trip that AI results are scored against: the median of the successful ones of each model. Of those that are
-- gone, between $15 and $16, their times were kept.
SELECT r.model_id, percentile_cont(0.5) WITHIN GROUP (ORDER BY r.round_trip_time) AS median
FROM (
  SELECT r.model_id, r.round_trip_time FROM podium.results AS r
  WHERE {matching} AND ($14::timestamptz IS NULL OR r.recorded_at >= $14) AND {scored_against}
  {?gone UNION ALL
  SELECT r.model_id, unnest(r.round_trip_times) FROM podium.kept_round_trips AS r
  WHERE {of_kinds} AND r.bucket >= $15 AND r.bucket < $16}
) AS r
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

-- name: top_ai_score(since, until, job_type, orchestrator_ids, region_ids, model_ids, min_success_rate, max_success_rate, min_round_trip_time, max_round_trip_time, error_codes, model_is_warm, is_withdrawn, hours_since, days_since, days_until, hours_until, results_since, gone_since, gone_until)
-- The AI cell with the highest mean success rate, then the lowest mean round trip, and its score.
SELECT o.address AS orchestrator, g.code AS region, p.name AS pipeline, m.name AS model, {ai_score} AS value
FROM (
  SELECT c.*, {ai_round_trip_score} AS round_trip_score
  FROM (
    SELECT r.orchestrator_id, r.region_id, r.model_id,
      sum(r.success_rate) / sum(r.samples) AS success_rate, sum(r.round_trip_time) / sum(r.samples) AS round_trip_time
    FROM ({parts}) AS r {names}
    GROUP BY r.orchestrator_id, r.region_id, r.model_id, g.code, p.name, m.name
    ORDER BY success_rate DESC, round_trip_time, g.code COLLATE "C", p.name COLLATE "C", m.name COLLATE "C"
    LIMIT 1
  ) AS c
  CROSS JOIN LATERAL (
    SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY r.round_trip_time) AS median
    FROM (
      SELECT r.round_trip_time FROM podium.results AS r
      WHERE r.model_id = c.model_id AND ($1::timestamptz IS NULL OR r.recorded_at >= $1)
        AND ($2::timestamptz IS NULL OR r.recorded_at <= $2) AND ($18::timestamptz IS NULL OR r.recorded_at >= $18)
        AND r.withdrawal_id IS NULL AND {scored_against}
      {?gone UNION ALL
      SELECT unnest(r.round_trip_times) FROM podium.kept_round_trips AS r
      WHERE r.model_id = c.model_id AND r.bucket >= $19 AND r.bucket < $20}
    ) AS r
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

-- piece: ever.rolled_up
SELECT r.orchestrator_id, r.region_id, r.model_id, r.last_at FROM podium.daily_rollups AS r

-- piece: ever.recorded
SELECT r.orchestrator_id, r.region_id, r.model_id, r.recorded_at AS last_at FROM podium.results AS r
  WHERE r.withdrawal_id IS NULL

-- name: coverage(since, until, job_type, orchestrator_ids, region_ids, model_ids, min_success_rate, max_success_rate, min_round_trip_time, max_round_trip_time, error_codes, model_is_warm, is_withdrawn, hours_since, days_since, days_until, hours_until, addresses, limit)
-- Each orchestrator with every kind of test that anybody had in the window, or that it ever had itself: how many it had
-- in the window, whether any of these had success, and when the last ever was. A named orchestrator need not be known.
WITH wanted AS (
  SELECT o.id, coalesce(o.address, named.address) AS address
  FROM podium.orchestrators AS o
  FULL JOIN unnest($18::text[]) AS named (address) ON named.address = o.address
  WHERE $18 IS NULL OR named.address IS NOT NULL
  ORDER BY coalesce(o.address, named.address) COLLATE "C"
  LIMIT $19
), ever AS (
  SELECT r.orchestrator_id, r.region_id, r.model_id, max(r.last_at) AS last_at
  FROM ({ever:rolled_up|recorded}) AS r
  WHERE r.orchestrator_id = ANY (ARRAY(SELECT id FROM wanted WHERE id IS NOT NULL))
  GROUP BY r.orchestrator_id, r.region_id, r.model_id
), lately AS (
  SELECT r.orchestrator_id, r.region_id, r.model_id, sum(r.samples) AS samples, sum(r.success_rate) > 0 AS any_success
  FROM ({parts}) AS r
  WHERE r.orchestrator_id = ANY (ARRAY(SELECT id FROM wanted WHERE id IS NOT NULL))
  GROUP BY r.orchestrator_id, r.region_id, r.model_id
), kinds AS (
  SELECT DISTINCT r.region_id, r.model_id FROM ({parts}) AS r
)
SELECT w.address AS orchestrator, g.code AS region, g.job_type, p.name AS pipeline, m.name AS model,
  coalesce(lately.samples, 0) AS samples, coalesce(lately.any_success, false) AS any_success, ever.last_at
FROM wanted AS w
CROSS JOIN LATERAL (
  SELECT region_id, model_id FROM kinds
  UNION SELECT region_id, model_id FROM ever WHERE ever.orchestrator_id = w.id
) AS c
LEFT JOIN ever ON ever.orchestrator_id = w.id AND ever.region_id = c.region_id
  AND ever.model_id IS NOT DISTINCT FROM c.model_id
LEFT JOIN lately ON lately.orchestrator_id = w.id AND lately.region_id = c.region_id
  AND lately.model_id IS NOT DISTINCT FROM c.model_id
JOIN podium.regions AS g ON g.id = c.region_id
LEFT JOIN podium.models AS m ON m.id = c.model_id
LEFT JOIN podium.pipelines AS p ON p.id = m.pipeline_id
ORDER BY w.address COLLATE "C", g.job_type, p.name COLLATE "C", m.name COLLATE "C", g.code COLLATE "C"

-- piece: of_kind
r.region_id = g.id AND r.model_id = m.id

-- name: pipelines(since, until, job_type, orchestrator_ids, region_ids, model_ids, min_success_rate, max_success_rate, min_round_trip_time, max_round_trip_time, error_codes, model_is_warm, is_withdrawn, hours_since, days_since, days_until, hours_until)
-- Those with AI results in the window. Each model and region is looked up, in whole days first: one look into an index
-- is enough for most, however many results there are.
SELECT p.name AS id, array_agg(DISTINCT m.name COLLATE "C") AS models, array_agg(DISTINCT g.code COLLATE "C") AS regions
FROM podium.models AS m
JOIN podium.pipelines AS p ON p.id = m.pipeline_id
JOIN podium.regions AS g ON g.job_type = 'ai' AND ($5::integer[] IS NULL OR g.id = ANY ($5))
WHERE false
  {?days OR EXISTS (SELECT FROM podium.daily_rollups AS r WHERE {matching_days} AND {of_kind})}
  {?first_hours OR EXISTS (SELECT FROM podium.hourly_rollups AS r WHERE {matching_first_hours} AND {of_kind})}
  {?last_hours OR EXISTS (SELECT FROM podium.hourly_rollups AS r WHERE {matching_last_hours} AND {of_kind})}
  OR EXISTS (SELECT FROM podium.results AS r WHERE {matching_first_results} AND {of_kind})
  {?last_results OR EXISTS (SELECT FROM podium.results AS r WHERE {matching_last_results} AND {of_kind})}
GROUP BY p.name
ORDER BY p.name COLLATE "C"
