-- Results of test jobs: what doors ask of them, and how they are stored.
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

-- piece: result_columns
r.id, r.recorded_at, r.orchestrator_id, r.region_id, r.timestamp, r.success_rate, r.round_trip_time, r.seg_duration,
  r.segments_sent, r.segments_received, r.upload_time, r.download_time, r.transcode_time, r.model_is_warm, r.errors,
  r.payload, r.withdrawal_id, o.address AS orchestrator, g.code AS region, g.job_type, p.name AS pipeline, m.name AS model

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
SELECT {result_columns}
FROM podium.results AS r {names}
WHERE {matching} {page:newest|oldest|slowest|fastest|best|worst}
LIMIT $17

-- name: present_time()
SELECT now()

-- name: results_by_key(orchestrators, recorded_ats, ids)
SELECT {result_columns}
FROM unnest($1::text[], $2::timestamptz[], $3::bigint[]) WITH ORDINALITY AS k (address, recorded_at, id, position)
JOIN podium.orchestrators AS a ON a.address = k.address
CROSS JOIN LATERAL ( -- one by one, which LIMIT makes sure of: a join of many keys would read all results there are
  SELECT * FROM podium.results AS r
  WHERE r.orchestrator_id = a.id AND r.recorded_at = k.recorded_at AND r.id = k.id LIMIT 1
) AS r {names}
ORDER BY k.position

-- name: count_results(since, until, job_type, orchestrator_ids, region_ids, model_ids, min_success_rate, max_success_rate, min_round_trip_time, max_round_trip_time, error_codes, model_is_warm, is_withdrawn)
SELECT count(*) FROM podium.results AS r WHERE {matching}

-- piece: dimensions
CASE WHEN $14 THEN o.address END AS orchestrator,
  CASE WHEN $15 THEN g.code END AS region,
  CASE WHEN $16 THEN g.job_type END AS job_type,
  CASE WHEN $17 THEN p.name END AS pipeline,
  CASE WHEN $18 THEN m.name END AS model

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
SELECT {dimensions}, e.error_code, count(*) AS results, sum(e.count)::bigint AS count, max(r.recorded_at) AS last_at
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

-- name: regions()
SELECT id, code, job_type, name, created_at FROM podium.regions ORDER BY code COLLATE "C", job_type

-- name: register_regions(codes, job_type, names)
INSERT INTO podium.regions (code, job_type, name)
SELECT code, $2::podium.job_type, name FROM unnest($1::text[], $3::text[]) AS wanted (code, name)
ON CONFLICT (code, job_type) DO NOTHING

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
INSERT INTO podium.orchestrators (address) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING

-- name: add_pipelines(names)
INSERT INTO podium.pipelines (name) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING

-- name: add_models(pipelines, names)
INSERT INTO podium.models (pipeline_id, name)
SELECT p.id, wanted.name
FROM unnest($1::text[], $2::text[]) AS wanted (pipeline, name) JOIN podium.pipelines AS p ON p.name = wanted.pipeline
ON CONFLICT DO NOTHING

