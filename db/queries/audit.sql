-- What administrators did: the log, and what they do to regions. Each deed and its entry are one statement; withdrawals
-- are in leaderboard.sql, with the filter that they share with questions.

-- piece: columns
id, recorded_at, actor, action, reason, affected, details

-- piece: matching
($1::podium.audit_action IS NULL OR action = $1)
  AND ($2::text IS NULL OR actor = $2)
  AND ($3::timestamptz IS NULL OR recorded_at >= $3)
  AND ($4::timestamptz IS NULL OR recorded_at <= $4)

-- piece: page.newest
AND ($5::bigint IS NULL OR id < $5) ORDER BY id DESC

-- piece: page.oldest
AND ($5::bigint IS NULL OR id > $5) ORDER BY id

-- name: entries(action, actor, since, until, cursor, limit)
SELECT {columns} FROM podium.audit_log WHERE {matching} {page:newest|oldest} LIMIT $6

-- name: count_entries(action, actor, since, until)
SELECT count(*) FROM podium.audit_log WHERE {matching}

-- name: entries_by_id(ids)
SELECT {columns} FROM podium.audit_log WHERE id = ANY ($1::bigint[])

-- name: register_region(code, job_type, name, actor)
-- No row when it is registered already.
WITH added AS (
  INSERT INTO podium.regions (code, job_type, name) VALUES ($1, $2, $3)
  ON CONFLICT (code, job_type) DO NOTHING
  RETURNING id, code, job_type, name, created_at
), logged AS (
  INSERT INTO podium.audit_log (actor, action, affected, details)
  SELECT $4, 'register_region', 1, jsonb_build_object('code', code, 'job_type', job_type, 'name', name) FROM added
)
SELECT id, code, job_type, name, created_at FROM added

-- name: rename_region(code, job_type, name, actor)
-- No row when there is no such region; no entry when it has that name already.
WITH before AS (
  SELECT id, name FROM podium.regions WHERE code = $1 AND job_type = $2 FOR UPDATE
), renamed AS (
  UPDATE podium.regions AS r SET name = $3 FROM before WHERE r.id = before.id
  RETURNING r.id, r.code, r.job_type, r.name, r.created_at, before.name AS previous_name
), logged AS (
  INSERT INTO podium.audit_log (actor, action, affected, details)
  SELECT $4, 'rename_region', 1,
    jsonb_build_object('code', code, 'job_type', job_type, 'name', name, 'previous_name', previous_name)
  FROM renamed WHERE name <> previous_name
)
SELECT id, code, job_type, name, created_at FROM renamed
