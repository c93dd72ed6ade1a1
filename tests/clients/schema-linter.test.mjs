// graphql-schema-linter: every rule that it has by default holds for the printed schema.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';

test('the linter has nothing to say', () => {
  const { status, stdout } = spawnSync('npx', ['graphql-schema-linter', '../../schema/schema.graphql'], {
    cwd: import.meta.dirname,
    encoding: 'utf8',
  });
  assert.equal(status, 0, stdout);
});
