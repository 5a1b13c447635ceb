/**
 * The package as others get it: packed from a fresh copy, installed into an empty project; its types, its
 * examples. Bundlers and other runtimes: test/long/package_matrix.test.ts.
 */
import { execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { builtinModules, createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { rolldown } from 'rolldown';
import ts from 'typescript';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
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
/** Someone else's project, where the package is installed and nothing else. */
const project = join(folder, 'project');
const installed = join(project, 'node_modules/aand-webgpu');
/** A project that has the optional packages too. */
const whole = join(folder, 'whole');

interface Manifest {
  readonly version: string;
  readonly engines: { readonly node: string };
  readonly scripts: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies: Readonly<Record<string, string>>;
  readonly peerDependenciesMeta: Readonly<Record<string, { readonly optional: boolean }>>;
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
  const made = new Set(['node_modules', 'dist', '.git', '.demo', '.gpu', 'test']);
  cpSync(root, clone, { recursive: true, filter: (path) => !made.has(basename(path)) });
  symlinkSync(join(root, 'node_modules'), join(clone, 'node_modules'));
  const output = npm(clone, 'pack', '--json', '--pack-destination', folder);
  [packed] = JSON.parse(output.slice(output.indexOf('['))) as [Packed];
  mkdirSync(project);
  writeFileSync(join(project, 'package.json'), '{ "private": true, "type": "module" }');
  // Nothing but the package itself is asked for: this works without a network.
  npm(project, 'install', '--no-audit', '--no-fund', '--offline', join(folder, packed.filename));
  cpSync(project, whole, { recursive: true });
  for (const name of ['sharp', 'webgpu'])
    symlinkSync(join(root, 'node_modules', name), join(whole, 'node_modules', name));
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
    'dist/browser/browser.js',
    'dist/engine.js',
    'dist/browser/browser.js',
    'dist/browser/engine.js',
    'dist/types/index.d.ts',
    'dist/types/engine.d.ts',
    'dist/types/browser.d.ts',
    'dist/THIRD_PARTY_NOTICES.txt',
    'weights/teacher_resnet18.safetensors',
    'weights/teacher_resnet18_half.safetensors',
    'README.md',
    'LICENSE',
  ])
    expect(paths, needed).toContain(needed);
  expect(
    paths.filter((path) => /^(test|bench|src|app|\.demo)\/|dist\/app\/demo\/|dist\/(bench|peer)/.test(path)),
  ).toEqual([]);
  console.log(`package: ${paths.length} files, ${(size / 2 ** 20).toFixed(1)} MiB packed`);
  expect(size).toBeLessThan(16 * 2 ** 20);
  // Nothing of this package is run where it is installed.
  const { scripts } = readManifest(installed);
  for (const name of ['preinstall', 'install', 'postinstall']) expect(scripts).not.toHaveProperty(name);
});

test('nothing else is installed with it; what Node needs is optional and runs on the Node versions named', () => {
  const modules = readdirSync(join(project, 'node_modules')).filter((name) => !name.startsWith('.'));
  expect(modules).toEqual(['aand-webgpu']);
  const { engines, dependencies, peerDependencies, peerDependenciesMeta } = readManifest(installed);
  expect(dependencies).toBeUndefined();
  const semver = createRequire(import.meta.url)('semver') as {
    subset(range: string, of: string): boolean;
    satisfies(version: string, range: string): boolean;
  };
  expect(semver.satisfies('20.9.0', engines.node)).toBe(true);
  for (const name of Object.keys(peerDependencies)) {
    expect(peerDependenciesMeta[name]).toEqual({ optional: true });
    const { node } = readManifest(join('node_modules', name)).engines ?? {};
    if (node) expect(semver.subset(engines.node, node), `${name} needs Node ${node}`).toBe(true);
  }
});

