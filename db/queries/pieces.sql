-- Pieces that statements of several files share; they are about results `r`, or cells `c` of them.
-- A result with a model is an AI result, one without is a transcoding result.

-- piece: of_kinds
($3::podium.job_type IS NULL OR (r.model_id IS NOT NULL) = ($3 = 'ai'))
  AND ($5::integer[] IS NULL OR r.region_id = ANY ($5))
  AND ($6::integer[] IS NULL OR r.model_id = ANY ($6))

-- piece: about
-- The part of the filter that roll-ups can answer, beside the window.
-- One orchestrator is compared by itself, because only then are its results read in their order.
{of_kinds} AND ($4::integer[] IS NULL OR CASE WHEN cardinality($4) = 1
    THEN r.orchestrator_id = $4[1] ELSE r.orchestrator_id = ANY ($4) END)

-- piece: matching
-- The filter that every question about results shares, as the first thirteen parameters.
($1::timestamptz IS NULL OR r.recorded_at >= $1)
  AND ($2::timestamptz IS NULL OR r.recorded_at <= $2)
  AND {about}
  AND ($7::double precision IS NULL OR r.success_rate >= $7)
  AND ($8::double precision IS NULL OR r.success_rate <= $8)
  AND ($9::double precision IS NULL OR r.round_trip_time >= $9)
  AND ($10::double precision IS NULL OR r.round_trip_time <= $10)
  AND ($11::text[] IS NULL OR EXISTS (
    SELECT FROM jsonb_array_elements(r.errors) AS error WHERE error ->> 'error_code' = ANY ($11)))
  AND ($12::boolean IS NULL OR coalesce(r.model_is_warm, false) = $12)
  AND ($13::boolean IS NULL OR (r.withdrawal_id IS NOT NULL) = $13)

-- piece: matching_first_results
-- This and the next four are the parts of a window, along time, of a question that whole buckets can answer: results,
-- hours, days, hours, results. $14 to $17 are where one ends and the next begins.
{matching} AND ($14::timestamptz IS NULL OR r.recorded_at < $14)

-- piece: matching_first_hours
{about} AND r.bucket >= $14 AND ($15::timestamptz IS NULL OR r.bucket < $15)

-- piece: matching_days
{about} AND r.bucket >= $15 AND ($16::timestamptz IS NULL OR r.bucket < $16)

-- piece: matching_last_hours
{about} AND r.bucket >= $16 AND r.bucket < $17

-- piece: matching_last_results
{matching} AND r.recorded_at >= $17

-- piece: single_result
SELECT r.recorded_at AS at, r.orchestrator_id, r.region_id, r.model_id, 1 AS samples, r.success_rate, r.round_trip_time,
    coalesce(r.seg_duration, 0) AS seg_duration, r.recorded_at AS first_at, r.recorded_at AS last_at
  FROM podium.results AS r

-- piece: rolled_up
SELECT r.bucket AS at, r.orchestrator_id, r.region_id, r.model_id, r.samples, r.success_rate, r.round_trip_time,
    r.seg_duration, r.first_at, r.last_at

-- piece: parts
{single_result} WHERE {matching_first_results}
  {?first_hours UNION ALL {rolled_up} FROM podium.hourly_rollups AS r WHERE {matching_first_hours}}
  {?days UNION ALL {rolled_up} FROM podium.daily_rollups AS r WHERE {matching_days}}
  {?last_hours UNION ALL {rolled_up} FROM podium.hourly_rollups AS r WHERE {matching_last_hours}}
  {?last_results UNION ALL {single_result} WHERE {matching_last_results}}

-- piece: names
JOIN podium.orchestrators AS o ON o.id = r.orchestrator_id
  JOIN podium.regions AS g ON g.id = r.region_id
  LEFT JOIN podium.models AS m ON m.id = r.model_id
  LEFT JOIN podium.pipelines AS p ON p.id = m.pipeline_id

-- piece: names_of_cells
JOIN podium.orchestrators AS o ON o.id = c.orchestrator_id
  JOIN podium.regions AS g ON g.id = c.region_id
  LEFT JOIN podium.models AS m ON m.id = c.model_id
  LEFT JOIN podium.pipelines AS p ON p.id = m.pipeline_id

-- piece: result_columns
r.id, r.recorded_at, r.orchestrator_id, r.region_id, r.timestamp, r.success_rate, r.round_trip_time, r.seg_duration,
  r.segments_sent, r.segments_received, r.upload_time, r.download_time, r.transcode_time, r.model_is_warm, r.errors,
  r.payload, r.withdrawal_id, o.address AS orchestrator, g.code AS region, g.job_type, p.name AS pipeline, m.name AS model

-- piece: dimensions
CASE WHEN $14 THEN o.address END AS orchestrator,
  CASE WHEN $15 THEN g.code END AS region,
  CASE WHEN $16 THEN g.job_type END AS job_type,
  CASE WHEN $17 THEN p.name END AS pipeline,
  CASE WHEN $18 THEN m.name END AS model

-- piece: rollup_columns
bucket, orchestrator_id, region_id, model_id, samples, success_rate, round_trip_time, seg_duration, first_at, last_at

-- piece: sums_of_results
orchestrator_id, region_id, model_id, count(*)::integer AS samples, sum(success_rate) AS success_rate,
    sum(round_trip_time) AS round_trip_time, coalesce(sum(seg_duration), 0) AS seg_duration,
    min(recorded_at) AS first_at, max(recorded_at) AS last_at

-- piece: sums_of_rollups
orchestrator_id, region_id, model_id, sum(samples)::integer AS samples, sum(success_rate) AS success_rate,
    sum(round_trip_time) AS round_trip_time, sum(seg_duration) AS seg_duration,
    min(first_at) AS first_at, max(last_at) AS last_at

-- piece: hour_of_result
date_bin('1 hour', recorded_at, '0001-01-01 00:00:00+00')

-- piece: day_number
floor(extract(epoch FROM recorded_at) / 86400)::integer

-- piece: payload_without_texts
nullif(payload - '{input_parameters,response_payload}'::text[], '{}')

-- piece: said
-- What a log `l` says: newer nodes wrap it.
CASE WHEN l.message ? 'msg' THEN l.message ELSE coalesce(l.message -> 'payload', l.message) END

-- piece: nodes_of
-- What the node of a network state `l` knows of others, by their names.
{said} #> '{state,peerset,nodes}'
