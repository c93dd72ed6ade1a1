// graphql-ws: subscriptions over a websocket.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';
import { ADDRESS, ENDPOINT, recordUntil, without } from './gateway.mjs';

const skip = await without('statRecorded');
const newClient = () =>
  createClient({ url: ENDPOINT.replace(/^http/, 'ws'), webSocketImpl: WebSocket, retryAttempts: 0 });

test('a recorded result is told, and the subscription ends when it is wanted no more', { skip }, async () => {
  const client = newClient();
  const events = client.iterate({
    query: 'subscription ($f: StatFilter) { statRecorded(filter: $f) { id orchestrator { address } region { code } } }',
    variables: { f: { orchestrator: { in: [ADDRESS] }, region: { in: ['FRA'] } } },
  });
  const { value } = await recordUntil(events.next());
  assert.equal(value.data.statRecorded.orchestrator.address, ADDRESS);
  await events.return();
  await client.dispose();
});

test('a leaderboard is told when what was asked of it has changed', { skip: await without('leaderboardChanged') }, async () => {
  const client = newClient();
  const query = 'subscription { leaderboardChanged(jobType: TRANSCODING, first: 3) { rank samples } }';
  const events = client.iterate({ query });
  const { value } = await recordUntil(events.next());
  assert.equal(value.data.leaderboardChanged[0].rank, 1);
  await events.return();
  await client.dispose();
});

test('queries are answered on the same socket', { skip }, async () => {
  const client = newClient();
  const { value } = await client.iterate({ query: '{ service { version } }' }).next();
  assert.match(value.data.service.version, /^\d+\./);
  await client.dispose();
});

test('a document that does not fit the schema is refused with a code', { skip }, async () => {
  const client = newClient();
  const asked = client.iterate({ query: 'subscription { nothing }' }).next();
  await assert.rejects(asked, ([error]) => error.extensions.code === 'GRAPHQL_INVALID');
  await client.dispose();
});
