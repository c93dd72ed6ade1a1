// Which gateway the clients are tried on, how a request to it is signed, and how one is started.

import { spawn } from 'node:child_process';
import { createHash, createHmac, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { createInterface } from 'node:readline';

export const ORIGIN = process.env.PODIUM_URL ?? 'http://127.0.0.1:8080';
export const ENDPOINT = `${ORIGIN}/graphql`;
export const SECRET = process.env.SECRET ?? 's3cret';
export const PODIUM = process.env.PODIUM ?? 'podium';

/** A gateway of its own with the demo set, on a database of its own. */
export async function startGateway(...given) {
  const directory = mkdtempSync(`${tmpdir()}/podium-clients-`);
  const env = { ...process.env, SECRET, PODIUM_DATA_DIR: `${directory}/data`, LOG_LEVEL: 'WARN', POSTGRES: '' };
  const podium = spawn(PODIUM, ['serve', '--demo', '--port', '0', ...given], {
    cwd: directory,
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const stop = async () => {
    if (podium.kill('SIGTERM')) await once(podium, 'exit');
    rmSync(directory, { recursive: true });
  };
  for await (const line of createInterface({ input: podium.stdout })) {
    const url = line.match(/^Graphi?QL +(http:\S+)\/graphql$/)?.[1];
    if (url) return { url, stop };
  }
  throw new Error('podium serve did not start');
}

/** An orchestrator of the demo set. */
export const ADDRESS = '0x0000000000000000000000000000000000000001';
export const RESULT = { region: 'FRA', orchestrator: ADDRESS, successRate: 1, segDuration: 2, roundTripTime: 0.8 };

/** `fetch` with the HMAC of exactly the bytes that are sent. */
export function signedFetch(address, init) {
  const headers = new Headers(init.headers);
  headers.set('Authorization', createHmac('sha256', SECRET).update(init.body).digest('hex'));
  return fetch(address, { ...init, headers });
}

export const sha256 = (text) => createHash('sha256').update(text).digest('hex');

/** A document that no gateway has seen yet. */
export function newDocument() {
  return `query New($address: String!) { new_${randomUUID().replaceAll('-', '')}: orchestrator(address: $address) { id address } }`;
}

/** `fetch` that notes of each request how it was sent, and whether with its document. */
export function notingFetch(sent) {
  return (address, init) => {
    const hasQuery = init.body ? 'query' in JSON.parse(init.body) : new URL(address).searchParams.has('query');
    sent.push(`${init.method} ${hasQuery ? 'document' : 'hash'}`);
    return fetch(address, init);
  };
}

/** The whole answer to a document, without any client. */
export async function ask(query, variables = {}) {
  const headers = { 'Content-Type': 'application/json' };
  return (await signedFetch(ENDPOINT, { method: 'POST', headers, body: JSON.stringify({ query, variables }) })).json();
}

/** Why a subscription cannot be tried here, if it cannot. */
export async function without(name) {
  const { data } = await ask('{ __schema { subscriptionType { fields { name } } } }');
  const isThere = data.__schema.subscriptionType?.fields.some((field) => field.name === name);
  return isThere ? false : `this gateway has no ${name}`;
}

/** Records results until `arrived` settles: nothing tells a client that its subscription is on. */
export async function recordUntil(arrived) {
  let waits = true;
  const settled = arrived.finally(() => (waits = false));
  settled.catch(() => {}); // it is awaited below
  while (waits) {
    await ask('mutation ($r: [StatInput!]!) { recordStats(results: $r) { errors { message } } }', { r: [RESULT] });
    await Promise.race([settled, new Promise((resolve) => setTimeout(resolve, 100))]);
  }
  return settled;
}
