// graphql-sse: subscriptions as server-sent events, one request for each.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createClient } from 'graphql-sse';
import { ADDRESS, ENDPOINT, recordUntil, without } from './gateway.mjs';

const skip = await without('statRecorded');
const newClient = () => createClient({ url: ENDPOINT, singleConnection: false, retryAttempts: 0 });

test('a recorded result is told, and the subscription ends when it is wanted no more', { skip }, async () => {
  const client = newClient();
  const events = client.iterate({
    query: 'subscription ($f: StatFilter) { statRecorded(filter: $f) { id orchestrator { address } } }',
    variables: { f: { orchestrator: { in: [ADDRESS] } } },
  });
  const { value } = await recordUntil(events.next());
  assert.equal(value.data.statRecorded.orchestrator.address, ADDRESS);
  await events.return();
  client.dispose();
});

test('a document that does not fit the schema is refused with a code', { skip }, async () => {
  const client = newClient();
  const answer = await client.iterate({ query: 'subscription { nothing }' }).next().catch((error) => error);
  assert(answer.response?.status === 400 || answer.value?.errors[0].extensions.code === 'GRAPHQL_INVALID', answer);
  client.dispose();
});
