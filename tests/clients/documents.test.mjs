// Strict mode: manifests that podium and Relay write, obeyed by a gateway, used by Apollo Client, urql and Relay.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { after, before, test } from 'node:test';
import { ApolloClient, CombinedGraphQLErrors, HttpLink, InMemoryCache, from, gql } from '@apollo/client';
import { PersistedQueryLink } from '@apollo/client/link/persisted-queries';
import queryLists from '@apollo/persisted-query-lists';
import { Client, fetchExchange } from '@urql/core';
import { persistedExchange } from '@urql/exchange-persisted';
import relay from 'relay-runtime';
import { ADDRESS, PODIUM, notingFetch, sha256, startGateway } from './gateway.mjs';

const here = import.meta.dirname;
const FILES = {
  'who.graphql': 'query Who($address: String!) { orchestrator(address: $address) { ...Row } }\n',
  'row.gql': 'fragment Row on Orchestrator { id address aggregates { ...Score } }\n',
  'score.gql': 'fragment Score on Aggregate { jobType score }\n',
};
const WHO = gql(Object.values(FILES).join(''));
const variables = { address: ADDRESS };
const folder = mkdtempSync(`${tmpdir()}/podium-documents-`);
const loadManifest = () => JSON.parse(readFileSync(`${folder}/manifest.json`, 'utf8'));
let gateway;

function run(command, ...given) {
  const { status, stdout, stderr } = spawnSync(command, given, { cwd: here, encoding: 'utf8' });
  assert.equal(status, 0, stdout + stderr);
}

before(async () => {
  for (const [name, text] of Object.entries(FILES)) writeFileSync(`${folder}/${name}`, text);
  run(PODIUM, 'documents', folder, '--add-typename', '--output', `${folder}/manifest.json`);
  gateway = await startGateway('--documents', `${folder}/manifest.json`);
});
after(async () => {
  await gateway?.stop();
  rmSync(folder, { recursive: true });
});

function apollo(...links) {
  const mismatches = [];
  const onVerificationFailed = ({ reason }) => mismatches.push(reason);
  const verification = queryLists.createPersistedQueryManifestVerificationLink({ loadManifest, onVerificationFailed });
  const client = new ApolloClient({ cache: new InMemoryCache(), link: from([verification, ...links]) });
  return { client, mismatches };
}

test('Apollo Client names documents of the manifest by their ids', async () => {
  const sent = [];
  const ids = queryLists.generatePersistedQueryIdsFromManifest({ loadManifest });
  const persisted = new PersistedQueryLink({ ...ids, useGETForHashedQueries: true });
  const http = new HttpLink({ uri: `${gateway.url}/graphql`, fetch: notingFetch(sent) });
  const { client, mismatches } = apollo(persisted, http);
  const { data } = await client.query({ query: WHO, variables });
  assert.equal(client.cache.extract()[`Orchestrator:${data.orchestrator.id}`].address, ADDRESS);
  assert.deepEqual(sent, ['GET hash']);
  assert.deepEqual(mismatches, [], 'its document is the one of the manifest, to the letter');
});

test('Apollo Client names documents by the hashes that it computes', async () => {
  const hashes = queryLists.generatePersistedQueryIdsAtRuntime({ sha256 });
  const http = new HttpLink({ uri: `${gateway.url}/graphql` });
  const { client } = apollo(new PersistedQueryLink(hashes), http);
  assert.equal((await client.query({ query: WHO, variables })).data.orchestrator.address, ADDRESS);
});

test('what is not in the manifest is refused, and is not tried again', async () => {
  const sent = [];
  const http = new HttpLink({ uri: `${gateway.url}/graphql`, fetch: notingFetch(sent) });
  const { client } = apollo(new PersistedQueryLink({ sha256 }), http);
  await assert.rejects(client.query({ query: gql`query Other { service { version } }` }), (error) => {
    assert(CombinedGraphQLErrors.is(error));
    assert.equal(error.errors[0].extensions.code, 'DOCUMENT_NOT_ALLOWED');
    return true;
  });
  assert.deepEqual(sent, ['POST hash']);
});

test('urql names documents of the manifest by their ids', async () => {
  const ids = Object.fromEntries(loadManifest().operations.map(({ name, id }) => [name, id]));
  const generateHash = async (_, document) => ids[document.definitions[0].name.value];
  const exchanges = [persistedExchange({ generateHash, enforcePersistedQueries: true }), fetchExchange];
  const client = new Client({ url: `${gateway.url}/graphql`, preferGetMethod: false, exchanges });
  const { data, error } = await client.query(WHO, variables).toPromise();
  assert.equal(error, undefined);
  assert.equal(data.orchestrator.address, ADDRESS);
});

test('documents that relay-compiler persists are obeyed', async () => {
  const documents = `${here}/generated/relay-persisted/documents.json`;
  mkdirSync(`${here}/generated/relay-persisted`, { recursive: true });
  writeFileSync(documents, '{}');
  run('npx', 'relay-compiler', 'relay.persisted.config.json');
  const obedient = await startGateway('--documents', documents);
  try {
    const network = relay.Network.create(async ({ id }, variables) => {
      const headers = { 'Content-Type': 'application/json' };
      const body = JSON.stringify({ documentId: id, variables });
      return (await fetch(`${obedient.url}/graphql`, { method: 'POST', headers, body })).json();
    });
    const environment = new relay.Environment({ network, store: new relay.Store(new relay.RecordSource()) });
    const query = (await import('./generated/relay-persisted/resultsPageQuery.graphql.js')).default;
    const { stats } = await relay.fetchQuery(environment, query, { address: ADDRESS, count: 3, after: null }).toPromise();
    assert.equal(stats.edges.length, 3);
  } finally {
    await obedient.stop();
  }
});
