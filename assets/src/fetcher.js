// How the page asks: queries and mutations by POST, subscriptions by graphql-transport-ws, all at one address.
import { createGraphiQLFetcher } from '@graphiql/toolkit';
import { Kind, parse } from 'graphql';

function operationNames(document) {
  return document.definitions.filter(({ kind }) => kind === Kind.OPERATION_DEFINITION).map(({ name }) => name?.value);
}

/** The editor learns its document 0.1 s late: who runs a tab right after opening it would send the name of the last. */
function upToDate(params, options) {
  try {
    const documentAST = parse(params.query);
    const names = operationNames(documentAST);
    const operationName = names.length === 1 ? names[0] : params.operationName;
    return [{ ...params, operationName }, { ...options, documentAST }];
  } catch {
    return [params, options]; // the server says what is wrong with it
  }
}

export function fetcherFor(url) {
  const fetcher = createGraphiQLFetcher({ url, subscriptionUrl: url.replace(/^http/, 'ws') });
  return (params, options) => fetcher(...upToDate(params, options));
}
