/**
 * Compares with other engines: `npm run bench:peers -- [--json FILE] [--rounds N] [--no-browser]
 * [--no-train] [--static [--family LIST]]`. Every engine is a process of its own, or a page in a browser of
 * its own. They take turns, so that changes of the machine's speed meet all of them. Ratios are medians over
 * rounds. Outputs are compared with ours before times count.
 */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { largestDifference } from '../src/bench/check.ts';
import { quantile } from '../src/bench/measure.ts';
import { countOption } from '../src/cli/options.ts';
import { packagedFile, packageVersion } from '../src/cli/package.ts';
import { provenance } from '../src/cli/provenance.ts';
import { Engine } from '../src/engine/runtime/engine.ts';
import { exportOnnx } from '../src/export/onnx.ts';
import type { PeerReport, PeerResult } from '../src/report/bench_page.ts';
import { storedShape, toStored } from '../src/weights/names.ts';
import type { FamilyPeers } from './figures/static_peers.ts';
import { type PeerConfig, peerConfigs, peerImages, peerStore, recordForward } from './peer_work.ts';
import { missingFor } from './static/environment.ts';
import { families, familyNamed, relatives } from './static/families.ts';
import { type PeerFigures, peerFigures, peerLines, type StaticPeer } from './static/peers.ts';
import { chromiumPath, launchChromium, serve } from './support/browsers.ts';
import { nhwcToNchw } from './support/permute.ts';
import { startWorker } from './worker.ts';

interface Ready {
  readonly version: string;
  readonly adapter: string;
  readonly output: readonly number[];
}

/** An engine that is warm and waits for its turn. */
interface Peer {
  readonly engine: string;
  readonly provider: string;
  readonly ready: Ready;
  run(): Promise<number>;
  close(): Promise<void>;
}

const peersFolder = packagedFile('bench/peers');
// Largest difference to our output that counts as the same result, relative to the largest value.
const tolerance = 1e-3;

async function writeData(folder: string, config: PeerConfig): Promise<void> {
  const engine = await Engine.open();
  try {
    const store = peerStore(engine);
    const { tape, logits } = recordForward(store, config);
    const onnx = await exportOnnx(tape, store, {
      name: 'resnet18',
      version: config.version,
      outputs: { logits },
    });
    writeFileSync(join(folder, 'model.onnx'), onnx);
    const [n, c, h, w] = config.shape;
    const images = nhwcToNchw(peerImages(config), [n, h, w, c]);
    writeFileSync(
      join(folder, 'images.bin'),
      new Uint8Array(images.buffer, images.byteOffset, images.byteLength),
    );
    const values = await store.read(store.set.names);
    const index: Record<string, { shape: number[]; offset: number; length: number }> = {};
    const parts: Uint8Array[] = [];
    let offset = 0;
    for (const spec of store.set.specs) {
      const stored = toStored(spec, values.get(spec.name) as Float32Array);
      index[spec.name] = { shape: storedShape(spec), offset, length: stored.length };
      parts.push(new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength));
      offset += stored.length;
    }
    writeFileSync(join(folder, 'weights.json'), JSON.stringify(index));
    writeFileSync(join(folder, 'weights.bin'), Buffer.concat(parts));
    writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
  } finally {
    await engine.close();
  }
}

async function startProcess(
  engine: string,
  provider: string,
  command: string,
  script: string,
  config: object,
): Promise<Peer> {
  const { ready, run, close } = await startWorker(
    command,
    [script, JSON.stringify({ ...config, provider })],
    peersFolder,
  );
  return { engine, provider, ready: ready as Ready, run, close };
}

/** Engines by the names that the page has for them. */
const pageEngines: Readonly<Record<string, string>> = {
  ours: 'aand-webgpu',
  onnxruntime: 'onnxruntime-web',
  tensorflow: 'tfjs',
  jax: 'jax-js',
  litert: 'LiteRT.js',
};

async function startPage(engine: string, provider: string, url: string): Promise<Peer> {
  const browser = await launchChromium();
  const page = await browser.newPage();
  const failed = new Promise<never>((_, reject) => {
    page.once('pageerror', reject);
  });
  failed.catch(() => {});
  await page.goto(`${url}?engine=${engine}&provider=${provider}`);
  try {
    await Promise.race([page.waitForFunction('globalThis.peer', { timeout: 300_000 }), failed]);
    const ready = (await page.evaluate(
      'peer.run().then(output => ({ version: peer.version, adapter: "Chromium", output: ' +
        'Array.from(output) }))',
    )) as Ready;
    return {
      engine: pageEngines[engine] ?? engine,
      provider,
      ready,
      run: () => page.evaluate('timed()') as Promise<number>,
      close: () => browser.close(),
    };
  } catch (error) {
    await browser.close();
    throw error;
  }
}

