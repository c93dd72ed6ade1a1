-- What is asked of any database that something is imported from. Nothing is ever written there.

-- name: begin_read_only()
-- The first statement of a transaction: it sees one state of the database, and cannot write.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY

-- name: lift_limits()
-- For the rest of the transaction: it may take its time, and its cursor is read to the end.
SELECT set_config('statement_timeout', '0', true), set_config('idle_in_transaction_session_timeout', '0', true),
  set_config('cursor_tuple_fraction', '1', true), set_config('jit', 'off', true)

-- piece: server.identifier
(SELECT system_identifier::text FROM pg_catalog.pg_control_system())

-- piece: server.address
coalesce(host(inet_server_addr()) || ':' || inet_server_port(), 'local')

-- name: database()
-- Which database this is: by the identifier of its server, or by its address for those who may not ask.
SELECT {server:identifier|address} AS server, datname::text AS name, oid::bigint AS oid
FROM pg_catalog.pg_database WHERE datname = current_database()

-- name: tables(names)
-- Which of these tables there are, with the types of their columns.
SELECT c.relname::text AS name, c.oid::bigint AS oid,
  jsonb_object_agg(a.attname, format_type(a.atttypid, NULL)) AS column_types
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = to_regnamespace('public') AND c.relkind IN ('r', 'p') AND c.relname = ANY ($1::text[])
GROUP BY c.oid, c.relname
