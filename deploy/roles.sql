-- The three roles of podium, for least privilege: an owner for migrations and partitions, a writer and a reader.
--
-- Run it once as a superuser, in podium's database, before the first migration; then give each role a password:
--   psql podium -f deploy/roles.sql && psql podium -c "ALTER ROLE podium_writer PASSWORD '...'"
-- POSTGRES names the writer, POSTGRES_OWNER the owner, POSTGRES_READ the reader. Running it again changes nothing.

DO $$
DECLARE
  wanted text;
BEGIN
  FOREACH wanted IN ARRAY ARRAY['podium_owner', 'podium_writer', 'podium_reader'] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
      EXECUTE format('CREATE ROLE %I LOGIN', wanted);
    END IF;
  END LOOP;
END
$$;

-- Nobody waits for ever: reads end after 5 s, locks after 2 s, a forgotten transaction after 10 s.
ALTER ROLE podium_writer SET statement_timeout = '20s';
ALTER ROLE podium_writer SET lock_timeout = '2s';
ALTER ROLE podium_writer SET idle_in_transaction_session_timeout = '10s';
ALTER ROLE podium_reader SET statement_timeout = '5s';
ALTER ROLE podium_reader SET lock_timeout = '2s';
ALTER ROLE podium_reader SET idle_in_transaction_session_timeout = '10s';
ALTER ROLE podium_reader SET default_transaction_read_only = on;

-- Optional filters fold away only in plans made for their values; a compiled plan is dearer than these queries.
ALTER ROLE podium_reader SET plan_cache_mode = force_custom_plan;
ALTER ROLE podium_writer SET jit = off;
ALTER ROLE podium_reader SET jit = off;

CREATE SCHEMA IF NOT EXISTS podium AUTHORIZATION podium_owner;
GRANT USAGE ON SCHEMA podium TO podium_writer, podium_reader;

ALTER DEFAULT PRIVILEGES FOR ROLE podium_owner IN SCHEMA podium
  GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO podium_writer;
ALTER DEFAULT PRIVILEGES FOR ROLE podium_owner IN SCHEMA podium GRANT USAGE ON SEQUENCES TO podium_writer;
ALTER DEFAULT PRIVILEGES FOR ROLE podium_owner IN SCHEMA podium GRANT EXECUTE ON FUNCTIONS TO podium_writer;
ALTER DEFAULT PRIVILEGES FOR ROLE podium_owner IN SCHEMA podium GRANT SELECT ON TABLES TO podium_reader;
