-- Pieces that statements of several files share; they are about results `r`, or cells `c` of them.
-- A result with a model is an AI result, one without is a transcoding result.

-- piece: matching
-- The filter that every question about results shares, as the first thirteen parameters.
($1::timestamptz IS NULL OR r.recorded_at >= $1)
  AND ($2::timestamptz IS NULL OR r.recorded_at <= $2)
  AND ($3::podium.job_type IS NULL OR (r.model_id IS NOT NULL) = ($3 = 'ai'))
  AND ($4::integer[] IS NULL OR r.orchestrator_id = ANY ($4))
  AND ($5::integer[] IS NULL OR r.region_id = ANY ($5))
  AND ($6::integer[] IS NULL OR r.model_id = ANY ($6))
  AND ($7::double precision IS NULL OR r.success_rate >= $7)
  AND ($8::double precision IS NULL OR r.success_rate <= $8)
  AND ($9::double precision IS NULL OR r.round_trip_time >= $9)
  AND ($10::double precision IS NULL OR r.round_trip_time <= $10)
  AND ($11::text[] IS NULL OR EXISTS (
    SELECT FROM jsonb_array_elements(r.errors) AS error WHERE error ->> 'error_code' = ANY ($11)))
  AND ($12::boolean IS NULL OR coalesce(r.model_is_warm, false) = $12)
  AND ($13::boolean IS NULL OR (r.withdrawal_id IS NOT NULL) = $13)

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
