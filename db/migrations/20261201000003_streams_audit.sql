-- migrate:up
SET LOCAL lock_timeout = '4s';

ALTER TYPE podium.audit_action ADD VALUE IF NOT EXISTS 'set_stream_limit';
ALTER TYPE podium.audit_action ADD VALUE IF NOT EXISTS 'release_streams';

-- migrate:down
-- A value cannot be taken from a type, and does no harm.
SET LOCAL lock_timeout = '4s';
