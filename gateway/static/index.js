// The landing page's query: Run, or Ctrl-Enter, asks this gateway and shows what it says.
const [form, query, answer, status, link] = ['form', '#query', '#answer', '#status', '#open'].map((selector) =>
  document.querySelector(selector),
);
const button = form.querySelector('button');
const TOKENS = /("(?:[^"\\]|\\.)*")(\s*:)?|\b(?:true|false|null)\b|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

function coloured(className, text) {
  return Object.assign(document.createElement('span'), { className, textContent: text });
}

function paint(json) {
  const parts = [];
  let end = 0;
  for (const match of json.matchAll(TOKENS)) {
    const [token, string = token, colon = ''] = match;
    const kind = colon ? 'key' : match[1] ? 'string' : 'value';
    parts.push(json.slice(end, match.index), coloured(kind, string), colon);
    end = match.index + token.length;
  }
  answer.replaceChildren(...parts, json.slice(end));
}

async function ask() {
  const headers = { 'Content-Type': 'application/json', Accept: 'application/graphql-response+json, application/json' };
  const response = await fetch(form.action, { method: 'POST', headers, body: JSON.stringify({ query: query.value }) });
  const text = await response.text();
  try {
    return { code: response.status, body: JSON.parse(text) };
  } catch {
    throw new Error(`HTTP ${response.status}: ${text.slice(0, 300)}`);
  }
}

function show({ code, body }, elapsed_ms) {
  paint(JSON.stringify(body, null, 2));
  status.textContent = `${body.errors ? 'with errors' : 'answered'} in ${elapsed_ms} ms (HTTP ${code})`;
  status.classList.toggle('bad', Boolean(body.errors));
}

function complain(error) {
  answer.textContent = error.message;
  status.textContent = 'no answer';
  status.classList.add('bad');
}

async function run() {
  button.ariaBusy = 'true';
  const started = performance.now();
  await ask()
    .then((reply) => show(reply, Math.round(performance.now() - started)))
    .catch(complain);
  button.ariaBusy = 'false';
}

form.addEventListener('submit', (event) => {
  event.preventDefault();
  run();
});
query.addEventListener('keydown', (event) => {
  if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) run();
});
link.addEventListener('click', () => {
  link.hash = `query=${encodeURIComponent(query.value)}`;
});
