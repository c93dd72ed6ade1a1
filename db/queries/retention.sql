-- How long single results and their payloads are kept.

-- name: first_week(since)
-- The first week that has results, from a time on.
SELECT date_bin('7 days', min(recorded_at), '2001-01-01 00:00:00+00') AS week FROM podium.results
WHERE ($1::timestamptz IS NULL OR recorded_at >= $1)

-- name: forget_round_trips(week)
DELETE FROM podium.kept_round_trips WHERE bucket >= $1::timestamptz AND bucket < $1::timestamptz + interval '7 days'

-- name: keep_round_trips(day)
INSERT INTO podium.kept_round_trips (bucket, region_id, model_id, round_trip_times)
SELECT {hour_of_result}, region_id, model_id, array_agg(round_trip_time ORDER BY round_trip_time)
FROM podium.results
WHERE recorded_at >= $1::timestamptz AND recorded_at < $1::timestamptz + interval '24 hours'
  AND model_id IS NOT NULL AND withdrawal_id IS NULL AND round_trip_time <> 0 AND success_rate = 1
GROUP BY 1, region_id, model_id

-- name: set_results_since(time)
WITH moved AS (
  UPDATE podium.rollup_state SET results_since = greatest(results_since, $1::timestamptz) RETURNING 1
)
SELECT pg_notify('podium_changes', 'rollup_state') FROM moved

-- name: drop_partitions(until)
SELECT podium.drop_results_partitions($1)

-- name: hold_state()
-- Until the end of the transaction, whoever stores results with times of their own waits.
SELECT FROM podium.rollup_state FOR UPDATE

-- name: clear_payloads(until, limit)
-- What models were asked and answered, of results before a time; in the order of their times, some at once, and all of
-- one time.
WITH old AS (
  SELECT r.orchestrator_id, r.recorded_at, r.id FROM podium.results AS r
  WHERE r.recorded_at >= coalesce((SELECT payloads_since FROM podium.rollup_state), '0001-01-01 00:00:00+00')
    AND r.recorded_at < $1::timestamptz
  ORDER BY r.recorded_at FETCH FIRST ($2) ROWS WITH TIES
), cleared AS (
  UPDATE podium.results AS r SET payload = {payload_without_texts}
  FROM old
  WHERE r.orchestrator_id = old.orchestrator_id AND r.recorded_at = old.recorded_at AND r.id = old.id
    AND r.payload ?| '{input_parameters,response_payload}'
  RETURNING 1
), moved AS (
  UPDATE podium.rollup_state
  SET payloads_since = CASE WHEN (SELECT count(*) FROM old) < $2 THEN $1
    ELSE (SELECT max(recorded_at) FROM old) + interval '1 microsecond' END
), announced AS (
  SELECT pg_notify('podium_changes', 'results') FROM cleared LIMIT 1
)
SELECT (SELECT count(*) FROM old) AS seen, (SELECT count(*) FROM cleared) AS cleared, (SELECT count(*) FROM announced)
