// urql with its normalised cache: pages joined by relayPagination, mutations, errors.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client, fetchExchange, gql } from '@urql/core';
import { cacheExchange } from '@urql/exchange-graphcache';
import { persistedExchange } from '@urql/exchange-persisted';
import { relayPagination } from '@urql/exchange-graphcache/extras';
import { ADDRESS, ENDPOINT, RESULT, newDocument, notingFetch, signedFetch } from './gateway.mjs';

const PAGE = gql`
  query Page($after: String) {
    stats(filter: { jobType: AI }, first: 20, after: $after) {
      edges {
        node {
          id
          region {
            id
            code
          }
        }
      }
      pageInfo {
        hasNextPage
        endCursor
      }
    }
  }
`;

function newClient() {
  const cache = cacheExchange({ resolvers: { Query: { stats: relayPagination() } } });
  return new Client({ url: ENDPOINT, preferGetMethod: false, fetch: signedFetch, exchanges: [cache, fetchExchange] });
}

test('pages are joined in the cache, with no result twice', async () => {
  const client = newClient();
  const first = await client.query(PAGE, {}).toPromise();
  await client.query(PAGE, { after: first.data.stats.pageInfo.endCursor }).toPromise();
  const both = await client.query(PAGE, {}, { requestPolicy: 'cache-only' }).toPromise();
  assert.equal(new Set(both.data.stats.edges.map((edge) => edge.node.id)).size, 40);
});

test('a query without variables goes by GET too', async () => {
  const client = new Client({ url: ENDPOINT, preferGetMethod: 'force', exchanges: [fetchExchange] });
  const { data } = await client.query(gql`{ orchestrator(address: "${ADDRESS}") { address } }`, {}).toPromise();
  assert.equal(data.orchestrator.address, ADDRESS);
});

test('a mutation stores, and its typed errors are data', async () => {
  const client = newClient();
  const mutation = gql`
    mutation Record($results: [StatInput!]!) {
      recordStats(results: $results) {
        stats {
          id
        }
        errors {
          code
        }
      }
    }
  `;
  const stored = await client.mutation(mutation, { results: [RESULT] }).toPromise();
  assert.equal(stored.data.recordStats.stats.length, 1);
  const refused = await client.mutation(mutation, { results: [{ ...RESULT, region: 'NOWHERE' }] }).toPromise();
  assert.equal(refused.data.recordStats.errors[0].code, 'INVALID_REGION');
});

test('errors arrive with their codes', async () => {
  const { error } = await newClient().query(gql`{ stats(first: 2000) { totalCount } }`, {}).toPromise();
  assert.equal(error.graphQLErrors[0].extensions.code, 'INVALID_ARGUMENT');
});

test('a document is sent once, and then named by its hash', async () => {
  const sent = [];
  const query = gql(newDocument());
  for (const _ of [1, 2]) {
    const exchanges = [persistedExchange({ preferGetForPersistedQueries: true }), fetchExchange];
    const client = new Client({ url: ENDPOINT, preferGetMethod: false, fetch: notingFetch(sent), exchanges });
    const { data } = await client.query(query, { address: ADDRESS }).toPromise();
    assert.equal(Object.values(data)[0].address, ADDRESS);
  }
  assert.deepEqual(sent, ['GET hash', 'GET document', 'GET hash']);
});
