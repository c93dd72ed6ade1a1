-- Single results: how they are stored and announced, and how they are read.

-- piece: page.newest
AND ($14::timestamptz IS NULL OR (r.recorded_at, r.id) < ($14, $15::bigint) AND $16::double precision IS NULL)
ORDER BY r.recorded_at DESC, r.id DESC

-- piece: page.oldest
AND ($14::timestamptz IS NULL OR (r.recorded_at, r.id) > ($14, $15::bigint) AND $16::double precision IS NULL)
ORDER BY r.recorded_at, r.id

-- piece: page.slowest
AND ($14::timestamptz IS NULL OR (r.round_trip_time, r.recorded_at, r.id) < ($16::double precision, $14, $15::bigint))
ORDER BY r.round_trip_time DESC, r.recorded_at DESC, r.id DESC

-- piece: page.fastest
AND ($14::timestamptz IS NULL OR (r.round_trip_time, r.recorded_at, r.id) > ($16::double precision, $14, $15::bigint))
ORDER BY r.round_trip_time, r.recorded_at, r.id

-- piece: page.best
AND ($14::timestamptz IS NULL OR (r.success_rate, r.recorded_at, r.id) < ($16::double precision, $14, $15::bigint))
ORDER BY r.success_rate DESC, r.recorded_at DESC, r.id DESC

-- piece: page.worst
AND ($14::timestamptz IS NULL OR (r.success_rate, r.recorded_at, r.id) > ($16::double precision, $14, $15::bigint))
ORDER BY r.success_rate, r.recorded_at, r.id

-- name: results(since, until, job_type, orchestrator_ids, region_ids, model_ids, min_success_rate, max_success_rate, min_round_trip_time, max_round_trip_time, error_codes, model_is_warm, is_withdrawn, cursor_at, cursor_id, cursor_value, limit)
SELECT r.id, r.recorded_at, r.success_rate, r.round_trip_time{?timestamp , r.timestamp}{?seg_duration , r.seg_duration}
  {?segments_sent , r.segments_sent}{?segments_received , r.segments_received}{?upload_time , r.upload_time}
  {?download_time , r.download_time}{?transcode_time , r.transcode_time}{?model_is_warm , r.model_is_warm}
  {?errors , r.errors}{?payload , r.payload}{?withdrawal_id , r.withdrawal_id}
  {?region_id , r.region_id}{?job_type , CASE WHEN r.model_id IS NULL THEN 'transcoding' ELSE 'ai' END AS job_type}
  {?orchestrator , o.address AS orchestrator}{?region , g.code AS region}
  {?model , p.name AS pipeline, m.name AS model}
FROM podium.results AS r
  {?orchestrator JOIN podium.orchestrators AS o ON o.id = r.orchestrator_id}
  {?region JOIN podium.regions AS g ON g.id = r.region_id}
  {?model LEFT JOIN podium.models AS m ON m.id = r.model_id LEFT JOIN podium.pipelines AS p ON p.id = m.pipeline_id}
WHERE {matching} {page:newest|oldest|slowest|fastest|best|worst}
LIMIT $17

-- name: count_results(since, until, job_type, orchestrator_ids, region_ids, model_ids, min_success_rate, max_success_rate, min_round_trip_time, max_round_trip_time, error_codes, model_is_warm, is_withdrawn)
SELECT count(*) FROM podium.results AS r WHERE {matching}

-- name: results_by_key(orchestrators, recorded_ats, ids)
SELECT {result_columns}
FROM unnest($1::text[], $2::timestamptz[], $3::bigint[]) WITH ORDINALITY AS k (address, recorded_at, id, position)
JOIN podium.orchestrators AS a ON a.address = k.address
CROSS JOIN LATERAL ( -- one by one, which LIMIT makes sure of: a join of many keys would read all results there are
  SELECT * FROM podium.results AS r
  WHERE r.orchestrator_id = a.id AND r.recorded_at = k.recorded_at AND r.id = k.id LIMIT 1
) AS r {names}
ORDER BY k.position

-- piece: both
samples = r.samples + excluded.samples, success_rate = r.success_rate + excluded.success_rate,
    round_trip_time = r.round_trip_time + excluded.round_trip_time,
    seg_duration = r.seg_duration + excluded.seg_duration,
    first_at = least(r.first_at, excluded.first_at), last_at = greatest(r.last_at, excluded.last_at)

