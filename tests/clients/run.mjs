// Tries every client on a gateway with the demo set: one that it starts, or the one of PODIUM_URL. `node run.mjs urql` tries one.

import { spawnSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { SECRET, startGateway } from './gateway.mjs';

const here = import.meta.dirname;
const PACKAGES = {
  apollo: '@apollo/client',
  documents: '@apollo/persisted-query-lists',
  relay: 'relay-runtime',
  urql: '@urql/core',
  'graphql-codegen': '@graphql-codegen/cli',
  'schema-linter': 'graphql-schema-linter',
};

/** What became of one client's tests; their output is shown only when one failed. */
function tryClient(name, url) {
  const env = { ...process.env, SECRET, PODIUM_URL: url };
  const command = ['--test', '--test-reporter=tap', `${here}/${name}.test.mjs`];
  const { stdout, stderr, status } = spawnSync(process.execPath, command, { env, encoding: 'utf8', timeout: 120_000 });
  const count = (what) => Number(stdout.match(new RegExp(`^# ${what} (\\d+)$`, 'm'))?.[1] ?? 0);
  if (status !== 0) console.log(stdout + stderr);
  return { passed: count('pass'), failed: status === 0 ? 0 : Math.max(1, count('fail')), skipped: count('skipped') };
}

function tryAll(url) {
  const versions = JSON.parse(readFileSync(`${here}/package.json`, 'utf8')).dependencies;
  const chosen = process.argv.slice(2);
  const names = readdirSync(here).flatMap((file) => file.match(/^(.*)\.test\.mjs$/)?.[1] ?? []);
  const sum = { passed: 0, failed: 0, skipped: 0 };
  for (const name of names.filter((it) => chosen.length === 0 || chosen.includes(it))) {
    const counts = tryClient(name, url);
    for (const [what, count] of Object.entries(counts)) sum[what] += count;
    const client = PACKAGES[name] ?? name;
    const told = Object.entries(counts).filter(([what, count]) => count > 0 || what === 'passed');
    console.log(`${`${client} ${versions[client]}`.padEnd(36)}${told.map(([what, count]) => `${count} ${what}`).join(', ')}`);
  }
  console.log(`${sum.passed} passed, ${sum.failed} failed, ${sum.skipped} skipped`);
  return sum.failed === 0 && sum.passed > 0;
}

const started = process.env.PODIUM_URL ? undefined : await startGateway();
try {
  process.exitCode = tryAll(started?.url ?? process.env.PODIUM_URL) ? 0 : 1;
} finally {
  await started?.stop();
}
