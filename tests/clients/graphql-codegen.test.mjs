// graphql-codegen: TypeScript types of the printed schema and the documented operations, checked by tsc.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';

const here = import.meta.dirname;

function run(command, ...given) {
  const { status, stdout, stderr } = spawnSync('npx', [command, ...given], { cwd: here, encoding: 'utf8' });
  assert.equal(status, 0, stdout + stderr);
}

test('types are generated, and fit programs that use them', () => {
  const guide = readFileSync(`${here}/../../docs/graphql.md`, 'utf8');
  const operations = [...guide.matchAll(/^```graphql\n(.*?)^```$/gms)].map((block) => block[1]);
  assert(operations.length > 8);
  mkdirSync(`${here}/generated`, { recursive: true });
  writeFileSync(`${here}/generated/operations.graphql`, operations.join('\n'));
  run('graphql-codegen', '--config', 'codegen.config.mjs');
  run('tsc', '--noEmit', '--strict', '--target', 'es2022', '--module', 'nodenext', '--allowImportingTsExtensions', 'uses.ts');
});
