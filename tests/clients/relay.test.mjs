// Relay: its compiler takes the schema, its runtime pages and refetches; and the walk of its specification, both ways.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { before, test } from 'node:test';
import relay from 'relay-runtime';
import { ADDRESS, ENDPOINT, RESULT, ask, signedFetch } from './gateway.mjs';

const here = import.meta.dirname;
const artifact = async (name) => (await import(`./generated/relay/${name}.graphql.js`)).default;

before(() => {
  mkdirSync(`${here}/generated/relay`, { recursive: true });
  const { status, stdout, stderr } = spawnSync('npx', ['relay-compiler', 'relay.config.json'], { cwd: here, encoding: 'utf8' });
  assert.equal(status, 0, stdout + stderr);
});

function newEnvironment() {
  const network = relay.Network.create(async ({ text }, variables) => {
    const headers = { 'Content-Type': 'application/json' };
    const body = JSON.stringify({ query: text, variables });
    return (await signedFetch(ENDPOINT, { method: 'POST', headers, body })).json();
  });
  return new relay.Environment({ network, store: new relay.Store(new relay.RecordSource()) });
}

test('a connection of the store grows page by page', async () => {
  const environment = newEnvironment();
  const page = await artifact('resultsPageQuery');
  const read = (after) => relay.fetchQuery(environment, page, { address: ADDRESS, count: 10, after }).toPromise();
  const first = (await read(null)).stats;
  await read(first.pageInfo.endCursor);
  const { edges } = (await read(first.pageInfo.endCursor)).stats;
  assert.equal(edges.length, 20);
  assert.equal(new Set(edges.map((edge) => edge.node.id)).size, 20);
});

test('a fragment is fetched again by the id of its object', async () => {
  const { data } = await ask('query ($a: String!) { orchestrator(address: $a) { id } }', { a: ADDRESS });
  const environment = newEnvironment();
  const query = await artifact('resultsOrchestratorQuery');
  await relay.fetchQuery(environment, query, { id: data.orchestrator.id }).toPromise();
  const record = environment.getStore().getSource().get(data.orchestrator.id);
  assert.equal(record.address, ADDRESS);
});

test('a mutation puts what it stored into the store', async () => {
  const environment = newEnvironment();
  const mutation = await artifact('resultsRecordMutation');
  const answer = await new Promise((onCompleted, onError) => {
    relay.commitMutation(environment, { mutation, variables: { results: [RESULT] }, onCompleted, onError });
  });
  assert.deepEqual(answer.recordStats.errors, []);
  assert.equal(environment.getStore().getSource().get(answer.recordStats.stats[0].id).successRate, 1);
});

async function walk(size, [count, cursor, more, place]) {
  const query = `query ($size: Int, $at: String, $f: StatFilter) {
    stats(filter: $f, ${count}: $size, ${cursor}: $at) {
      edges { cursor node { id } }
      pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    }
  }`;
  const pages = [];
  const filter = { jobType: 'AI', region: { in: ['FRA'] } };
  for (let at = null; ; at = pages.at(-1).pageInfo[place]) {
    const { data } = await ask(query, { size, at, f: filter });
    pages.push(data.stats);
    const { edges, pageInfo } = data.stats;
    assert.deepEqual([pageInfo.startCursor, pageInfo.endCursor], [edges[0].cursor, edges.at(-1).cursor]);
    if (!pageInfo[more]) return pages.map((page) => page.edges.map((edge) => edge.node.id));
  }
}

test('the walk forwards and the walk backwards find the same', async () => {
  const forwards = (await walk(7, ['first', 'after', 'hasNextPage', 'endCursor'])).flat();
  const backwards = (await walk(7, ['last', 'before', 'hasPreviousPage', 'startCursor'])).reverse().flat();
  assert(forwards.length > 100);
  assert.equal(new Set(forwards).size, forwards.length);
  assert.deepEqual(backwards, forwards);
});
