// Apollo Client: objects in its cache by id, pages that grow, mutations and what they can answer.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApolloClient, CombinedGraphQLErrors, HttpLink, InMemoryCache, gql } from '@apollo/client';
import { PersistedQueryLink } from '@apollo/client/link/persisted-queries';
import { relayStylePagination } from '@apollo/client/utilities';
import { ADDRESS, ENDPOINT, RESULT, newDocument, notingFetch, sha256, signedFetch } from './gateway.mjs';

const PAGE = gql`
  query Page($filter: StatFilter, $after: String) {
    stats(filter: $filter, first: 20, after: $after) {
      edges {
        cursor
        node {
          id
          recordedAt
          orchestrator {
            id
            address
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
const RECORD = gql`
  mutation Record($results: [StatInput!]!) {
    recordStats(results: $results) {
      stats {
        id
        successRate
      }
      errors {
        index
        field
        code
      }
    }
  }
`;

function newClient() {
  const policies = { Query: { fields: { stats: relayStylePagination(['filter', 'orderBy']) } } };
  const cache = new InMemoryCache({ typePolicies: policies, possibleTypes: { Node: ['Orchestrator', 'Region', 'Stat'] } });
  return new ApolloClient({ cache, link: new HttpLink({ uri: ENDPOINT, fetch: signedFetch }) });
}

test('an object that several answers have is one object of the cache', async () => {
  const client = newClient();
  await client.query({ query: PAGE, variables: { filter: { orchestrator: { in: [ADDRESS] } } } });
  const query = gql`query One($address: String!) { orchestrator(address: $address) { id firstSeenAt } }`;
  const { data } = await client.query({ query, variables: { address: ADDRESS } });
  const cached = client.cache.extract()[`Orchestrator:${data.orchestrator.id}`];
  assert.equal(cached.address, ADDRESS);
  assert.equal(cached.firstSeenAt, data.orchestrator.firstSeenAt);
});

test('a list grows by fetchMore, with no result twice', async () => {
  const client = newClient();
  const variables = { filter: { jobType: 'AI' } };
  const list = client.watchQuery({ query: PAGE, variables });
  const first = await new Promise((resolve) => list.subscribe(({ data }) => data && resolve(data.stats)));
  await list.fetchMore({ variables: { after: first.pageInfo.endCursor } });
  const { edges } = client.readQuery({ query: PAGE, variables }).stats;
  assert.equal(edges.length, 40);
  assert.equal(new Set(edges.map((edge) => edge.node.id)).size, 40);
});

test('node finds an object of the cache again, by its interface', async () => {
  const client = newClient();
  const { data } = await client.query({ query: PAGE });
  const { id, recordedAt } = data.stats.edges[0].node;
  const query = gql`query Again($id: ID!) { node(id: $id) { id ... on Stat { recordedAt } } }`;
  assert.deepEqual((await client.query({ query, variables: { id } })).data.node, { __typename: 'Stat', id, recordedAt });
});

test('a mutation answers what it stored, or why not', async () => {
  const client = newClient();
  const mutate = (result) => client.mutate({ mutation: RECORD, variables: { results: [result] } });
  const { stats, errors } = (await mutate(RESULT)).data.recordStats;
  assert.deepEqual(errors, []);
  assert.equal(client.cache.extract()[`Stat:${stats[0].id}`].successRate, 1);
  const refused = (await mutate({ ...RESULT, region: 'NOWHERE' })).data.recordStats.errors[0];
  assert.deepEqual([refused.index, refused.field, refused.code], [0, 'region', 'INVALID_REGION']);
});

test('errors arrive with their codes', async () => {
  const query = gql`{ stats(first: 2000) { totalCount } }`;
  await assert.rejects(newClient().query({ query }), (error) => {
    assert(CombinedGraphQLErrors.is(error));
    assert.equal(error.errors[0].extensions.code, 'INVALID_ARGUMENT');
    return true;
  });
});

test('a document is sent once, and then named by its hash in a GET', async () => {
  const sent = [];
  const query = gql(newDocument());
  for (const _ of [1, 2]) {
    const link = new PersistedQueryLink({ sha256, useGETForHashedQueries: true });
    const http = new HttpLink({ uri: ENDPOINT, fetch: notingFetch(sent) });
    const client = new ApolloClient({ cache: new InMemoryCache(), link: link.concat(http) });
    const { data } = await client.query({ query, variables: { address: ADDRESS } });
    assert.equal(Object.values(data)[0].__typename, 'Orchestrator');
  }
  assert.deepEqual(sent, ['GET hash', 'POST document', 'GET hash']);
});
