-- migrate:up
SET LOCAL lock_timeout = '4s';

-- What viewers watched at the original when they were imported last: the next import brings what has changed there since,
-- and leaves alone what has changed here.
CREATE TABLE podium.imported_viewers (
  id text COLLATE "C" PRIMARY KEY,
  active text[] NOT NULL
);

-- migrate:down
SET LOCAL lock_timeout = '4s';

DROP TABLE podium.imported_viewers;