/** Starts what can be started; says why something cannot. */
async function startAll(starts: readonly { name: string; start: () => Promise<Peer> }[]): Promise<Peer[]> {
  const peers: Peer[] = [];
  for (const { name, start } of starts) {
    try {
      console.error(`starting ${name}`);
      peers.push(await start());
    } catch (error) {
      console.error(`skipped: ${name}: ${(error as Error).message.split('\n').slice(-3).join(' | ')}`);
    }
  }
  return peers;
}

async function compare(
  name: string,
  adapter: string,
  peers: readonly Peer[],
  rounds: number,
): Promise<PeerResult[]> {
  const ours = peers[0];
  if (ours?.engine !== 'aand-webgpu') throw new Error('our own engine did not start');
  const expected = Float32Array.from(ours.ready.output);
  const scale = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const errors = peers.map((peer) => largestDifference(Float32Array.from(peer.ready.output), expected));
  // Written so that a NaN is a difference.
  const same = (i: number) => (errors[i] as number) <= tolerance * scale;
  const times: number[][] = peers.map(() => []);
  for (let round = 0; round < rounds; round++)
    for (const [i, peer] of peers.entries()) (times[i] as number[]).push(await peer.run());
  const results = peers.map((peer, i): PeerResult => {
    const samples = times[i] as number[];
    const sorted = [...samples].sort((a, b) => a - b);
    const ratios = samples.map((time, round) => time / (times[0]?.[round] as number)).sort((a, b) => a - b);
    const median = quantile(sorted, 0.5);
    return {
      engine: peer.engine,
      version: peer.ready.version,
      provider: peer.provider,
      adapter: adapter || peer.ready.adapter,
      name,
      median_ms: median,
      ratio_to_ours: quantile(ratios, 0.5),
      spread: (quantile(sorted, 0.75) - quantile(sorted, 0.25)) / 2 / median,
      max_abs_error: errors[i] as number,
    };
  });
  console.log(`\n${name}, ${adapter}`);
  for (const [i, r] of results.entries()) {
    const wrong = same(i) ? '' : '  DIFFERENT RESULT: left out';
    console.log(
      `  ${`${r.engine} ${r.version} ${r.provider}`.padEnd(42)} ${r.median_ms.toFixed(1).padStart(9)} ` +
        `ms ±${(100 * r.spread).toFixed(0).padStart(2)} %  ${r.ratio_to_ours.toFixed(2).padStart(7)} x ` +
        `ours  difference ${r.max_abs_error.toExponential(1)}${wrong}`,
    );
  }
  return results.filter((_, i) => same(i));
}

const options = new Command('bench:peers')
  .option('--json <file>', 'write the results as JSON')
  .option('--rounds <n>', 'rounds of the fast comparisons', countOption, 15)
  .option('--no-browser', 'leave out the pages in Chromium')
  .option('--no-train', 'leave out the training step')
  .option('--static', 'compile the kernels of the engines on Dawn for GPUs that are not there; nothing else')
  .option(
    '--family <names>',
    'the GPUs of --static, as check:gpu names them (default: all that are set up)',
    (text) => text.split(','),
  )
  .exitOverride(({ exitCode }) => process.exit(exitCode ? 2 : 0))
  .parse()
  .opts<{
    json?: string;
    rounds: number;
    browser: boolean;
    train: boolean;
    static?: boolean;
    family?: string[];
  }>();
