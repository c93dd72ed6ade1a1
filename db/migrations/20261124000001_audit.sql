-- migrate:up
SET LOCAL lock_timeout = '4s';
SET LOCAL statement_timeout = '60s';

CREATE TYPE podium.audit_action AS ENUM ('withdraw_stats', 'restore_stats', 'register_region', 'rename_region');

-- What administrators did, for ever: rows are only added.
CREATE TABLE podium.audit_log (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  recorded_at timestamptz NOT NULL DEFAULT now(),
  actor text NOT NULL CHECK (char_length(actor) BETWEEN 1 AND 256),
  action podium.audit_action NOT NULL,
  reason text CHECK (char_length(reason) BETWEEN 1 AND 1000),
  affected integer NOT NULL CHECK (affected >= 0),
  details jsonb NOT NULL
);

CREATE FUNCTION podium.refuse_to_change_the_log() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'the audit log is only added to';
END
$$;

CREATE TRIGGER audit_log_is_only_added_to BEFORE UPDATE OR DELETE OR TRUNCATE ON podium.audit_log
  FOR EACH STATEMENT EXECUTE FUNCTION podium.refuse_to_change_the_log();

-- A withdrawn result is kept, names the entry of the log that says why, and counts nowhere. No foreign key: a
-- distributed Postgres cannot add one to a partitioned table.
ALTER TABLE podium.results ADD COLUMN withdrawal_id bigint;
CREATE INDEX results_withdrawn ON podium.results (recorded_at, id) WHERE withdrawal_id IS NOT NULL;

-- migrate:down
SET LOCAL lock_timeout = '4s';

DROP INDEX podium.results_withdrawn;
ALTER TABLE podium.results DROP COLUMN withdrawal_id;
DROP TABLE podium.audit_log;
DROP FUNCTION podium.refuse_to_change_the_log();
DROP TYPE podium.audit_action;
