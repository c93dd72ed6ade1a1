// Tries every client on a gateway with the demo set: one that it starts, or the one of PODIUM_URL. `node run.mjs urql` tries one.

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { createInterface } from 'node:readline';

const here = import.meta.dirname;
const SECRET = process.env.SECRET ?? 's3cret';
const PACKAGES = {
  apollo: '@apollo/client',
  relay: 'relay-runtime',
  urql: '@urql/core',
  'graphql-codegen': '@graphql-codegen/cli',
  'schema-linter': 'graphql-schema-linter',
};

async function startGateway(directory) {
  const env = { ...process.env, SECRET, PODIUM_DATA_DIR: `${directory}/data`, LOG_LEVEL: 'WARN', POSTGRES: '' };
  const podium = spawn(process.env.PODIUM ?? 'podium', ['serve', '--demo', '--port', '0'], {
    cwd: directory,
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  for await (const line of createInterface({ input: podium.stdout })) {
    const url = line.match(/^GraphiQL +(http:\S+)\/graphql$/)?.[1];
    if (url) return { podium, url };
  }
  throw new Error('podium serve did not start');
}

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
    console.log(`${`${client} ${versions[client]}`.padEnd(32)}${told.map(([what, count]) => `${count} ${what}`).join(', ')}`);
  }
  console.log(`${sum.passed} passed, ${sum.failed} failed, ${sum.skipped} skipped`);
  return sum.failed === 0 && sum.passed > 0;
}

const directory = mkdtempSync(`${tmpdir()}/podium-clients-`);
const started = process.env.PODIUM_URL ? undefined : await startGateway(directory);
try {
  process.exitCode = tryAll(started?.url ?? process.env.PODIUM_URL) ? 0 : 1;
} finally {
  if (started?.podium.kill('SIGTERM')) await once(started.podium, 'exit');
  rmSync(directory, { recursive: true });
}