-- name: store_results(id, recorded_at, timestamp, success_rate, round_trip_time, seg_duration, upload_time, download_time, transcode_time, segments_sent, segments_received, model_is_warm, errors, payload, orchestrator, region, pipeline, model)
-- One array per column. Results without id and time get the next id and the present time; one that is there already is
-- left alone. A result without pipeline and model is a transcoding result. Names are looked up here and not before, so
-- that none can mean another row; one that is not there violates a constraint (NOT NULL, or the models' foreign key).
-- What podium recorded itself is announced: its time in microseconds, and its ids as an int8multirange. A payload has
-- less than 8,000 bytes, which 150 ids never fill. Of what was imported, only that there is something new. The count
-- makes sure that it is done, before the first row comes out. What is stored counts in the roll-ups of its hour and day,
-- in the order of their keys, so that no two statements wait for each other; nobody builds those days anew meanwhile. The
-- locks of the days come after the results, as in a withdrawal, which would otherwise wait for whoever waits for the
-- results that it marks. What is older than results are kept is left out, and payloads that are older than those are;
-- neither time moves on meanwhile.
WITH stored AS (
INSERT INTO podium.results (id, recorded_at, timestamp, success_rate, round_trip_time, seg_duration, upload_time,
  download_time, transcode_time, segments_sent, segments_received, model_is_warm, errors, payload,
  orchestrator_id, region_id, model_id)
SELECT coalesce(new.id, nextval('podium.results_id_seq')), coalesce(new.recorded_at, now()), new.timestamp,
  new.success_rate, new.round_trip_time, new.seg_duration, new.upload_time, new.download_time, new.transcode_time,
  new.segments_sent, new.segments_received, new.model_is_warm, new.errors,
  CASE WHEN new.recorded_at IS NOT NULL
      AND new.recorded_at < (SELECT payloads_since FROM podium.rollup_state FOR SHARE)
    THEN {payload_without_texts} ELSE new.payload END,
  (SELECT id FROM podium.orchestrators WHERE address = new.orchestrator),
  (SELECT id FROM podium.regions WHERE code = new.region
    AND job_type = CASE WHEN new.model IS NULL THEN 'transcoding'::podium.job_type ELSE 'ai' END),
  CASE WHEN new.model IS NOT NULL THEN coalesce(
    (SELECT m.id FROM podium.models AS m JOIN podium.pipelines AS p ON p.id = m.pipeline_id
      WHERE p.name = new.pipeline AND m.name = new.model), 0) END
FROM unnest($1::bigint[], $2::timestamptz[], $3::bigint[], $4::double precision[], $5::double precision[],
  $6::double precision[], $7::double precision[], $8::double precision[], $9::double precision[], $10::integer[],
  $11::integer[], $12::boolean[], $13::jsonb[], $14::jsonb[], $15::text[], $16::text[], $17::text[], $18::text[])
  AS new (id, recorded_at, timestamp, success_rate, round_trip_time, seg_duration, upload_time, download_time,
  transcode_time, segments_sent, segments_received, model_is_warm, errors, payload,
  orchestrator, region, pipeline, model)
WHERE new.recorded_at IS NULL
  OR new.recorded_at >= coalesce((SELECT results_since FROM podium.rollup_state FOR SHARE), '-infinity')
ON CONFLICT DO NOTHING
RETURNING id, recorded_at, orchestrator_id, region_id, model_id, success_rate, round_trip_time, seg_duration
), locked AS MATERIALIZED ( -- day by day, when all are stored
  SELECT pg_advisory_xact_lock_shared(hashtext('podium.rollups'), day)
  FROM (SELECT DISTINCT {day_number} AS day FROM stored ORDER BY 1) AS days
), hours AS (
  INSERT INTO podium.hourly_rollups AS r ({rollup_columns})
  SELECT {hour_of_result} AS bucket, {sums_of_results}
  FROM stored WHERE (SELECT count(*) FROM locked) > 0
  GROUP BY 1, orchestrator_id, region_id, model_id ORDER BY 1, orchestrator_id, region_id, model_id
  ON CONFLICT (bucket, orchestrator_id, region_id, model_id) DO UPDATE SET {both}
), days AS (
  INSERT INTO podium.daily_rollups AS r ({rollup_columns})
  SELECT date_bin('1 day', recorded_at, '0001-01-01 00:00:00+00') AS bucket, {sums_of_results}
  FROM stored WHERE (SELECT count(*) FROM locked) > 0
  GROUP BY 1, orchestrator_id, region_id, model_id ORDER BY 1, orchestrator_id, region_id, model_id
  ON CONFLICT (bucket, orchestrator_id, region_id, model_id) DO UPDATE SET {both}
), announced AS (
  SELECT pg_notify('podium_results', (extract(epoch FROM recorded_at) * 1000000)::bigint || ' '
    || range_agg(int8range(id, id, '[]')))
  FROM (SELECT recorded_at, id, (row_number() OVER (PARTITION BY recorded_at ORDER BY id) - 1) / 150 AS part
    FROM stored WHERE id > 0) AS new
  GROUP BY recorded_at, part
  UNION ALL
  SELECT pg_notify('podium_changes', 'results') WHERE EXISTS (SELECT FROM stored WHERE id <= 0)
)
SELECT recorded_at, id, (SELECT address FROM podium.orchestrators AS o WHERE o.id = orchestrator_id) AS orchestrator
FROM stored
WHERE (SELECT count(*) FROM announced) >= 0

-- name: announced_results(recorded_ats, ids)
-- What store_results has announced: times, and ids as the text of an int8multirange each.
SELECT {result_columns}
FROM (SELECT recorded_at, ids::int8multirange AS ids FROM unnest($1::timestamptz[], $2::text[]) AS a (recorded_at, ids))
  AS a
CROSS JOIN LATERAL ( -- one by one, as in results_by_key
  SELECT * FROM podium.results AS r
  WHERE r.recorded_at = a.recorded_at AND r.id >= lower(a.ids) AND r.id < upper(a.ids) AND r.id <@ a.ids LIMIT 1000
) AS r {names}
ORDER BY r.recorded_at, r.id

-- name: results_missed(since, known_ids, limit)
-- What podium recorded itself since then, but for what is known.
SELECT {result_columns}
FROM podium.results AS r {names}
WHERE r.recorded_at >= $1 AND r.id > 0
  AND NOT coalesce(r.id <@ (SELECT range_agg(int8range(id, id, '[]')) FROM unnest($2::bigint[]) AS id), false)
ORDER BY r.recorded_at, r.id
LIMIT $3

-- name: create_partitions(since, until)
SELECT podium.create_results_partitions($1, $2)

-- name: clock()
SELECT clock_timestamp()
