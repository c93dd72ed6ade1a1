// Builds the GraphiQL page into gateway/static/graphiql/; the same sources give the same bytes.
import { readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { build } from 'esbuild';

import { licences } from './licences.mjs';

const HERE = import.meta.dirname;
const OUT = join(HERE, '../gateway/static/graphiql');
const MODULES = join(HERE, 'node_modules');

// Packages of which GraphiQL uses one part, and which cannot be shaken down to it.
const ALIASES = {
  '@headlessui/react': join(MODULES, '@headlessui/react/dist/components/combobox/combobox.js'),
  entities: join(MODULES, 'entities/lib/esm/decode.js'),
  'framer-motion': join(HERE, 'src/reorder.jsx'),
};

// GraphiQL's style sheet carries 340 kB of fonts; main.css names the system's.
const withoutFonts = {
  name: 'without-fonts',
  setup({ onLoad }) {
    onLoad({ filter: /graphiql[\\/]dist[\\/]style\.css$/ }, async ({ path }) => ({
      contents: (await readFile(path, 'utf8')).replace(/@font-face\s*\{[^}]*\}/g, ''),
      loader: 'css',
    }));
  },
};

// One copy of graphql, as modules, although one package requires it the old way.
const oneGraphql = {
  name: 'one-graphql',
  setup({ onResolve }) {
    onResolve({ filter: /^graphql$/ }, ({ kind }) => ({
      path: join(HERE, kind === 'require-call' ? 'src/explorer-graphql.js' : 'node_modules/graphql/index.mjs'),
      sideEffects: false,
    }));
    onResolve({ filter: /\/instanceOf\.mjs$/ }, () => ({ path: join(HERE, 'src/instance-of.js') }));
  },
};

async function bundle() {
  const { metafile } = await build({
    absWorkingDir: HERE,
    alias: ALIASES,
    bundle: true,
    charset: 'utf8',
    define: { 'process.env.NODE_ENV': '"production"' },
    entryNames: 'graphiql-[hash]',
    entryPoints: ['src/main.jsx'],
    format: 'esm',
    jsx: 'automatic',
    legalComments: 'none', // LICENSES.txt has them all
    logLevel: 'warning',
    metafile: true,
    minify: true,
    outdir: OUT,
    plugins: [oneGraphql, withoutFonts],
    target: ['chrome111', 'firefox115', 'safari16.4'],
  });
  return metafile;
}

async function removeOthers(built) {
  const bundles = (await readdir(OUT)).filter((name) => /^graphiql-[A-Z0-9]{8}\.(js|css)$/.test(name));
  await Promise.all(bundles.filter((name) => !built.includes(name)).map((name) => rm(join(OUT, name))));
}

async function writePage(built) {
  const named = (suffix) => built.find((name) => name.endsWith(suffix));
  const template = await readFile(join(HERE, 'src/index.html'), 'utf8');
  const page = template.replace('{{css}}', named('.css')).replace('{{js}}', named('.js'));
  await writeFile(join(OUT, 'index.html'), page);
}

const { inputs, outputs } = await bundle();
const built = Object.keys(outputs).map((path) => basename(path));
await writePage(built);
await writeFile(join(OUT, 'LICENSES.txt'), await licences(HERE, Object.keys(inputs)));
await removeOthers(built);
