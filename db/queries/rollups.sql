-- Roll-ups: what results come to, by hour and by day; how they are built anew, and whether they are right.

-- name: state()
-- Since when they are complete; NULL where they are not yet, the year 1 where they always were. Since when there are
-- single results; NULL is since ever.
SELECT complete_since, results_since FROM podium.rollup_state

-- name: hold_results_since()
-- The same until the end of the transaction: nothing expires meanwhile.
SELECT results_since FROM podium.rollup_state FOR SHARE

-- name: set_complete_since(time)
UPDATE podium.rollup_state SET complete_since = $1

-- name: lock_day(day)
-- Nobody stores results of this day until the end of the transaction, so that the next statement sees all there are.
SELECT pg_advisory_xact_lock(hashtext('podium.rollups'), {day_number})
FROM (SELECT $1::timestamptz AS recorded_at) AS day

-- name: forget_hour(hour)
DELETE FROM podium.hourly_rollups WHERE bucket = $1

-- name: sum_hour(hour)
INSERT INTO podium.hourly_rollups ({rollup_columns})
SELECT $1, {sums_of_results}
FROM podium.results
WHERE recorded_at >= $1::timestamptz AND recorded_at < $1::timestamptz + interval '1 hour' AND withdrawal_id IS NULL
GROUP BY orchestrator_id, region_id, model_id

-- name: forget_day(day)
DELETE FROM podium.daily_rollups WHERE bucket = $1

-- name: sum_day(day)
-- Made of hours that are right.
INSERT INTO podium.daily_rollups ({rollup_columns})
SELECT $1, {sums_of_rollups}
FROM podium.hourly_rollups
WHERE bucket >= $1::timestamptz AND bucket < $1::timestamptz + interval '24 hours'
GROUP BY orchestrator_id, region_id, model_id

-- piece: is_same
r.orchestrator_id = c.orchestrator_id AND r.region_id = c.region_id
    AND coalesce(r.model_id, 0) = coalesce(c.model_id, 0)

-- piece: cells_of_hours
unnest($1::timestamptz[], $2::integer[], $3::integer[], $4::integer[])
    AS c (bucket, orchestrator_id, region_id, model_id)

-- name: forget_cells_of_hours(hours, orchestrator_ids, region_ids, model_ids)
DELETE FROM podium.hourly_rollups AS r USING {cells_of_hours} WHERE r.bucket = c.bucket AND {is_same}

-- name: sum_cells_of_hours(hours, orchestrator_ids, region_ids, model_ids, day)
INSERT INTO podium.hourly_rollups ({rollup_columns})
SELECT bucket, {sums_of_results}
FROM (
  SELECT c.bucket, r.* FROM {cells_of_hours}
  JOIN podium.results AS r ON r.recorded_at >= c.bucket AND r.recorded_at < c.bucket + interval '1 hour' AND {is_same}
  WHERE r.withdrawal_id IS NULL
    AND r.recorded_at >= $5::timestamptz AND r.recorded_at < $5::timestamptz + interval '24 hours'
) AS r
GROUP BY bucket, orchestrator_id, region_id, model_id

-- piece: cells_of_day
unnest($2::integer[], $3::integer[], $4::integer[]) AS c (orchestrator_id, region_id, model_id)

-- name: forget_cells_of_day(day, orchestrator_ids, region_ids, model_ids)
DELETE FROM podium.daily_rollups AS r USING {cells_of_day} WHERE r.bucket = $1 AND {is_same}

-- name: sum_cells_of_day(day, orchestrator_ids, region_ids, model_ids)
INSERT INTO podium.daily_rollups ({rollup_columns})
SELECT $1, {sums_of_rollups}
FROM (
  SELECT r.* FROM {cells_of_day} JOIN podium.hourly_rollups AS r ON {is_same}
  WHERE r.bucket >= $1::timestamptz AND r.bucket < $1::timestamptz + interval '24 hours'
) AS r
GROUP BY orchestrator_id, region_id, model_id

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

-- piece: differs
c.samples IS DISTINCT FROM r.samples OR c.first_at IS DISTINCT FROM r.first_at OR c.last_at IS DISTINCT FROM r.last_at
    OR abs(c.success_rate - r.success_rate) > 1e-9 * c.success_rate
    OR abs(c.round_trip_time - r.round_trip_time) > 1e-9 * c.round_trip_time
    OR abs(c.seg_duration - r.seg_duration) > 1e-9 * c.seg_duration

-- name: check_day(since)
-- How many cells of a day's hours, and of the day itself, are not what its results come to.
WITH found AS (
  SELECT {hour_of_result} AS bucket, {sums_of_results}
  FROM podium.results
  WHERE recorded_at >= $1::timestamptz AND recorded_at < $1::timestamptz + interval '24 hours'
    AND withdrawal_id IS NULL
  GROUP BY 1, orchestrator_id, region_id, model_id
), wrong AS (
  SELECT FROM found AS c
  FULL JOIN (SELECT * FROM podium.hourly_rollups WHERE bucket {day}) AS r ON r.bucket = c.bucket AND {is_same}
  WHERE {differs}
  UNION ALL
  SELECT FROM (SELECT $1::timestamptz AS bucket, {sums_of_rollups} FROM found
    GROUP BY orchestrator_id, region_id, model_id) AS c
  FULL JOIN (SELECT * FROM podium.daily_rollups WHERE bucket {day}) AS r ON r.bucket = c.bucket AND {is_same}
  WHERE {differs}
)
SELECT count(*) FROM wrong
