-- migrate:up
SET LOCAL lock_timeout = '4s';
SET LOCAL statement_timeout = '60s';

-- What a run of the prober found out, under the id that the prober gave it. What is measured is that of all renditions
-- together; renditions has the same of each: [{name, segments_expected, …, latency_s: {count, least, median, mean, p95,
-- most}, …}]. A run fails for a reason, and an aborted one says nothing of the network. Durations are in seconds.
CREATE TABLE podium.probe_runs (
  id text COLLATE "C" PRIMARY KEY CHECK (char_length(id) BETWEEN 1 AND 128),
  stream text COLLATE "C" NOT NULL CHECK (char_length(stream) BETWEEN 1 AND 256),
  region text COLLATE "C",
  ingest_region text COLLATE "C",
  playback_region text COLLATE "C",
  orchestrator text COLLATE "C",
  started_at timestamptz NOT NULL,
  ended_at timestamptz NOT NULL,
  wanted_s double precision NOT NULL,
  status text COLLATE "C" NOT NULL CHECK (status IN ('success', 'failure', 'aborted')),
  reason text COLLATE "C" CHECK ((reason IS NOT NULL) = (status = 'failure')),
  detail text,
  startup_s double precision,
  clock text COLLATE "C",
  expected_renditions text[] NOT NULL,
  renditions jsonb NOT NULL,
  segments_expected bigint NOT NULL,
  segments_received bigint NOT NULL,
  segments_missed bigint NOT NULL,
  segments_corrupt bigint NOT NULL,
  gaps bigint NOT NULL,
  discontinuities bigint NOT NULL,
  bytes bigint NOT NULL,
  download_s double precision NOT NULL,
  latency_s double precision,
  latency_most_s double precision,
  segment_duration_s double precision,
  segment_duration_most_s double precision,
  recorded_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX probe_runs_started_at ON podium.probe_runs (started_at, id);
CREATE INDEX probe_runs_stream ON podium.probe_runs (stream, started_at, id);
CREATE INDEX probe_runs_recorded_at ON podium.probe_runs (recorded_at);
CREATE INDEX probe_runs_status ON podium.probe_runs (status, started_at, id);

-- migrate:down
SET LOCAL lock_timeout = '4s';

DROP TABLE podium.probe_runs;
