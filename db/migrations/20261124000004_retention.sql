-- migrate:up
SET LOCAL lock_timeout = '4s';
SET LOCAL statement_timeout = '60s';

-- Results that were recorded before `results_since` are gone, or about to go: roll-ups answer for them. Before
-- `payloads_since`, what models were asked and answered is gone. NULL is since ever.
ALTER TABLE podium.rollup_state ADD COLUMN results_since timestamptz, ADD COLUMN payloads_since timestamptz;

-- The round trips of the successful AI results that are gone, by hour, for the medians that scores count against.
CREATE TABLE podium.kept_round_trips (
  bucket timestamptz NOT NULL,
  region_id integer NOT NULL,
  model_id integer NOT NULL,
  round_trip_times double precision[] NOT NULL,
  PRIMARY KEY (bucket, region_id, model_id)
);

-- Drops the partitions that end by then, and hold nothing but results of before results_since; how many there were. It
-- runs with its owner's rights, as create_results_partitions does. Dropping waits for whoever reads, and everybody else for it, so that
-- it gives up soon, and is tried again later.
CREATE FUNCTION podium.drop_results_partitions(until timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET lock_timeout = '300ms' AS $$
DECLARE
  partition text;
  dropped integer := 0;
BEGIN
  FOR partition IN
    SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'podium.results'::regclass AND c.relname ~ '^results_\d{4}_\d{2}_\d{2}$'
      AND to_date(right(c.relname, 10), 'YYYY_MM_DD') + interval '7 days'
        <= least(until, (SELECT coalesce(results_since, '-infinity') FROM podium.rollup_state))
    ORDER BY c.relname
  LOOP
    EXECUTE format('DROP TABLE podium.%I', partition);
    dropped := dropped + 1;
  END LOOP;
  IF dropped > 0 THEN
    PERFORM pg_notify('podium_changes', 'results');
  END IF;
  RETURN dropped;
END
$$;

REVOKE EXECUTE ON FUNCTION podium.drop_results_partitions(timestamptz) FROM PUBLIC;

-- migrate:down
SET LOCAL lock_timeout = '4s';

DROP FUNCTION podium.drop_results_partitions(timestamptz);
DROP TABLE podium.kept_round_trips;
ALTER TABLE podium.rollup_state DROP COLUMN results_since, DROP COLUMN payloads_since;