test('the notices name every package whose code is in the bundles, with its licence', () => {
  const notices = readFileSync(join(installed, 'dist/THIRD_PARTY_NOTICES.txt'), 'utf8');
  const named = [...notices.matchAll(/^(\S+) \d+\.\d+\.\d+\S* \([\w.-]+\)/gm)].map(([, name]) => name);
  // What the sources import, and a package that one of these imports.
  const imported = [
    'chart.js',
    'comlink',
    'commander',
    'csv-parse',
    'd3-scale-chromatic',
    'fflate',
    'protobufjs',
  ];
  expect(named).toEqual(
    expect.arrayContaining([...imported, 'tinypool', 'undici', 'valibot', 'wesl', 'd3-interpolate']),
  );
  expect(notices.match(/permission|redistribution/gi)?.length).toBeGreaterThanOrEqual(named.length);
  // Built code that still asks for a package would not run.
  const asked = readdirSync(join(installed, 'dist'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.js'))
    .flatMap((name) => {
      const text = readFileSync(join(installed, 'dist', name), 'utf8');
      return [...text.matchAll(/^import (?:[^'"]*? from )?["']([^.'"][^'"]*)["'];$/gm)].map(
        ([, from]) => from,
      );
    })
    .filter((name) => !name?.startsWith('node:') && !builtinModules.includes(name as string));
  expect(asked).toEqual([]);
});

test('the installed package runs: the library, the command line', () => {
  const names = execFileSync(
    'node',
    ['--input-type=module', '-e', "console.log(Object.keys(await import('aand-webgpu')).join())"],
    { cwd: whole, encoding: 'utf8' },
  );
  expect(names.trim().split(',')).toEqual(
    expect.arrayContaining(['Detector', 'Engine', 'decodeImage', 'openDataset']),
  );
  const aand = join(whole, 'node_modules/.bin/aand');
  expect(execFileSync(aand, ['--help'], { encoding: 'utf8' })).toMatch(/Usage: aand/);
  expect(readManifest(installed).version).toBe(readManifest(root).version);
});

test.each([
  ['webgpu', "await (await import('aand-webgpu')).Engine.open()"],
  [
    'sharp',
    "const { readFileSync } = await import('node:fs'); await (await import('aand-webgpu')).decodeImage(readFileSync('a.jpg'), 'a.jpg')",
  ],
])('without %s the library says what to install', (name, code) => {
  const script = `try { ${code} } catch ({ name, code, message }) { console.log(name, code, message) }`;
  const run = () =>
    execFileSync('node', ['--input-type=module', '-e', script], { cwd: project, encoding: 'utf8' });
  cpSync('test/fixtures/images/jpeg-420.jpg', join(project, 'a.jpg'));
  const version = readManifest(installed).peerDependencies[name];
  expect(run()).toMatch(/^MissingPackageError missing-package /);
  expect(run()).toContain(`needs the package ${name}: npm install "${name}@${version}"`);
});

test('images are decoded by threads of the installed package', () => {
  const script = `
    import { loadResized } from 'aand-webgpu';
    let threads = 0;
    process.on('worker', () => threads++);
    const { width } = await loadResized('photo.jpg', 16);
    console.log(width, threads);
  `;
  writeFileSync(join(whole, 'photo.jpg'), readFileSync('test/fixtures/images/jpeg-420.jpg'));
  const run = execFileSync('node', ['--input-type=module', '-e', script], { cwd: whole, encoding: 'utf8' });
  expect(run).toMatch(/^16 [1-9]/);
});

test('the browser library is under 250 kB, compressed', () => {
  const size = gzipSync(readFileSync(join(installed, 'dist/browser.js'))).length;
  console.log(`dist/browser.js: ${(size / 1000).toFixed(0)} kB gzip`);
  expect(size).toBeLessThan(250_000);
});

/** Compiles a file of a project, every declaration included; the compiler's messages. */
function compile(path: string, options: ts.CompilerOptions): string[] {
  const program = ts.createProgram([path], {
    target: ts.ScriptTarget.ES2022,
    strict: true,
    exactOptionalPropertyTypes: true,
    noEmit: true,
    // The compiler's own declarations are left out, which takes most of the time.
    skipDefaultLibCheck: true,
    types: [],
    ...options,
  });
  return ts
    .getPreEmitDiagnostics(program)
    .map(({ code, messageText }) => `TS${code}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`);
}

const { ModuleKind, ModuleResolutionKind } = ts;
const withoutDom = ['lib.es2022.d.ts'];
const withDom = [...withoutDom, 'lib.dom.d.ts'];

describe.each([
  ['bundler', ModuleKind.ESNext, ModuleResolutionKind.Bundler],
  ['node16', ModuleKind.Node16, ModuleResolutionKind.Node16],
  ['nodenext', ModuleKind.NodeNext, ModuleResolutionKind.NodeNext],
])('types with module resolution %s', (_, module, moduleResolution) => {
  const program = (threshold: string) => `
    import { Detector, decodeImage, Engine, openDataset, type Prediction } from 'aand-webgpu';
    import { conv2d, ParameterSet, relu, Tape, type Tensor } from 'aand-webgpu/engine';
    export async function judge(model: Uint8Array, photo: Uint8Array): Promise<Prediction | undefined> {
      await using engine = await Engine.open();
      await using detector = await Detector.open(engine, model);
      const [first] = await detector.predict([await decodeImage(photo, 'photo.png')]);
      const ${threshold} = detector.settings.image?.threshold ?? Number.NaN;
      return first;
    }
    export const images: Promise<number> = openDataset('parts').then(({ train }) => train.length);
    export function record(): Tensor {
      const tape = new Tape(new ParameterSet());
      const weights = tape.parameter('weight', [3, 3, 4, 8], 'filter', 'model');
      const x = tape.input('x', [1, 8, 8, 4], 'channels');
      return relu(tape, conv2d(tape, x, weights, undefined, { padding: 1 }));
    }
  `;

  test.each([
    ['without', withoutDom],
    ['with', withDom],
  ])('compile strictly, with nothing else installed, %s the DOM; wrong use does not', (_, lib) => {
    const options = { module, moduleResolution, lib };
    const use = join(project, 'use.ts');
    writeFileSync(use, program('threshold: number'));
    expect(compile(use, options)).toEqual([]);
    writeFileSync(use, program('threshold: string'));
    expect(compile(use, options)).toEqual(["TS2322: Type 'number' is not assignable to type 'string'."]);
  });
});

test('bundlers that choose the browser get types without files', () => {
  const use = join(project, 'files.ts');
  const options = { module: ModuleKind.ESNext, moduleResolution: ModuleResolutionKind.Bundler, lib: withDom };
  writeFileSync(use, "import { openDataset } from 'aand-webgpu';\nawait openDataset('parts');");
  expect(compile(use, options)).toEqual([]);
  expect(compile(use, { ...options, customConditions: ['browser'] })).toEqual([
    expect.stringContaining("has no exported member 'openDataset'"),
  ]);
});

test("the device has WebGPU's types where a project declares them", () => {
  const use = join(project, 'device.ts');
  const options = { module: ModuleKind.ESNext, moduleResolution: ModuleResolutionKind.Bundler, lib: withDom };
  writeFileSync(
    use,
    "import { Engine } from 'aand-webgpu';\nexport const device: GPUDevice = (await Engine.open()).device;",
  );
  mkdirSync(join(project, 'node_modules/@webgpu'), { recursive: true });
  symlinkSync(join(root, 'node_modules/@webgpu/types'), join(project, 'node_modules/@webgpu/types'));
  expect(compile(use, { ...options, types: ['@webgpu/types'] })).toEqual([]);
});

const examples = ['batch.ts', 'train.ts', 'webcam.ts', 'worker.ts', 'worker_page.ts', 'serve_client.ts'];

test.each(examples)('the example %s compiles against the published types', (name) => {
  mkdirSync(join(project, 'node_modules/@types'), { recursive: true });
  for (const types of ['@types/node', 'undici-types'])
    if (!existsSync(join(project, 'node_modules', types)))
      symlinkSync(join(root, 'node_modules', types), join(project, 'node_modules', types));
  cpSync(join('examples', name), join(project, name));
  cpSync('examples/worker.ts', join(project, 'worker.ts'));
  const found = compile(join(project, name), {
    module: ModuleKind.ESNext,
    moduleResolution: ModuleResolutionKind.Bundler,
    allowImportingTsExtensions: true,
    types: ['node'],
    preserveSymlinks: true,
  });
  expect(found).toEqual([]);
});

test('a bundle holds what is used and nothing else', async () => {
  const size = async (code: string) => {
    const { outputFiles } = await build({
      stdin: { contents: code, resolveDir: project },
      bundle: true,
      format: 'esm',
      platform: 'browser',
      minify: true,
      write: false,
    });
    return outputFiles[0]?.contents.length ?? 0;
  };
  // 0.1 and 5 kB.
  expect(await size("import { jet } from 'aand-webgpu'; console.log(jet(0.5));")).toBeLessThan(1000);
  expect(await size("import { readSafetensors as r } from 'aand-webgpu'; console.log(r);")).toBeLessThan(
    10_000,
  );
});

test('a page that inspects loads the steps of the training when it trains', async () => {
  const entry = join(project, 'inspects.js');
  writeFileSync(entry, "import { Detector, Engine } from 'aand-webgpu'; console.log(Detector, Engine);");
  const bundle = await rolldown({ input: entry, platform: 'browser', logLevel: 'silent' });
  const { output } = await bundle.generate({ format: 'es', minify: true });
  await bundle.close();
  const chunks = output.filter((part) => part.type === 'chunk');
  const [first, later] = [true, false].map((isEntry) => chunks.filter((chunk) => chunk.isEntry === isEntry));
  expect(later?.map(({ name }) => name)).toEqual(['train_from_sources']);
  const [code, training] = [first?.[0]?.code ?? '', later?.[0]?.code ?? ''];
  console.log(`a detector: ${code.length} bytes, and ${training.length} when it trains`);
  expect(training).toContain('there are no good images to learn from');
  expect(code).not.toContain('there are no good images to learn from');
  expect(code.length).toBeGreaterThan(100_000);
  expect(code.length).toBeLessThan(0.9 * readFileSync(join(installed, 'dist/browser.js')).length);
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
  const out = join(whole, 'batch.mjs');
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
