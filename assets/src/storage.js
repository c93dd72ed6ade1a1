// Tabs, history and settings in the browser's storage, without the secrets that GraphiQL's history would keep there.
const PREFIX = 'graphiql:';
const HISTORY = new Set([`${PREFIX}queries`, `${PREFIX}favorites`]);

function ownKeys() {
  return Object.keys(localStorage).filter((key) => key.startsWith(PREFIX));
}

function mayKeepHeaders() {
  return localStorage.getItem(`${PREFIX}shouldPersistHeaders`) === 'true'; // Settings: persist headers
}

function withoutHeaders(history) {
  return JSON.stringify(JSON.parse(history), (key, value) => (key === 'headers' ? undefined : value));
}

export const storage = {
  getItem: (key) => localStorage.getItem(key),
  setItem(key, value) {
    localStorage.setItem(key, HISTORY.has(key) && !mayKeepHeaders() ? withoutHeaders(value) : value);
  },
  removeItem: (key) => localStorage.removeItem(key),
  clear: () => ownKeys().forEach((key) => localStorage.removeItem(key)),
  get length() {
    return ownKeys().length;
  },
};
