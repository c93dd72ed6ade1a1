-- migrate:up
SET LOCAL lock_timeout = '4s';
SET LOCAL statement_timeout = '60s';

-- Posts that must not be stored twice: what was stored, by the key that its poster gave it. A row is written in the
-- transaction that stores the results, so that there is never one without the other; all of them have its time.
CREATE TABLE podium.idempotency_keys (
  owner text NOT NULL CHECK (char_length(owner) BETWEEN 1 AND 256),
  key text NOT NULL CHECK (char_length(key) BETWEEN 1 AND 512),
  fingerprint bytea NOT NULL CHECK (octet_length(fingerprint) = 32),
  orchestrators text[] NOT NULL,
  ids bigint[] NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (owner, key)
);

CREATE INDEX idempotency_keys_created_at ON podium.idempotency_keys (created_at);

-- migrate:down
SET LOCAL lock_timeout = '4s';

DROP TABLE podium.idempotency_keys;
