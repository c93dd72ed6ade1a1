// The GraphiQL page: the stock interface on this gateway's own endpoint, opened with example queries.
import { explorerPlugin } from '@graphiql/plugin-explorer';
import { GraphiQL } from 'graphiql';
import { createRoot } from 'react-dom/client';

import 'graphiql/style.css';
import '@graphiql/plugin-explorer/style.css';
import './main.css';
import { fetcherFor } from './fetcher.js';
import { storage } from './storage.js';
import { defaultTabs, requestedTab, splitExamples } from './tabs.js';

const EMPTY_TAB = '# Ctrl-Space completes, Ctrl-Enter runs.\n\n';
const QUERY_BUILDER = { ...explorerPlugin({ title: 'Query builder', showAttribution: false }), title: 'Query builder' };
const FETCHER = fetcherFor(location.origin + location.pathname);
const PLUGINS = [QUERY_BUILDER];

function Logo() {
  return (
    <a className="podium-logo" href="./" title="Back to the first page">
      <svg viewBox="0 0 16 16" aria-hidden="true">
        <path d="M0 9h5v7H0zM5.5 3h5v13h-5zM11 6h5v10h-5z" />
      </svg>
      podium
    </a>
  );
}

async function exampleTabs(url) {
  const response = await fetch(url).catch(() => null);
  return response?.ok ? splitExamples(await response.text()) : [];
}

async function start(root) {
  const examples = await exampleTabs(root.dataset.examples);
  const requested = requestedTab(location.hash);
  if (requested.query) history.replaceState(null, '', location.pathname); // a reload must not add the tab again
  createRoot(root).render(
    <GraphiQL
      fetcher={FETCHER}
      plugins={PLUGINS}
      storage={storage}
      defaultQuery={EMPTY_TAB}
      defaultTabs={defaultTabs(requested, examples)}
      query={requested.query}
      variables={requested.variables}
      defaultEditorToolsVisibility={requested.variables ? 'variables' : undefined}
    >
      <GraphiQL.Logo>
        <Logo />
      </GraphiQL.Logo>
    </GraphiQL>,
  );
}

start(document.getElementById('graphiql'));
