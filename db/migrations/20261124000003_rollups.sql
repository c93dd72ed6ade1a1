-- migrate:up
SET LOCAL lock_timeout = '4s';
SET LOCAL statement_timeout = '600s';

-- What the results of an hour come to: one row per orchestrator, region and model, withdrawn results left out. Rates and
-- times are sums. Kept by the statements that store and withdraw results.
CREATE TABLE podium.hourly_rollups (
  bucket timestamptz NOT NULL,
  first_at timestamptz NOT NULL,
  last_at timestamptz NOT NULL,
  success_rate double precision NOT NULL,
  round_trip_time double precision NOT NULL,
  seg_duration double precision NOT NULL,
  orchestrator_id integer NOT NULL,
  region_id integer NOT NULL,
  model_id integer,
  samples integer NOT NULL CHECK (samples > 0),
  UNIQUE NULLS NOT DISTINCT (bucket, orchestrator_id, region_id, model_id)
);
-- The same of each day, from 00:00 UTC.
CREATE TABLE podium.daily_rollups (LIKE podium.hourly_rollups INCLUDING CONSTRAINTS INCLUDING INDEXES);

CREATE INDEX hourly_rollups_model ON podium.hourly_rollups (model_id, bucket, region_id);
CREATE INDEX daily_rollups_model ON podium.daily_rollups (model_id, bucket, region_id);

-- One row: since when roll-ups are complete; NULL is nowhere yet, the year 1 everywhere.
CREATE TABLE podium.rollup_state (
  is_the_only_row boolean PRIMARY KEY DEFAULT true CHECK (is_the_only_row),
  complete_since timestamptz
);
-- What there is already is added later, day by day, while questions are answered from results.
INSERT INTO podium.rollup_state (complete_since)
SELECT CASE WHEN NOT EXISTS (SELECT FROM podium.results) THEN timestamptz '0001-01-01 00:00:00+00' END;

-- The median of a model needs nothing but this index.
CREATE INDEX results_models ON podium.results (model_id, recorded_at) INCLUDE (round_trip_time, success_rate, region_id)
  WHERE model_id IS NOT NULL AND withdrawal_id IS NULL;
DROP INDEX podium.results_model;
-- Equal times, as all results of a statement have them, take the room of one.
DROP INDEX podium.results_recorded_at;
CREATE INDEX results_recorded_at ON podium.results (recorded_at);

-- migrate:down
SET LOCAL lock_timeout = '4s';
SET LOCAL statement_timeout = '600s';

DROP INDEX podium.results_recorded_at;
CREATE INDEX results_recorded_at ON podium.results (recorded_at, id);
CREATE INDEX results_model ON podium.results (model_id, recorded_at) WHERE model_id IS NOT NULL;
DROP INDEX podium.results_models;
DROP TABLE podium.rollup_state;
DROP TABLE podium.daily_rollups;
DROP TABLE podium.hourly_rollups;
