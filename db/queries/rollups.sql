-- Roll-ups: what results come to, by hour and by day; how they are built anew, and whether they are right.

-- name: state()
-- Since when they are complete; NULL where they are not yet, the year 1 where they always were.
SELECT complete_since FROM podium.rollup_state

-- name: set_complete_since(time)
UPDATE podium.rollup_state SET complete_since = $1

-- name: lock_rollups()
-- Nobody stores results until the end of the transaction, so that the next statement sees all there are.
SELECT pg_advisory_xact_lock(hashtext('podium.rollups'))

-- name: forget_hours(hours, orchestrator_ids)
DELETE FROM podium.hourly_rollups AS r
WHERE r.bucket = ANY ($1::timestamptz[]) AND ($2::integer[] IS NULL OR r.orchestrator_id = ANY ($2))

-- name: sum_hours(hours, orchestrator_ids)
INSERT INTO podium.hourly_rollups ({rollup_columns})
SELECT h.bucket, {sums_of_results}
FROM unnest($1::timestamptz[]) AS h (bucket)
JOIN podium.results AS r ON r.recorded_at >= h.bucket AND r.recorded_at < h.bucket + interval '1 hour'
WHERE r.withdrawal_id IS NULL AND ($2::integer[] IS NULL OR r.orchestrator_id = ANY ($2))
GROUP BY h.bucket, orchestrator_id, region_id, model_id

-- name: forget_days(days, orchestrator_ids)
DELETE FROM podium.daily_rollups AS r
WHERE r.bucket = ANY ($1::timestamptz[]) AND ($2::integer[] IS NULL OR r.orchestrator_id = ANY ($2))

-- name: sum_days(days, orchestrator_ids)
-- Made of hours that are right.
INSERT INTO podium.daily_rollups ({rollup_columns})
SELECT d.bucket, {sums_of_rollups}
FROM unnest($1::timestamptz[]) AS d (bucket)
JOIN podium.hourly_rollups AS r ON r.bucket >= d.bucket AND r.bucket < d.bucket + interval '24 hours'
WHERE ($2::integer[] IS NULL OR r.orchestrator_id = ANY ($2))
GROUP BY d.bucket, orchestrator_id, region_id, model_id

-- name: announce()
SELECT pg_notify('podium_changes', 'results')

-- name: hours(since)
-- The hours of a day that have results or roll-ups.
SELECT DISTINCT {hour_of_result} AS hour FROM podium.results
WHERE recorded_at >= $1::timestamptz AND recorded_at < $1::timestamptz + interval '24 hours'
UNION
SELECT bucket FROM podium.hourly_rollups WHERE bucket >= $1 AND bucket < $1 + interval '24 hours'
ORDER BY hour

-- name: latest_before(time)
-- When the last result was recorded before this time, or what a roll-up of before says of it; NULL where there is none.
SELECT greatest(
  (SELECT max(recorded_at) FROM podium.results WHERE recorded_at < $1),
  (SELECT max(bucket) FROM podium.hourly_rollups WHERE bucket < $1),
  (SELECT max(bucket) FROM podium.daily_rollups WHERE bucket < $1))

-- piece: day
>= $1::timestamptz AND bucket < $1::timestamptz + interval '24 hours'

-- piece: is_same_cell
r.bucket = f.bucket AND r.orchestrator_id = f.orchestrator_id AND r.region_id = f.region_id
    AND coalesce(r.model_id, 0) = coalesce(f.model_id, 0)

-- piece: differs
f.samples IS DISTINCT FROM r.samples OR f.first_at IS DISTINCT FROM r.first_at OR f.last_at IS DISTINCT FROM r.last_at
    OR abs(f.success_rate - r.success_rate) > 1e-9 * f.success_rate
    OR abs(f.round_trip_time - r.round_trip_time) > 1e-9 * f.round_trip_time
    OR abs(f.seg_duration - r.seg_duration) > 1e-9 * f.seg_duration

-- name: check_day(since)
-- How many cells of a day's hours, and of the day itself, are not what its results come to.
WITH found AS (
  SELECT {hour_of_result} AS bucket, {sums_of_results}
  FROM podium.results
  WHERE recorded_at >= $1::timestamptz AND recorded_at < $1::timestamptz + interval '24 hours'
    AND withdrawal_id IS NULL
  GROUP BY 1, orchestrator_id, region_id, model_id
), wrong AS (
  SELECT FROM found AS f
  FULL JOIN (SELECT * FROM podium.hourly_rollups WHERE bucket {day}) AS r ON {is_same_cell}
  WHERE {differs}
  UNION ALL
  SELECT FROM (SELECT $1::timestamptz AS bucket, {sums_of_rollups} FROM found
    GROUP BY orchestrator_id, region_id, model_id) AS f
  FULL JOIN (SELECT * FROM podium.daily_rollups WHERE bucket {day}) AS r ON {is_same_cell}
  WHERE {differs}
)
SELECT count(*) FROM wrong
