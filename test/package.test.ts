/**
 * The package as others get it: packed from a fresh copy, installed into an empty project; its types, its
 * examples.
 */
import { execFileSync } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { writeDetector } from '../src/detector/file.ts';
import { newSettings } from '../src/detector/settings.ts';
import { Engine } from '../src/engine/runtime/engine.ts';
import { initialize } from '../src/engine/runtime/initialize.ts';
import { ParameterStore } from '../src/engine/runtime/store.ts';
import { backbones } from '../src/model/backbones.ts';
import { detectorParameters } from '../src/model/methods.ts';
import { part, writeImage } from './support/layouts.ts';

const root = resolve('.');
const folder = mkdtempSync(join(tmpdir(), 'aand-package-'));
/** Someone else's project, where the package is installed. */
const project = join(folder, 'project');
const installed = join(project, 'node_modules/aand-webgpu');
const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');

interface Manifest {
  readonly version: string;
  readonly engines: { readonly node: string };
  readonly scripts: Readonly<Record<string, string>>;
  readonly dependencies: Readonly<Record<string, string>>;
}
interface Packed {
  readonly filename: string;
  readonly size: number;
  readonly files: readonly { readonly path: string }[];
}
let packed: Packed;

const readManifest = (path: string) =>
  JSON.parse(readFileSync(join(path, 'package.json'), 'utf8')) as Manifest;
const npm = (cwd: string, ...args: string[]) =>
  execFileSync('npm', args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

beforeAll(() => {
  // A copy as a fresh clone is: nothing that was built.
  const clone = join(folder, 'clone');
  const made = new Set(['node_modules', 'dist', '.git', '.demo', '.gpu']);
  cpSync(root, clone, { recursive: true, filter: (path) => !made.has(basename(path)) });
  symlinkSync(join(root, 'node_modules'), join(clone, 'node_modules'));
  const output = npm(clone, 'pack', '--json', '--pack-destination', folder);
  [packed] = JSON.parse(output.slice(output.indexOf('['))) as [Packed];
  mkdirSync(project);
  writeFileSync(join(project, 'package.json'), '{ "private": true, "type": "module" }');
  npm(project, 'install', '--no-audit', '--no-fund', '--prefer-offline', join(folder, packed.filename));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('the package holds what it needs and nothing of the tests, the bench or the data', () => {
  const { size } = packed;
  const paths = packed.files.map(({ path }) => path);
  for (const needed of [
    'dist/cli.js',
    'dist/index.js',
    'dist/browser.js',
    'dist/decoder_worker.js',
    'dist/app/index.html',
    'dist/types/src/index.d.ts',
    'dist/types/src/browser.d.ts',
    'dist/types/src/platform/node.d.ts',
    'weights/teacher_resnet18.safetensors',
    'README.md',
    'LICENSE',
  ])
    expect(paths, needed).toContain(needed);
  expect(
    paths.filter((path) =>
      /^(test|bench|src|app|\.demo)\/|demo\.(safetensors|png)|dist\/(bench|peer)/.test(path),
    ),
  ).toEqual([]);
  console.log(`package: ${paths.length} files, ${(size / 2 ** 20).toFixed(1)} MiB packed`);
  expect(size).toBeLessThan(16 * 2 ** 20);
  // Nothing of this package is run where it is installed.
  const { scripts } = readManifest(installed);
  for (const name of ['preinstall', 'install', 'postinstall']) expect(scripts).not.toHaveProperty(name);
});

test('every dependency runs on the Node versions that the package names', () => {
  const { engines, dependencies } = readManifest(installed);
  const semver = createRequire(join(project, 'package.json'))('semver') as {
    subset(range: string, of: string): boolean;
    satisfies(version: string, range: string): boolean;
  };
  expect(semver.satisfies('20.9.0', engines.node)).toBe(true);
  const modules = join(project, 'node_modules');
  const found = readdirSync(modules)
    .filter((name) => !name.startsWith('.'))
    .flatMap((name) =>
      name.startsWith('@') ? readdirSync(join(modules, name)).map((part) => `${name}/${part}`) : name,
    )
    .filter((name) => name !== 'aand-webgpu');
  expect(found).toEqual(expect.arrayContaining(Object.keys(dependencies)));
  // The queue's packages are installed by those who use it.
  const folders = [
    ...found.map((name) => join(modules, name)),
    ...['bullmq', 'ioredis'].map((n) => `node_modules/${n}`),
  ];
  for (const path of folders) {
    const { node } = readManifest(path).engines ?? {};
    if (node) expect(semver.subset(engines.node, node), `${path} needs Node ${node}`).toBe(true);
  }
});

test('the installed package runs: the library, the command line', () => {
  const names = execFileSync(
    'node',
    ['--input-type=module', '-e', "console.log(Object.keys(await import('aand-webgpu')).join())"],
    { cwd: project, encoding: 'utf8' },
  );
  expect(names.trim().split(',')).toEqual(
    expect.arrayContaining(['Detector', 'Engine', 'decodeImage', 'openDataset']),
  );
  const aand = join(project, 'node_modules/.bin/aand');
  expect(execFileSync(aand, ['--help'], { encoding: 'utf8' })).toMatch(/Usage: aand/);
  expect(readManifest(installed).version).toBe(readManifest(root).version);
});

test('the browser library is under 250 kB, compressed', () => {
  const size = gzipSync(readFileSync(join(installed, 'dist/browser.js'))).length;
  console.log(`dist/browser.js: ${(size / 1000).toFixed(0)} kB gzip`);
  expect(size).toBeLessThan(250_000);
});

/** Compiles files of the project; the compiler's messages. */
function compile(files: readonly string[], options: Readonly<Record<string, unknown>>): string {
  const compilerOptions = { target: 'ES2022', strict: true, noEmit: true, skipLibCheck: false, ...options };
  writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, files }));
  try {
    return execFileSync('node', [tsc, '-p', project], { encoding: 'utf8' });
  } catch (error) {
    return (error as { stdout: string }).stdout;
  }
}

