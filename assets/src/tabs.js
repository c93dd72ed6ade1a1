// Which tabs the page opens with: the examples, and what the address asks for.

/** One tab per example: `###` alone on a line parts them, and is not shown. */
export function splitExamples(text) {
  return text
    .split(/^###\n/m)
    .map((part) => part.trim())
    .filter(Boolean)
    .map((query) => ({ query: `${query}\n` }));
}

/** `#query=` (with `&variables=`) opens a document in its own tab; `?query=` is for the server to answer. */
export function requestedTab(hash) {
  const asked = new URLSearchParams(hash.startsWith('#query=') ? hash.slice(1) : '');
  return { query: asked.get('query') ?? undefined, variables: asked.get('variables') ?? undefined };
}

/** On a first visit; later ones find their tabs in the browser's storage. */
export function defaultTabs(requested, examples) {
  const tabs = requested.query ? [requested, ...examples] : examples;
  return tabs.length > 0 ? tabs : undefined;
}
