// Type declarations of the public faces: dist/types, one file per face and what they share. They need nothing
// else: no other package, and of the compiler's libraries only `esnext.disposable`.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { rollup } from 'rollup';
import { dts } from 'rollup-plugin-dts';
import { generateKernels } from './kernels.mjs';

const declarations = 'dist/declarations';
const types = 'dist/types';
rmSync(types, { recursive: true, force: true });
await generateKernels();
execFileSync('npx', ['tsc', '-p', 'tsconfig.types.json'], { stdio: 'inherit' });

const faces = { index: 'src/index', browser: 'src/browser', engine: 'src/engine/index' };
const warnings = [];
const bundle = await rollup({
  input: Object.fromEntries(
    Object.entries(faces)
      .map(([face, file]) => [face, join(declarations, `${file}.d.ts`)])
      .filter(([, file]) => existsSync(file)),
  ),
  plugins: [
    {
      name: 'platform',
      // Both platforms have the same types (src/platform/contract.ts).
      resolveId: (name) => (name === '#platform' ? resolve(declarations, 'src/platform/node.d.ts') : null),
    },
    dts(),
  ],
  onwarn: ({ message }) => warnings.push(message),
});
await bundle.write({
  dir: types,
  format: 'es',
  entryFileNames: '[name].d.ts',
  chunkFileNames: ({ name }) => `shared/${name.replace(/\.d$/, '')}.d.ts`,
});
await bundle.close();
// A type without a name of its own in a face: the declarations hold, but users cannot name it.
for (const warning of warnings) console.warn(`types: ${warning}`);
rmSync(declarations, { recursive: true });

// Types that the platform has and that not every project declares: they are looked up where the file is used.
// Where they are not declared they are plain objects (or texts), and what only a page has is nothing.
const sources = [
  'Blob',
  'URL',
  'ImageBitmap',
  'OffscreenCanvas',
  'HTMLCanvasElement',
  'HTMLImageElement',
  'HTMLVideoElement',
  'VideoFrame',
];
const platformTypes = new RegExp(`\\b(?:GPU(?:[A-Z]\\w*)?|AbortSignal|${sources.join('|')})\\b`, 'g');
const absent = (type) => (sources.includes(type) ? 'never' : 'object');
const head = '/// <reference lib="esnext.disposable" />\n';
for (const name of readdirSync(types, { recursive: true })) {
  if (!name.endsWith('.d.ts')) continue;
  const path = join(types, name);
  const text = readFileSync(path, 'utf8').replace(/^\/\/\/ <reference .*\n/gm, '');
  const code = text.replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, '');
  const used = [...new Set(code.match(platformTypes) ?? [])].sort();
  const aliases = used.map((type) => {
    const known = `typeof globalThis extends { ${type}: { prototype: infer T } } ? T : ${absent(type)}`;
    return `type ${type} = ${type === 'GPUTextureFormat' ? 'string' : known};\n`;
  });
  writeFileSync(path, `${head}${aliases.join('')}${text}`);
}