const { rounds } = options;
if (!existsSync(join(peersFolder, 'node_modules'))) {
  console.error(`the peers are not installed: npm ci --prefix ${peersFolder}`);
  process.exit(1);
}
const configs = peerConfigs(packageVersion());
const called = `npm run bench:peers -- ${process.argv.slice(2).join(' ')}`;
if (options.static) {
  process.exit(await compileStatically(configs.forward));
}
const results: PeerResult[] = [];
let record: PeerReport['record'] | undefined;
const python = existsSync('/usr/bin/python3') ? '/usr/bin/python3' : 'python3';
const ourScript = packagedFile('dist/peer_ours.js');
for (const work of ['forward', ...(options.train ? ['train'] : [])] as const) {
  const config = configs[work as PeerConfig['work']];
  const folder = mkdtempSync(join(tmpdir(), 'aand-peers-'));
  try {
    await writeData(folder, config);
    const given = { ...config, folder };
    const node = (engine: string, provider: string, script: string) => ({
      name: `${engine} ${provider}`,
      start: () => startProcess(engine, provider, process.execPath, script, given),
    });
    const torch = {
      name: 'pytorch',
      start: () => startProcess('pytorch', 'cpu', python, 'pytorch.py', given),
    };
    const size = config.shape.join('x');
    const name = work === 'forward' ? `resnet18/forward/${size}` : `resnet18/train-step/${size}`;
    const peers = await startAll([
      node('aand-webgpu', 'webgpu', ourScript),
      ...(work === 'forward'
        ? [
            node('onnxruntime-node', 'cpu', 'onnxruntime.mjs'),
            node('onnxruntime-node', 'webgpu', 'onnxruntime.mjs'),
            node('onnxruntime-web', 'wasm', 'onnxruntime_wasm.mjs'),
            node('tfjs', 'wasm', 'tensorflow.mjs'),
          ]
        : []),
      node('tfjs', 'webgpu', 'tensorflow.mjs'),
      torch,
    ]);
    const adapter = peers[0]?.ready.adapter ?? '';
    record ??= provenance(called, adapter);
    results.push(
      ...(await compare(name, adapter, peers, work === 'forward' ? rounds : Math.ceil(rounds / 3))),
    );
    for (const peer of peers) await peer.close();
    if (work === 'forward' && options.browser && chromiumPath)
      results.push(...(await browsers(folder, name, ['ours', 'onnxruntime', 'tensorflow', 'jax', 'litert'])));
    if (work === 'train' && options.browser && chromiumPath) {
      // Small, for jax-js takes 15 seconds per step on SwiftShader even so.
      const small: PeerConfig = { ...config, shape: [2, 3, 64, 64], labels: config.labels.slice(0, 2) };
      await writeData(folder, small);
      results.push(...(await browsers(folder, 'resnet18/train-step/2x3x64x64', ['ours', 'jax'])));
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
if (options.json) writeFileSync(options.json, `${JSON.stringify({ record, results }, null, 2)}\n`);
process.exit(0);

/** The engines on Dawn on the compilers of GPUs; the exit code. */
async function compileStatically(config: PeerConfig): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'aand-peers-'));
  try {
    await writeData(folder, config);
    const given = { ...config, folder, provider: 'webgpu', hostRuns: 100 };
    const peers: StaticPeer[] = [
      { engine: 'aand-webgpu', own: true, script: packagedFile('dist/peer_ours.js'), config: given },
      { engine: 'onnxruntime-node', script: join(peersFolder, 'onnxruntime.mjs'), config: given },
      { engine: 'tfjs', script: join(peersFolder, 'tensorflow.mjs'), config: given },
    ];
    const all: FamilyPeers[] = [];
    const chosen = options.family?.map(familyNamed) ?? families.filter(({ name }) => !relatives.has(name));
    for (const family of chosen) {
      const missing = missingFor(family);
      if (missing && options.family) throw new Error(`${family.name}: ${missing}`);
      if (missing) {
        console.log(`${family.name} is left out: ${missing}`);
        continue;
      }
      const engines: PeerFigures[] = [];
      for (const peer of peers) engines.push(await peerFigures(family, peer));
      console.log(peerLines(family, engines));
      all.push({ family: family.name, engines });
    }
    const own = provenance(called, 'compilers of GPUs that are not there');
    if (options.json)
      writeFileSync(options.json, `${JSON.stringify({ record: own, families: all }, null, 1)}\n`);
    return 0;
  } catch (error) {
    console.error(`error: ${(error as Error).message}`);
    return 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function browsers(folder: string, name: string, engines: readonly string[]): Promise<PeerResult[]> {
  const modules = join(peersFolder, 'node_modules');
  const { server, url } = await serve(
    {
      '/script.js': join(peersFolder, 'page.mjs'),
      '/resnet18.mjs': join(peersFolder, 'resnet18.mjs'),
      '/resnet18_blocks.mjs': join(peersFolder, 'resnet18_blocks.mjs'),
      '/resnet18_jax.mjs': join(peersFolder, 'resnet18_jax.mjs'),
      '/resnet18_tflite.mjs': join(peersFolder, 'resnet18_tflite.mjs'),
      '/litert_package.json': join(modules, '@litertjs/core/package.json'),
      '/jax_package.json': join(modules, '@jax-js/jax/package.json'),
      '/ours.js': packagedFile('dist/peer_page.js'),
    },
    {
      '/data/': folder,
      '/onnxruntime/': join(modules, 'onnxruntime-web/dist'),
      '/jax/': join(modules, '@jax-js/jax/dist'),
      '/litert/': join(modules, '@litertjs/core/dist'),
      '/litert-utils/': join(modules, '@litertjs/wasm-utils/dist'),
      '/litert-wasm/': join(modules, '@litertjs/core/wasm'),
      '/flatbuffers/': join(modules, 'flatbuffers/mjs'),
      '/tfjs/': join(modules, '@tensorflow/tfjs/dist'),
      '/tfjs-webgpu/': join(modules, '@tensorflow/tfjs-backend-webgpu/dist'),
    },
  );
  try {
    const page = (engine: string) => ({
      name: `${engine} in Chromium`,
      start: () => startPage(engine, 'webgpu', url),
    });
    const peers = await startAll(engines.map(page));
    const compared = await compare(name, 'Chromium, SwiftShader', peers, 3);
    for (const peer of peers) await peer.close();
    return compared;
  } finally {
    server.close();
  }
}
