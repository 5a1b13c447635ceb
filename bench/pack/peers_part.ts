/** PyTorch on the same machine and the same networks, where python3 has it. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { buildCase } from '../../src/bench/run.ts';
import { randomPixels } from '../../src/bench/values.ts';
import { Tape } from '../../src/engine/graph/tape.ts';
import type { Engine } from '../../src/engine/runtime/engine.ts';
import { onnxGraph } from '../../src/export/onnx.ts';
import { imagenetDeviation, imagenetMean } from '../../src/image/normalize.ts';
import { backbones } from '../../src/model/backbones.ts';
import { detect } from '../../src/model/methods.ts';
import { detectorCase } from './detectors_part.ts';
import type { Part, PartContext } from './part.ts';
import { torchProgram } from './torch_program.ts';

type BackboneName = Parameters<typeof detectorCase>[0];

/** Largest difference of a map from ours, as a share of its largest value. */
const tolerance = { f32: 1e-3, tf32: 2e-2, f16: 2e-2 };

interface Measured {
  readonly network: string;
  readonly batch: number;
  readonly form: 'eager' | 'graph' | 'compiled';
  readonly precision: keyof typeof tolerance;
  /** Pixels from the processor's memory, map and score back into it; the network alone. Milliseconds. */
  readonly whole?: number;
  readonly alone?: number;
  readonly difference?: number;
  readonly error?: string;
}

interface Facts {
  readonly skipped?: string;
  readonly version?: string;
  readonly cuda?: string;
  readonly device?: string;
}

/** Writes a detector as a Python function, its weights, its pixels, and the map that this engine computes. */
export async function writeNetwork(
  engine: Engine,
  folder: string,
  [name, size, batch]: [BackboneName, number, number],
): Promise<object> {
  const { program, store, inputs, destroy } = await buildCase(engine, detectorCase(name, 1, size, false));
  try {
    const map = (await program.run(inputs)).map as Float32Array;
    const tape = new Tape(store.set);
    const images = tape.input('images', [1, size, size, 3], 'channels');
    const detected = detect(tape, images, backbones[name], 'aand');
    const outputs = { map: detected.map, score: detected.score };
    const { source, parameters } = torchProgram(await onnxGraph(tape, store, { name, version: '', outputs }));
    const write = (kind: string, values: Float32Array | Uint32Array) => {
      const file = `${name}.${kind}`;
      writeFileSync(join(folder, file), new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
      return file;
    };
    const total = parameters.reduce((sum, { values }) => sum + values.length, 0);
    const weights = new Float32Array(total);
    let offset = 0;
    const index = parameters.map(({ shape, values }) => {
      weights.set(values, offset);
      offset += values.length;
      return [shape, offset - values.length, values.length];
    });
    writeFileSync(join(folder, `${name}.py`), source);
    return {
      name,
      size,
      source: `${name}.py`,
      parameters: index,
      weights: write('weights', weights),
      pixels: write('pixels', randomPixels(batch * size * size * 3)),
      map: write('map', map),
      mean: imagenetMean,
      deviation: imagenetDeviation,
    };
  } finally {
    destroy();
  }
}

/** Runs the script; gives each line as it comes. Ends it where the time is up. */
async function runScript(
  script: string,
  folder: string,
  seconds: number,
  cpu: boolean,
  onLine: (line: unknown) => void,
): Promise<void> {
  const args = [script, folder, String(seconds), ...(cpu ? ['--cpu'] : [])];
  const child = spawn('python3', args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let words = '';
  child.stderr.on('data', (data: Buffer) => {
    words = (words + data.toString()).slice(-1500);
  });
  createInterface({ input: child.stdout }).on('line', (line) => {
    if (line.startsWith('{')) onLine(JSON.parse(line));
  });
  const timer = setTimeout(() => child.kill('SIGKILL'), 1000 * (seconds + 3));
  await new Promise<void>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      if (code === 0 || signal === 'SIGKILL') resolve();
      else reject(new Error(`${script} ended with code ${code}: ${words.trim()}`));
    });
  }).finally(() => clearTimeout(timer));
}

function keepMeasured(context: PartContext, m: Measured): void {
  const form = { eager: 'eager', graph: 'CUDA graph', compiled: 'torch.compile' }[m.form];
  const name = `PyTorch ${form}, ${m.network}, batch ${m.batch}, ${m.precision}`;
  if (m.whole === undefined || m.alone === undefined || m.difference === undefined) {
    context.keep({ name, passed: null, figures: {}, ...(m.error && { note: m.error }) });
    return;
  }
  const label = m.precision === 'f16' ? ['f16 with matrix units', 'f16'] : ['f32 tuned', 'f32'];
  const ours = label
    .map((kind) => context.figure('detectors', `${m.network}, batch ${m.batch}, ${kind}`, 'ms'))
    .filter((ms) => ms !== undefined);
  context.keep({
    name,
    passed: m.difference <= tolerance[m.precision] ? null : false,
    figures: {
      ms: m.whole,
      'images/s': (1000 * m.batch) / m.whole,
      'network alone ms': m.alone,
      'difference of the map': m.difference,
      ...(ours.length && { 'our ms': Math.min(...ours), 'time by ours': m.whole / Math.min(...ours) }),
    },
  });
}

export const peersPart: Part = {
  name: 'peers',
  title: 'Peers on this machine',
  about:
    'The same detectors with the same weights in PyTorch, one line per operation. ms: pixels as bytes from ' +
    "the processor's memory, normalised on the device, map and score back; as our own runs. f16 is " +
    'autocast with channels last. Time by ours: above 1 we are faster (ours: the faster of tuned and ' +
    'untuned in f32, also beside TF32; in f16 that with matrix units where there is one).',
  seconds: 80,
  async run(context) {
    const { quick, allowSoftware, data } = context.settings;
    const cpu = quick && allowSoftware;
    const names: BackboneName[] = quick ? ['resnet18'] : ['resnet18', 'wide_resnet50_2'];
    const [size, batches] = quick ? [64, [1]] : [256, [1, 16, 64]];
    const folder = mkdtempSync(join(tmpdir(), 'aand-peers-'));
    const skip = (note: string) => context.keep({ name: 'PyTorch', passed: null, figures: {}, note });
    try {
      const networks: object[] = [];
      await context.withEngine({}, async (engine) => {
        for (const name of names)
          networks.push(await writeNetwork(engine, folder, [name, size, Math.max(...batches)]));
      });
      writeFileSync(join(folder, 'networks.json'), JSON.stringify({ batches, networks }));
      const script = join(data, 'torch_peers.py');
      await runScript(script, folder, Math.max(1, context.secondsLeft - 3), cpu, (line) => {
        const facts = line as Facts & Partial<Measured>;
        if (facts.skipped) skip(facts.skipped);
        else if (facts.version)
          context.keep({
            name: 'PyTorch',
            passed: null,
            figures: {},
            note: `${facts.version}, CUDA ${facts.cuda}, ${facts.device}`,
          });
        else keepMeasured(context, line as Measured);
      });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') skip('skipped: there is no python3');
      else throw error;
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
};
