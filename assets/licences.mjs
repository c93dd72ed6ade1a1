// The licences of every package of which a part is in the bundle, equal texts once.
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';

const RULE = '-'.repeat(80);

// For packages whose package.json says MIT and which carry no text.
const MIT = `MIT License

Copyright (c) the authors of each package named above

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.`;

/** `node_modules/a/node_modules/@b/c/lib/d.js` is a file of the package `node_modules/a/node_modules/@b/c`. */
function packageOf(input) {
  return input.match(/^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/)?.[0];
}

async function textOf(directory, license) {
  const name = (await readdir(directory)).sort().find((file) => /^(licen[cs]e|copying)/i.test(file));
  if (name) return (await readFile(join(directory, name), 'utf8')).replace(/\r\n/g, '\n').trim();
  if (license === 'MIT') return MIT;
  throw new Error(`${directory} has no licence text: add one for ${license}`);
}

async function describe(directory) {
  const { name, version, license, author } = JSON.parse(await readFile(join(directory, 'package.json'), 'utf8'));
  const by = author ? `, ${(author.name ?? author).replace(/ *[<(].*/, '')}` : '';
  return { label: `${name} ${version} (${license}${by})`, text: await textOf(directory, license) };
}

export async function licences(root, inputs) {
  const directories = [...new Set(inputs.map(packageOf).filter(Boolean))];
  const labels = new Map();
  for (const { label, text } of await Promise.all(directories.map((directory) => describe(join(root, directory))))) {
    labels.set(text, [...(labels.get(text) ?? []), label]);
  }
  const sections = [...labels].map(([text, names]) => `${[...new Set(names)].sort().join('\n')}\n\n${text}\n`);
  return ['What graphiql-*.js and graphiql-*.css are made of.\n', ...sections.sort()].join(`\n${RULE}\n\n`);
}
