// The notices that the licences of bundled packages ask for.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The folder of the package that a module belongs to; undefined for modules of this package. */
function packageOf(module) {
  return module
    .replaceAll('\\', '/')
    .match(/(?:^|\/)(node_modules\/(?:.*\/node_modules\/)?(?:@[^/]+\/)?[^/]+)\//)?.[1];
}

/**
 * The folders of the packages whose code is in a bundle.
 *
 * @param bundle esbuild's metafile, or Rolldown's output
 */
export function packagesOf(bundle) {
  const modules = Array.isArray(bundle)
    ? bundle.flatMap(({ modules = {} }) => Object.keys(modules))
    : Object.values(bundle.outputs).flatMap(({ inputs }) => Object.keys(inputs));
  return [...new Set(modules.map(packageOf))].filter((folder) => folder !== undefined);
}

/** The text of the MIT licence, for packages that name it and carry no text of it. */
function mit(holder) {
  return `Copyright (c) ${holder}

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and
associated documentation files (the "Software"), to deal in the Software without restriction,
including without limitation the rights to use, copy, modify, merge, publish, distribute,
sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial
portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT
NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND
NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES
OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN
CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.`;
}

function licenceText(folder, { license, repository }) {
  const file = readdirSync(folder).find((name) => /^(licen[cs]e|copying)(\.|$|-)/i.test(name));
  if (file) return readFileSync(join(folder, file), 'utf8').trim();
  const readme = readdirSync(folder).find((name) => /^readme/i.test(name));
  const section =
    readme && readFileSync(join(folder, readme), 'utf8').match(/^#+\s*licen[cs]e[\s\S]*/im)?.[0];
  if (section) return section.trim();
  const source = typeof repository === 'string' ? repository : repository?.url;
  if (license === 'MIT' && source) return mit(`the authors of ${source}`);
  throw new Error(`${folder} has no licence text, which has to go with its code`);
}

/** The notices of packages, one after the other, by name. */
export function notices(folders) {
  const entries = [...new Set(folders)].map((folder) => {
    const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    const { name, version, license, author } = manifest;
    if (!license) throw new Error(`${folder} names no licence in its package.json`);
    const by = typeof author === 'string' ? author : author?.name;
    const notice = existsSync(join(folder, 'NOTICE')) ? readFileSync(join(folder, 'NOTICE'), 'utf8') : '';
    const head = `${name} ${version} (${license})${by ? `, by ${by}` : ''}`;
    return { name, text: [head, licenceText(folder, manifest), notice.trim()].filter(Boolean).join('\n\n') };
  });
  entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  const line = `\n\n${'-'.repeat(80)}\n\n`;
  const head = 'The files of this folder contain code of these packages.';
  return `${[head, ...entries.map(({ text }) => text)].join(line)}\n`;
}
