-- Keys of posts that must not be stored twice.

-- name: claim_key(owner, key, fingerprint, orchestrators)
-- Takes a key and draws the ids of the results, in the transaction that stores them. Waits for another transaction that
-- is taking the same key; answers nothing when it is taken already.
INSERT INTO podium.idempotency_keys (owner, key, fingerprint, orchestrators, ids)
SELECT $1, $2, $3, $4::text[], ARRAY(SELECT nextval('podium.results_id_seq') FROM unnest($4::text[]))
ON CONFLICT (owner, key) DO NOTHING
RETURNING fingerprint, orchestrators, ids, created_at

-- name: find_key(owner, key)
SELECT fingerprint, orchestrators, ids, created_at FROM podium.idempotency_keys WHERE owner = $1 AND key = $2

-- name: forget_keys(age_s, limit)
DELETE FROM podium.idempotency_keys AS k
USING (
  SELECT owner, key FROM podium.idempotency_keys
  WHERE created_at < now() - make_interval(secs => $1::double precision)
  ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED
) AS old
WHERE k.owner = old.owner AND k.key = old.key
RETURNING 1