test('a program compiles against the types, strictly, with nothing else installed; wrong use does not', () => {
  const program = (threshold: string) => `
    import { Detector, decodeImage, Engine, openDataset, type Prediction } from 'aand-webgpu';
    export async function judge(model: Uint8Array, photo: Uint8Array): Promise<Prediction | undefined> {
      await using engine = await Engine.open();
      await using detector = await Detector.open(engine, model);
      const [first] = await detector.predict([await decodeImage(photo, 'photo.png')]);
      const ${threshold} = detector.settings.image?.threshold ?? Number.NaN;
      return first;
    }
    export const images: Promise<number> = openDataset('parts').then(({ train }) => train.length);
  `;
  for (const options of [
    { module: 'NodeNext', moduleResolution: 'NodeNext' },
    { module: 'ESNext', moduleResolution: 'bundler' },
  ]) {
    writeFileSync(join(project, 'use.ts'), program('threshold: number'));
    expect(compile(['use.ts'], options)).toBe('');
    writeFileSync(join(project, 'use.ts'), program('threshold: string'));
    expect(compile(['use.ts'], options)).toMatch(/use\.ts\(\d+,\d+\): error TS2322/);
  }
});

test('both examples compile against the published types', () => {
  mkdirSync(join(project, 'node_modules/@types'), { recursive: true });
  for (const name of ['@types/node', 'undici-types'])
    symlinkSync(join(root, 'node_modules', name), join(project, 'node_modules', name));
  for (const name of ['batch.ts', 'webcam.ts']) cpSync(join('examples', name), join(project, name));
  const options = { module: 'ESNext', moduleResolution: 'bundler', types: ['node'], preserveSymlinks: true };
  expect(compile(['batch.ts', 'webcam.ts'], options)).toBe('');
});

test('the webcam example bundles for browsers', async () => {
  const { outputFiles } = await build({
    entryPoints: [join(project, 'webcam.ts')],
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
  const out = join(project, 'batch.mjs');
  await build({
    entryPoints: [join(project, 'batch.ts')],
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
