-- What is asked of a database of the original leaderboard. Nothing is ever written there.
-- Before v1 it had a table per region, each of the same form. These are all that there can be, spelled out here and
-- chosen by name: no name that a database holds becomes SQL. Whether one exists is for `tables` to find out.

-- piece: table.ash
public.ash
-- piece: table.atl
public.atl
-- piece: table.atl2
public.atl2
-- piece: table.fra
public.fra
-- piece: table.hnd
public.hnd
-- piece: table.hou
public.hou
-- piece: table.lax
public.lax
-- piece: table.lon
public.lon
-- piece: table.mad
public.mad
-- piece: table.mdw
public.mdw
-- piece: table.mia
public.mia
-- piece: table.mos2
public.mos2
-- piece: table.nyc
public.nyc
-- piece: table.prg
public.prg
-- piece: table.sao
public.sao
-- piece: table.sea
public.sea
-- piece: table.sin
public.sin
-- piece: table.sjo
public.sjo
-- piece: table.sto
public.sto
-- piece: table.syd
public.syd
-- piece: table.tor
public.tor

-- piece: region_table
{table:ash|atl|atl2|fra|hnd|hou|lax|lon|mad|mdw|mia|mos2|nyc|prg|sao|sea|sin|sjo|sto|syd|tor}

-- name: regions()
SELECT r.name::text AS code, j.name::text AS job_type, coalesce(nullif(r.display_name, ''), r.name)::text AS name
FROM public.regions AS r
JOIN public.job_types AS j ON j.id = r.job_type_id
WHERE j.name IN ('transcoding', 'ai') AND r.name <> ''
ORDER BY r.id

-- name: count_events(after)
SELECT count(*) FROM public.events WHERE id > $1::bigint

-- name: events(after, rows, bytes)
-- The next events by id: so many at most, and fewer when their payloads are large; one at least. Payloads are text, so
-- that one that cannot be decoded spoils nobody else's row. A time outside the years 1 to 9999 is NULL.
SELECT id::bigint AS id, orchestrator::text AS orchestrator, region, payload::text AS payload, false AS is_copied,
  CASE WHEN event_time > '0001-01-01 00:00:00+00' AND event_time < '9999-12-31 00:00:00+00' THEN event_time END
    AS recorded_at -- without the first and the last moment, which the driver takes for infinities
FROM (
  SELECT e.*, r.name::text AS region,
    sum(pg_column_size(e.payload)) OVER (ORDER BY e.id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS bytes_before
  FROM (SELECT * FROM public.events WHERE id > $1::bigint ORDER BY id LIMIT $2) AS e
  LEFT JOIN public.regions AS r ON r.id = e.region_id
) AS e
WHERE coalesce(bytes_before, 0) < $3::bigint
ORDER BY id

-- name: count_region_table(after)
SELECT count(*) FROM {region_table} WHERE id > $1::bigint

-- piece: events.absent
(SELECT NULL::jsonb AS payload)

-- piece: events.present
(
  SELECT DISTINCT e.payload FROM public.events AS e JOIN public.regions AS r ON r.id = e.region_id WHERE r.name = $2
)

-- name: open_region_table(after, region)
-- The rows of a region's table by id. Those that the original's own migration has copied to its events are marked;
-- as payloads have no index, one pass over the events finds them, and a cursor keeps what it found.
DECLARE region_table NO SCROLL CURSOR FOR
SELECT t.id::bigint AS id, t.stats ->> 'orchestrator' AS orchestrator, $2::text AS region,
  CASE WHEN e.payload IS NULL THEN t.stats::text END AS payload, e.payload IS NOT NULL AS is_copied,
  NULL::timestamptz AS recorded_at
FROM {region_table} AS t
LEFT JOIN {events:absent|present} AS e ON e.payload = t.stats
WHERE t.id > $1::bigint
ORDER BY t.id

-- name: next_of_region_table()
FETCH 1000 FROM region_table
