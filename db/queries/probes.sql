-- Runs of the prober `r`: what is stored, pages of them, what they have in common, and the latest of each stream. What is
-- added is announced with its commit, by the table's name; the count makes sure that it is.

-- piece: run_columns
r.id, r.stream, r.region, r.ingest_region, r.playback_region, r.orchestrator, r.started_at, r.ended_at, r.wanted_s,
  r.status, r.reason, r.detail, r.startup_s, r.clock, r.expected_renditions, r.segments_expected, r.segments_received,
  r.segments_missed, r.segments_corrupt, r.gaps, r.discontinuities, r.bytes, r.download_s, r.latency_s, r.latency_most_s,
  r.segment_duration_s, r.segment_duration_most_s, r.recorded_at

-- piece: matching_runs
-- One stream, or status, is compared by itself, because only then is an index read in the order of time.
($1::timestamptz IS NULL OR r.started_at >= $1)
  AND ($2::timestamptz IS NULL OR r.started_at <= $2)
  AND ($3::text[] IS NULL OR CASE WHEN cardinality($3) = 1 THEN r.stream = $3[1] ELSE r.stream = ANY ($3) END)
  AND ($4::text[] IS NULL OR r.region = ANY ($4))
  AND ($5::text[] IS NULL OR r.ingest_region = ANY ($5))
  AND ($6::text[] IS NULL OR r.playback_region = ANY ($6))
  AND ($7::text[] IS NULL OR CASE WHEN cardinality($7) = 1 THEN r.status = $7[1] ELSE r.status = ANY ($7) END)
  AND ($8::text[] IS NULL OR r.reason = ANY ($8))

-- piece: page.newest
($9::timestamptz IS NULL OR (r.started_at, r.id) < ($9, $10::text)) ORDER BY r.started_at DESC, r.id DESC

-- piece: page.oldest
($9::timestamptz IS NULL OR (r.started_at, r.id) > ($9, $10::text)) ORDER BY r.started_at, r.id

-- name: runs(since, until, streams, regions, ingest_regions, playback_regions, statuses, reasons, cursor_at, cursor_id, limit)
SELECT {run_columns} {?renditions , r.renditions}
FROM podium.probe_runs AS r WHERE {matching_runs} AND {page:newest|oldest} LIMIT $11

-- name: count_runs(since, until, streams, regions, ingest_regions, playback_regions, statuses, reasons)
SELECT count(*) FROM podium.probe_runs AS r WHERE {matching_runs}

-- name: runs_by_id(ids)
SELECT {run_columns}, r.renditions FROM podium.probe_runs AS r WHERE r.id = ANY ($1::text[])

-- name: add_run(id, stream, region, ingest_region, playback_region, orchestrator, started_at, ended_at, wanted_s, status, reason, detail, startup_s, clock, expected_renditions, renditions, segments_expected, segments_received, segments_missed, segments_corrupt, gaps, discontinuities, bytes, download_s, latency_s, latency_most_s, segment_duration_s, segment_duration_most_s)
-- Answers nothing when it is there already.
WITH r AS (
  INSERT INTO podium.probe_runs (id, stream, region, ingest_region, playback_region, orchestrator, started_at, ended_at,
    wanted_s, status, reason, detail, startup_s, clock, expected_renditions, renditions, segments_expected,
    segments_received, segments_missed, segments_corrupt, gaps, discontinuities, bytes, download_s, latency_s,
    latency_most_s, segment_duration_s, segment_duration_most_s)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24,
    $25, $26, $27, $28)
  ON CONFLICT (id) DO NOTHING
  RETURNING *
), announced AS (
  SELECT pg_notify('podium_changes', 'probe_runs') FROM r
)
SELECT {run_columns}, r.renditions FROM r WHERE (SELECT count(*) FROM announced) >= 0

-- name: runs_stored(since, known_ids, limit)
-- What was stored since then, but for what is known.
SELECT {run_columns}, r.renditions FROM podium.probe_runs AS r
WHERE r.recorded_at >= $1 AND r.id <> ALL ($2::text[])
ORDER BY r.recorded_at, r.id
LIMIT $3

-- name: forget_runs(until, limit)
-- Deletes some runs that started before a time; how many.
WITH gone AS (
  DELETE FROM podium.probe_runs WHERE id IN (
    SELECT id FROM podium.probe_runs WHERE started_at < $1 ORDER BY started_at, id LIMIT $2
  ) RETURNING id
), announced AS (
  SELECT pg_notify('podium_changes', 'probe_runs') FROM (SELECT FROM gone LIMIT 1) AS any_is_gone
)
SELECT count(*) FROM gone WHERE (SELECT count(*) FROM announced) >= 0

