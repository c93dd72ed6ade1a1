// graphql-http's audits of GraphQL over HTTP: what a server must, should and may do.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { serverAudits } from 'graphql-http';
import { ENDPOINT } from './gateway.mjs';

for (const audit of serverAudits({ url: ENDPOINT })) {
  test(`${audit.id} ${audit.name}`, async () => {
    const result = await audit.fn();
    assert.equal(result.status, 'ok', result.reason);
  });
}
