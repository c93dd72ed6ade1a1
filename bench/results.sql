-- Made-up results, made by Postgres itself: a row costs it a few microseconds, and ten times as much on its way to it.

-- name: define_uniform()
-- Numbers from 0 to 1, evenly spread: for a number and a seed another one for each purpose.
CREATE FUNCTION pg_temp.uniform(number bigint, seed bigint, purpose bigint) RETURNS double precision
IMMUTABLE RETURN (hashint8extended(number, seed * 100 + purpose) & 9007199254740991) / 9007199254740992::double precision

-- name: reserve_ids(number)
-- The first of so many ids.
SELECT setval('podium.results_id_seq', nextval('podium.results_id_seq') + $1::bigint - 1) - $1::bigint + 1

-- name: make_results(first, last, seed, first_id, since, step_s, orchestrators, shares, paces, regions, region_factors, ai_regions, ai_region_factors, models, usual_s, error_codes, ai_share, failure_share, warm_share, segments)
-- Stores the results of a dataset that have the numbers from $1 to $2. What is random about one comes from its number
-- and the seed alone, so any part can be made by itself, at any time, and has the same rows. $8 are the shares of the
-- orchestrators, added up; factors, paces and usual times are multiplied to a round trip.
INSERT INTO podium.results (id, recorded_at, timestamp, success_rate, round_trip_time, seg_duration, upload_time,
  download_time, transcode_time, orchestrator_id, region_id, model_id, segments_sent, segments_received, model_is_warm,
  errors, payload)
SELECT $4::bigint + number, recorded_at, floor(extract(epoch FROM recorded_at)), success_rate, round_trip_time,
  CASE WHEN NOT is_ai THEN 2 END, CASE WHEN NOT is_ai THEN 0.18 * round_trip_time END,
  CASE WHEN NOT is_ai THEN 0.12 * round_trip_time END, CASE WHEN NOT is_ai THEN 0.6 * round_trip_time END,
  ($7::integer[])[orchestrator], CASE WHEN is_ai THEN ($12)[region] ELSE ($10)[region] END,
  CASE WHEN is_ai THEN ($14)[model] END, CASE WHEN NOT is_ai THEN $20 END,
  CASE WHEN NOT is_ai THEN received END, CASE WHEN is_ai THEN is_warm END,
  CASE WHEN success_rate = 1 THEN jsonb '[]' ELSE jsonb_build_array(jsonb_build_object(
    'error_code', ($16)[error], 'count', CASE WHEN is_ai THEN 1 ELSE $20 - received END)) END,
  CASE WHEN is_ai THEN jsonb_build_object(
    'input_parameters', format('{"prompt": "a bear, take %s"}', take),
    'response_payload', format('{"seed": %s}', response)) END
FROM (
  SELECT *, CASE WHEN is_ai THEN (received = $20)::integer ELSE received / $20::double precision END AS success_rate,
    CASE
      WHEN is_ai THEN exp(0.3 * deviation) * ($13::double precision[])[region] * ($15::double precision[])[model]
        * CASE WHEN is_warm THEN 1 ELSE 3 END
      ELSE exp(0.35 * deviation - 0.3) * ($11::double precision[])[region]
    END * ($9::double precision[])[orchestrator] AS round_trip_time
  FROM (
    SELECT number, is_ai,
      $5::timestamptz + make_interval(secs => $6::double precision * (number + pg_temp.uniform(number, $3, 2)))
        AS recorded_at,
      least($20::integer, floor($20 * pg_temp.uniform(number, $3, 3) / $18::double precision)::integer) AS received,
      pg_temp.uniform(number, $3, 4) < $19::double precision AS is_warm,
      1 + width_bucket(pg_temp.uniform(number, $3, 5), $8::double precision[]) AS orchestrator,
      1 + floor(pg_temp.uniform(number, $3, 6) * cardinality(CASE WHEN is_ai THEN $12::integer[] ELSE $10::integer[] END))::integer AS region,
      1 + floor(pg_temp.uniform(number, $3, 7) * cardinality($14::integer[]))::integer AS model,
      1 + floor(pg_temp.uniform(number, $3, 8) * cardinality($16::text[]))::integer AS error,
      floor(1000 * pg_temp.uniform(number, $3, 9)) AS take,
      floor(2147483648 * pg_temp.uniform(number, $3, 10)) AS response,
      -- Box and Muller's way to a normal distribution.
      sqrt(-2 * ln(1 - pg_temp.uniform(number, $3, 11))) * cosd(360 * pg_temp.uniform(number, $3, 12)) AS deviation
    FROM (
      SELECT number, pg_temp.uniform(number, $3::bigint, 1) < $17::double precision AS is_ai
      FROM generate_series($1::bigint, $2::bigint) AS number
    ) AS n
    OFFSET 0 -- each value is computed once, and not wherever it is used
  ) AS drawn
  OFFSET 0
) AS timed
