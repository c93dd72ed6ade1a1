-- Spreads podium's tables over the workers of a Citus cluster: results and roll-ups by
-- orchestrator, telemetry by node, viewers by themselves, the small tables to all.
--
-- Run it once on the coordinator, as the owner of the tables, after `CREATE EXTENSION citus` and the migrations:
--   psql -1 -v ON_ERROR_STOP=1 -d podium -f db/scale/citus.sql
-- docs/scale.md says when, what it is good for, and which statements have to be rewritten before.

-- What results refer to is on every worker, so that joins stay there. Citus takes no identity columns of type integer:
-- a sequence of the same name does the same.
DO $$
DECLARE
  small text;
BEGIN
  FOREACH small IN ARRAY ARRAY['regions', 'orchestrators', 'pipelines', 'models'] LOOP
    EXECUTE format('ALTER TABLE podium.%I ALTER COLUMN id DROP IDENTITY', small);
    EXECUTE format('CREATE SEQUENCE podium.%I AS integer OWNED BY podium.%I.id', small || '_id_seq', small);
    EXECUTE format('SELECT setval(%L, (SELECT coalesce(max(id), 0) + 1 FROM podium.%I), false)',
      'podium.' || small || '_id_seq', small);
    EXECUTE format('ALTER TABLE podium.%I ALTER COLUMN id SET DEFAULT nextval(%L)', small,
      'podium.' || small || '_id_seq');
  END LOOP;
END
$$;

-- In this order: a table refers to those before it.
SELECT create_reference_table('podium.regions');
SELECT create_reference_table('podium.orchestrators');
SELECT create_reference_table('podium.pipelines');
SELECT create_reference_table('podium.models');
SELECT create_reference_table('podium.peers');
SELECT create_reference_table('podium.peer_connections');
SELECT create_reference_table('podium.streams');

-- All that is of one orchestrator is in one shard, with its partitions; a statement that names one asks one worker.
SELECT create_distributed_table('podium.results', 'orchestrator_id');
SELECT create_distributed_table('podium.hourly_rollups', 'orchestrator_id', colocate_with => 'podium.results');
SELECT create_distributed_table('podium.daily_rollups', 'orchestrator_id', colocate_with => 'podium.results');

-- And all that one node has said; what was said before a node said who it is (peer_id 0) is in one shard.
SELECT create_distributed_table('podium.peer_logs', 'peer_id');

-- What a viewer watches is in its row, and so are the lock and the decision: in one shard.
SELECT create_distributed_table('podium.viewers', 'id');
SELECT create_distributed_table('podium.imported_viewers', 'id', colocate_with => 'podium.viewers');

-- The other tables stay on the coordinator. audit_log has a trigger, which Citus allows neither on distributed nor on
-- reference tables; idempotency_keys has one row per key for a day, and is purged with FOR UPDATE SKIP LOCKED, which works
-- in one place only; benchmarks, benchmark_events, host_systems and probe_runs are small; imports and rollup_state have a few rows that one gateway at a time changes; kept_round_trips is small,
-- and read when a question reaches back to where results are gone.
