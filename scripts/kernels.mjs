// Writes kernels/generated.ts from the kernel files (scripts/kernels/generate.ts). Run by the build, the type
// check and the tests. With --out DIR it also writes the WGSL of every variant that is shipped.
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';

/** Runs a TypeScript file of the project and returns what it exports. */
async function load(entry) {
  const folder = join('node_modules', '.cache', 'kernels');
  // A name of its own: Node loads a path once.
  const outfile = join(folder, `${basename(entry, '.ts')}.${process.pid}.mjs`);
  mkdirSync(folder, { recursive: true });
  await build({
    entryPoints: [entry],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20.9',
    packages: 'external',
    logLevel: 'error',
  });
  try {
    return await import(pathToFileURL(outfile).href);
  } finally {
    rmSync(outfile);
  }
}

export async function generateKernels() {
  (await load('scripts/kernels/generate.ts')).generateKernels();
}

/**
 * Generates the kernels; what a build puts in the place of names: a hash of all that makes the text of a
 * kernel, so that kept texts of other builds are left alone (src/engine/kernels/cache.ts).
 */
export async function kernelsDefine() {
  await generateKernels();
  const kernels = createHash('sha256');
  for (const file of [
    'kernels/generated.ts',
    'src/engine/kernels/link.ts',
    'src/engine/kernels/expand.ts',
    'node_modules/wesl/package.json',
  ])
    kernels.update(readFileSync(file));
  return { KERNELS: JSON.stringify(kernels.digest('hex').slice(0, 16)) };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  await generateKernels();
  const { values } = parseArgs({ options: { out: { type: 'string' } } });
  if (values.out !== undefined) await (await load('scripts/kernels/write.ts')).writeVariants(values.out);
}