-- name: latest_runs()
-- The latest run of each stream: from each the next stream is looked up in the index, so that this takes as many steps as
-- there are streams, and not runs.
WITH RECURSIVE streams (stream) AS (
  (SELECT stream FROM podium.probe_runs ORDER BY stream LIMIT 1)
  UNION ALL
  SELECT n.stream FROM streams AS s CROSS JOIN LATERAL (
    SELECT stream FROM podium.probe_runs WHERE stream > s.stream ORDER BY stream LIMIT 1
  ) AS n
)
SELECT {run_columns}, r.renditions
FROM streams AS s CROSS JOIN LATERAL (
  SELECT * FROM podium.probe_runs WHERE stream = s.stream ORDER BY started_at DESC, id DESC LIMIT 1
) AS r
ORDER BY r.stream

-- piece: measured.runs
SELECT r.*, NULL::text AS rendition FROM podium.probe_runs AS r WHERE {matching_runs}

-- piece: measured.renditions
SELECT r.started_at, r.stream, r.region, r.ingest_region, r.playback_region, r.status, r.startup_s,
    (v.latency_s ->> 'mean')::double precision AS latency_s,
    (v.latency_s ->> 'most')::double precision AS latency_most_s,
    (v.duration_s ->> 'most')::double precision AS segment_duration_most_s, v.name AS rendition
  FROM podium.probe_runs AS r
  CROSS JOIN LATERAL jsonb_to_recordset(r.renditions) AS v (name text, latency_s jsonb, duration_s jsonb)
  WHERE {matching_runs}

-- name: groups(since, until, streams, regions, ingest_regions, playback_regions, statuses, reasons, by_stream, by_region, by_ingest_region, by_playback_region, starts, limit)
-- How many runs each group has, by how they ended, and how their times spread; per bucket of time where $13 has the
-- buckets' starts. Aborted runs have no times.
SELECT m.stream, m.region, m.ingest_region, m.playback_region, m.rendition, m.bucket,
  count(*) FILTER (WHERE m.status <> 'aborted') AS runs,
  count(*) FILTER (WHERE m.status = 'failure') AS failures,
  count(*) FILTER (WHERE m.status = 'aborted') AS aborted,
  ARRAY[avg(m.startup_s), min(m.startup_s), max(m.startup_s), stddev_pop(m.startup_s)]
    || percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY m.startup_s) AS startup,
  ARRAY[avg(m.latency_s), min(m.latency_s), max(m.latency_s), stddev_pop(m.latency_s)]
    || percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY m.latency_s) AS latency,
  max(m.latency_most_s) AS peak_latency_s, max(m.segment_duration_most_s) AS peak_segment_duration_s
FROM (
  SELECT CASE WHEN $9 THEN m.stream END AS stream,
    CASE WHEN $10 THEN m.region END AS region,
    CASE WHEN $11 THEN m.ingest_region END AS ingest_region,
    CASE WHEN $12 THEN m.playback_region END AS playback_region,
    CASE WHEN $13::timestamptz[] IS NOT NULL THEN width_bucket(m.started_at, $13) END AS bucket,
    m.rendition, m.status,
    CASE WHEN m.status <> 'aborted' THEN m.startup_s END AS startup_s,
    CASE WHEN m.status <> 'aborted' THEN m.latency_s END AS latency_s,
    CASE WHEN m.status <> 'aborted' THEN m.latency_most_s END AS latency_most_s,
    CASE WHEN m.status <> 'aborted' THEN m.segment_duration_most_s END AS segment_duration_most_s
  FROM ({measured:runs|renditions}) AS m
) AS m
GROUP BY 1, 2, 3, 4, 5, 6
LIMIT $14

-- name: failures(since, until, streams, regions, ingest_regions, playback_regions, statuses, reasons, by_stream, by_region, by_ingest_region, by_playback_region, limit)
-- How many runs failed for each reason in each group; those first of which there are most.
SELECT CASE WHEN $9 THEN r.stream END AS stream,
  CASE WHEN $10 THEN r.region END AS region,
  CASE WHEN $11 THEN r.ingest_region END AS ingest_region,
  CASE WHEN $12 THEN r.playback_region END AS playback_region,
  r.reason, count(*) AS runs, min(r.started_at) AS first_at, max(r.started_at) AS last_at
FROM podium.probe_runs AS r WHERE {matching_runs}
GROUP BY 1, 2, 3, 4, 5
ORDER BY runs DESC, stream, region, ingest_region, playback_region, reason
LIMIT $13
