/** The examples as their users run them: bundled, with the library by its name. */
import { execFile } from 'node:child_process';
import { basename, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { build } from 'esbuild';

const root = resolve('.');

/** Bundles an example of Node; the result lies where packages are found. */
export async function bundleForNode(entry: string, folder: string): Promise<string> {
  const outfile = join(folder, `${basename(entry, '.ts')}.mjs`);
  await build({
    entryPoints: [entry],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    alias: { 'aand-webgpu': join(root, 'src/index.ts') },
    external: ['sharp', 'webgpu', 'tinypool'],
    logLevel: 'error',
    // Some of the bundled packages are CommonJS.
    banner: {
      js:
        "import { createRequire as __createRequire } from 'node:module'; " +
        'const require = __createRequire(import.meta.url);',
    },
  });
  return outfile;
}

/** Bundles an example of a page. */
export async function bundleForPage(entry: string, folder: string): Promise<void> {
  await build({
    entryPoints: [entry],
    outfile: join(folder, `${basename(entry, '.ts')}.js`),
    bundle: true,
    platform: 'browser',
    conditions: ['browser'],
    format: 'esm',
    alias: { 'aand-webgpu': join(root, 'src/browser.ts') },
    logLevel: 'error',
  });
}

/** Runs a program; what it prints. */
export async function run(
  program: string,
  args: readonly string[],
  { env, cwd }: { readonly env?: NodeJS.ProcessEnv; readonly cwd?: string } = {},
): Promise<string> {
  const options = { env: { ...process.env, ...env }, ...(cwd && { cwd }) };
  const { stdout } = await promisify(execFile)('node', [program, ...args], options);
  return stdout;
}