-- name: store_results(id, recorded_at, timestamp, success_rate, round_trip_time, seg_duration, upload_time, download_time, transcode_time, segments_sent, segments_received, model_is_warm, errors, payload, orchestrator, region, pipeline, model)
-- One array per column. Results without id and time get the next id and the present time; one that is there already is
-- left alone. A result without pipeline and model is a transcoding result. Names are looked up here and not before, so
-- that none can mean another row; one that is not there violates a constraint (NOT NULL, or the models' foreign key).
-- What podium recorded itself is announced: its time in microseconds, and its ids as an int8multirange. A payload has
-- less than 8,000 bytes, which 150 ids never fill. The count makes sure that it is done, before the first row comes out.
WITH stored AS (
INSERT INTO podium.results (id, recorded_at, timestamp, success_rate, round_trip_time, seg_duration, upload_time,
  download_time, transcode_time, segments_sent, segments_received, model_is_warm, errors, payload,
  orchestrator_id, region_id, model_id)
SELECT coalesce(new.id, nextval('podium.results_id_seq')), coalesce(new.recorded_at, now()), new.timestamp,
  new.success_rate, new.round_trip_time, new.seg_duration, new.upload_time, new.download_time, new.transcode_time,
  new.segments_sent, new.segments_received, new.model_is_warm, new.errors, new.payload,
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
ON CONFLICT DO NOTHING
RETURNING recorded_at, id, orchestrator_id
), announced AS (
  SELECT pg_notify('podium_results', (extract(epoch FROM recorded_at) * 1000000)::bigint || ' '
    || range_agg(int8range(id, id, '[]')))
  FROM (SELECT recorded_at, id, (row_number() OVER (PARTITION BY recorded_at ORDER BY id) - 1) / 150 AS part
    FROM stored WHERE id > 0) AS new
  GROUP BY recorded_at, part
)
SELECT recorded_at, id, (SELECT address FROM podium.orchestrators AS o WHERE o.id = orchestrator_id) AS orchestrator
FROM stored
WHERE (SELECT count(*) FROM announced) >= 0

-- name: create_partitions(since, until)
SELECT podium.create_results_partitions($1, $2)

-- name: lock_withdrawals()
-- One withdrawal after the other, until the end of the transaction: two that mark the same results would each wait for
-- rows of the other.
SELECT pg_advisory_xact_lock(hashtext('podium.withdrawals'))

-- piece: next_entry
entry AS MATERIALIZED (SELECT nextval('podium.audit_log_id_seq') AS id)

-- piece: audit_columns
id, recorded_at, actor, action, reason, affected, details

-- name: withdraw_matching(since, until, job_type, orchestrator_ids, region_ids, model_ids, min_success_rate, max_success_rate, min_round_trip_time, max_round_trip_time, error_codes, model_is_warm, is_withdrawn, actor, reason, details)
WITH {next_entry},
marked AS (
  UPDATE podium.results AS r SET withdrawal_id = entry.id FROM entry WHERE {matching} RETURNING 1
)
INSERT INTO podium.audit_log (id, actor, action, reason, affected, details) OVERRIDING SYSTEM VALUE
SELECT (SELECT id FROM entry), $14, 'withdraw_stats', $15, count(*), $16 FROM marked HAVING count(*) > 0
RETURNING {audit_columns}

-- name: withdraw_by_key(orchestrators, recorded_ats, ids, actor, reason, details)
-- The times apart from the keys, because they alone tell which partitions to look at.
WITH {next_entry},
marked AS (
  UPDATE podium.results AS r SET withdrawal_id = entry.id FROM entry
  WHERE r.recorded_at = ANY ($2::timestamptz[]) AND r.withdrawal_id IS NULL
    AND (r.orchestrator_id, r.recorded_at, r.id) IN (
      SELECT o.id, k.recorded_at, k.id
      FROM unnest($1::text[], $2::timestamptz[], $3::bigint[]) AS k (address, recorded_at, id)
      JOIN podium.orchestrators AS o ON o.address = k.address)
  RETURNING 1
)
INSERT INTO podium.audit_log (id, actor, action, reason, affected, details) OVERRIDING SYSTEM VALUE
SELECT (SELECT id FROM entry), $4, 'withdraw_stats', $5, count(*), $6 FROM marked HAVING count(*) > 0
RETURNING {audit_columns}

-- name: restore_results(withdrawal_id, actor, reason, details)
WITH restored AS (
  UPDATE podium.results AS r SET withdrawal_id = NULL WHERE r.withdrawal_id = $1 RETURNING 1
)
INSERT INTO podium.audit_log (actor, action, reason, affected, details)
SELECT $2, 'restore_stats', $3, count(*), $4 FROM restored HAVING count(*) > 0
RETURNING {audit_columns}

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

-- name: announce_change()
-- Tells listeners that what is recorded has changed without a new result, as by a withdrawal.
SELECT pg_notify('podium_changes', '')

-- name: clock()
SELECT clock_timestamp()
