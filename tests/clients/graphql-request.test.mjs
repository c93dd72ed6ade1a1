// graphql-request: variables, headers and errors of the smallest client.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ClientError, GraphQLClient, gql, request } from 'graphql-request';
import { ADDRESS, ENDPOINT, RESULT, signedFetch } from './gateway.mjs';

test('a query with variables is answered', async () => {
  const query = gql`query One($address: String!) { orchestrator(address: $address) { address firstSeenAt } }`;
  const { orchestrator } = await request(ENDPOINT, query, { address: ADDRESS });
  assert.equal(orchestrator.address, ADDRESS);
  assert(Date.parse(orchestrator.firstSeenAt) <= Date.now());
});

test('a query by GET is answered', async () => {
  const client = new GraphQLClient(ENDPOINT, { method: 'GET', jsonSerializer: JSON });
  assert.equal((await client.request('{ service { defaultWindow } }')).service.defaultWindow, '1d');
});

test('headers of an answer can be read', async () => {
  const { status, headers } = await new GraphQLClient(ENDPOINT).rawRequest('{ service { version } }');
  assert.equal(status, 200);
  assert(headers.get('X-Request-Id'));
});

test('a signed mutation stores', async () => {
  const mutation = gql`
    mutation Record($results: [StatInput!]!) {
      recordStats(results: $results) {
        stats {
          id
        }
      }
    }
  `;
  const client = new GraphQLClient(ENDPOINT, { fetch: signedFetch });
  assert.equal((await client.request(mutation, { results: [RESULT, RESULT] })).recordStats.stats.length, 2);
});

test('errors are thrown with their codes', async () => {
  await assert.rejects(request(ENDPOINT, '{ stats(first: 2000) { totalCount } }'), (error) => {
    assert(error instanceof ClientError);
    assert.equal(error.response.errors[0].extensions.code, 'INVALID_ARGUMENT');
    return true;
  });
});
