/** The package as others get it: contents, size, types, both examples. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { newSettings, writeDetector } from '../src/detector/file.ts';
import { Engine } from '../src/engine/device.ts';
import { ParameterStore } from '../src/engine/parameters.ts';
import { backbones } from '../src/model/backbone.ts';
import { detectorParameters } from '../src/model/detector.ts';
import { initialize } from '../src/model/initialize.ts';
import { part, writeImage } from './support/layouts.ts';

const folder = mkdtempSync(join(tmpdir(), 'aand-package-'));
const root = resolve('.');

beforeAll(() => {
  execFileSync('node', ['scripts/types.mjs']);
  // Someone else's project with the package installed.
  mkdirSync(join(folder, 'node_modules/@webgpu'), { recursive: true });
  mkdirSync(join(folder, 'node_modules/@types'));
  symlinkSync(root, join(folder, 'node_modules/aand-webgpu'));
  symlinkSync(join(root, 'node_modules/@webgpu/types'), join(folder, 'node_modules/@webgpu/types'));
  for (const name of ['@types/node', 'undici-types'])
    symlinkSync(join(root, 'node_modules', name), join(folder, 'node_modules', name));
  for (const name of ['batch.ts', 'webcam.ts']) writeFileSync(join(folder, name), readFileSync(`examples/${name}`));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('the package holds what it needs and nothing of the tests, the bench or the data', () => {
  const output = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const [{ files, size }] = JSON.parse(output.slice(output.indexOf('['))) as [
    { files: { path: string }[]; size: number },
  ];
  const paths = files.map(({ path }) => path);
  for (const needed of [
    'dist/cli.js',
    'dist/index.js',
    'dist/browser.js',
    'dist/decoder_worker.js',
    'dist/app/index.html',
    'dist/types/src/index.d.ts',
    'weights/teacher_resnet18.safetensors',
    'README.md',
    'LICENSE',
  ])
    expect(paths, needed).toContain(needed);
  expect(
    paths.filter((path) => /^(test|bench|src|app|\.demo)\/|demo\.(safetensors|png)|dist\/(bench|peer)/.test(path)),
  ).toEqual([]);
  console.log(`package: ${paths.length} files, ${(size / 2 ** 20).toFixed(1)} MiB packed`);
  expect(size).toBeLessThan(16 * 2 ** 20);
});

test('the browser library is under 250 kB, compressed', () => {
  const size = gzipSync(readFileSync('dist/browser.js')).length;
  console.log(`dist/browser.js: ${(size / 1000).toFixed(0)} kB gzip`);
  expect(size).toBeLessThan(250_000);
});

test('both examples type-check against the published declarations', () => {
  writeFileSync(
    join(folder, 'tsconfig.json'),
    JSON.stringify({
      compilerOptions: {
        target: 'ES2022',
        lib: ['ES2023', 'ESNext.Disposable', 'DOM', 'DOM.Iterable'],
        module: 'ESNext',
        moduleResolution: 'bundler',
        strict: true,
        noEmit: true,
        skipLibCheck: false,
        types: ['@webgpu/types', 'node'],
        preserveSymlinks: true,
      },
      include: ['*.ts'],
    }),
  );
  const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
  try {
    execFileSync('node', [tsc, '-p', folder], { encoding: 'utf8' });
  } catch (error) {
    expect((error as { stdout: string }).stdout).toBe('');
  }
});

test('the webcam example bundles for browsers', async () => {
  const { outputFiles } = await build({
    entryPoints: [join(folder, 'webcam.ts')],
    bundle: true,
    format: 'esm',
    platform: 'browser',
    minify: true,
    write: false,
  });
  expect(outputFiles[0]?.text).toContain('getUserMedia');
  expect(outputFiles[0]?.text).not.toMatch(/from"(node:|sharp|webgpu)/);
});

test('the batch example scores a folder in Node', async () => {
  const engine = await Engine.open();
  const set = detectorParameters(backbones.resnet18, 'rd');
  const store = new ParameterStore(engine, set);
  initialize(store, set.groups, 0);
  const calibration = { threshold: 0.5, min: 0, max: 3, rule: 'set by hand' };
  const settings = newSettings({
    backbone: 'resnet18',
    mode: 'rd',
    imageSize: 32,
    image: calibration,
    pixel: calibration,
    calibrationScores: [],
    training: {},
    version: '0',
  });
  writeFileSync(join(folder, 'model.safetensors'), await writeDetector(store, settings));
  store.destroy();
  await engine.close();
  await writeImage(join(folder, 'photos/a.png'), part(0, 0).image);
  await writeImage(join(folder, 'photos/b.jpg'), part(0, 1).image, 'jpeg');
  const out = join(folder, 'batch.mjs');
  await build({
    entryPoints: [join(folder, 'batch.ts')],
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    external: ['aand-webgpu'],
    outfile: out,
  });
  const printed = execFileSync('node', [out, join(folder, 'model.safetensors'), join(folder, 'photos')], {
    encoding: 'utf8',
  });
  expect(printed.trim().split('\n')).toEqual([
    expect.stringMatching(/^(ANOMALOUS|good)\t[01]\.\d{3}\ta\.png$/),
    expect.stringMatching(/\tb\.jpg$/),
  ]);
});
