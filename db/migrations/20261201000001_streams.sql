-- migrate:up
SET LOCAL lock_timeout = '4s';
SET LOCAL statement_timeout = '60s';

-- Who may watch. What they watch is in the row itself: {"<stream>": [since, until]} in ms, until null where it never ends,
-- so that whoever holds the lock of the row holds all that a decision needs. expires_at is not later than the first until;
-- it stays where a lease is renewed, so that this changes no index. A stream_limit of NULL is that of the gateway. Changes
-- are called out until followed_until. Ids that are never used expire.
CREATE TABLE podium.viewers (
  id text COLLATE "C" PRIMARY KEY CHECK (char_length(id) BETWEEN 1 AND 128),
  active jsonb NOT NULL DEFAULT '{}',
  expires_at timestamptz,
  stream_limit integer CHECK (stream_limit >= 0),
  followed_until timestamptz,
  is_used boolean NOT NULL DEFAULT false,
  created_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.05);

CREATE INDEX viewers_expires_at ON podium.viewers (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX viewers_unused ON podium.viewers (created_at) WHERE NOT is_used;

-- What can be watched.
CREATE TABLE podium.streams (
  id text COLLATE "C" PRIMARY KEY CHECK (char_length(id) BETWEEN 1 AND 128),
  is_used boolean NOT NULL DEFAULT false,
  created_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX streams_unused ON podium.streams (created_at) WHERE NOT is_used;

-- What becomes of what a viewer watches when it asks for these things, one after the other: to activate streams, or to
-- deactivate them; of a batch, those at the places where the viewer is asked for. It reads and writes nothing: its caller
-- holds the lock of the viewer's row. Leases that have ended by then are given back first. A stream that is active is
-- known, whatever has become of its id.
CREATE FUNCTION podium.decide_streams(
  INOUT active jsonb, INOUT expires_at timestamptz, seats integer, viewer text, viewers text[], streams text[],
  activates boolean[], known text[], at timestamptz, lease_s double precision,
  OUT places integer[], OUT verdicts text[], OUT expired integer
) LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
  since bigint := floor(extract(epoch FROM at) * 1000)::bigint;
  until jsonb := coalesce(to_jsonb(since + (lease_s * 1000)::bigint), 'null');
  ends_at timestamptz := at + make_interval(secs => lease_s);
  place integer;
  stream text;
BEGIN
  places := array_positions(viewers, viewer);
  verdicts := '{}';
  expired := 0;
  IF expires_at <= at THEN
    SELECT coalesce(jsonb_object_agg(s.key, s.value) FILTER (WHERE s.until > since), '{}'),
      to_timestamp(min(nullif(s.until, 'infinity')) FILTER (WHERE s.until > since) / 1000), count(*) FILTER (WHERE s.until <= since)
    INTO active, expires_at, expired
    FROM (SELECT key, value, coalesce((value ->> 1)::double precision, 'infinity') AS until FROM jsonb_each(active)) AS s;
  END IF;
  FOREACH place IN ARRAY places LOOP
    stream := streams[place];
    IF active ? stream THEN
      IF activates[place] THEN
        active := jsonb_set(active, ARRAY[stream, '1'], until);
        expires_at := least(expires_at, ends_at);
        verdicts := verdicts || 'renewed'::text;
      ELSE
        active := active - stream;
        verdicts := verdicts || 'deactivated'::text;
      END IF;
    ELSIF stream <> ALL (known) THEN
      verdicts := verdicts || 'unknown_stream'::text;
    ELSIF NOT activates[place] THEN
      verdicts := verdicts || 'was_not_active'::text;
    ELSIF jsonb_array_length(jsonb_path_query_array(active, '$.keyvalue()')) < seats THEN
      active := active || jsonb_build_object(stream, jsonb_build_array(since, until));
      expires_at := least(expires_at, ends_at);
      verdicts := verdicts || 'activated'::text;
    ELSE
      verdicts := verdicts || 'limit_reached'::text;
    END IF;
  END LOOP;
END
$$;

-- migrate:down
SET LOCAL lock_timeout = '4s';

DROP FUNCTION podium.decide_streams;
DROP TABLE podium.streams;
DROP TABLE podium.viewers;
