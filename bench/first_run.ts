/**
 * How long a first inference takes in a new process: with the caches of kernels empty, then filled; and how
 * long a model takes to load.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomPixels } from '../src/bench/values.ts';
import { imageInput } from '../src/data/image_input.ts';
import { Tape } from '../src/engine/graph/tape.ts';
import { Engine } from '../src/engine/runtime/engine.ts';
import { initialize } from '../src/engine/runtime/initialize.ts';
import { Program } from '../src/engine/runtime/program.ts';
import { ParameterStore } from '../src/engine/runtime/store.ts';
import { backbones } from '../src/model/backbones.ts';
import { detect, detectorParameters } from '../src/model/methods.ts';
import { loadParameters, storeParameters } from '../src/weights/parameters.ts';
import { readSafetensors, writeSafetensors } from '../src/weights/safetensors.ts';

const size = 256;

interface Start {
  /** From weights on the device to the first result. */
  readonly first_ms: number;
  /** From a model file's bytes to weights on the device. */
  readonly load_ms: number;
}

async function start(): Promise<Start> {
  const engine = await Engine.open();
  try {
    const set = detectorParameters(backbones.resnet18, 'aand');
    const store = new ParameterStore(engine, set);
    initialize(store, set.groups, 0);
    const started = performance.now();
    const tape = new Tape(set);
    const { map, score } = detect(tape, imageInput(tape, 1, size), backbones.resnet18, 'aand');
    const program = await Program.compile(engine, tape, { outputs: { map, score }, store });
    await program.run({ pixels: randomPixels(size * size * 3) });
    const first_ms = performance.now() - started;
    const bytes = writeSafetensors(await storeParameters(store, set.groups));
    const loading = performance.now();
    loadParameters(new ParameterStore(engine, set), set.groups, readSafetensors(bytes), 'bench');
    await engine.guard(engine.device.queue.onSubmittedWorkDone());
    return { first_ms, load_ms: performance.now() - loading };
  } finally {
    await engine.close();
  }
}

export interface FirstRun {
  readonly name: string;
  readonly cold_ms: number;
  readonly warm_ms: number;
  /** Of the second process. */
  readonly load_ms: number;
}

/**
 * Runs in processes of their own, with our kernels' cache and Mesa's in a new folder; other drivers' cold
 * figure may be a warm one.
 */
export function measureFirstRun(): FirstRun {
  const cache = mkdtempSync(join(tmpdir(), 'aand-cache-'));
  const child = () =>
    JSON.parse(
      execFileSync(process.execPath, [process.argv[1] as string, '--first-run-child'], {
        env: { ...process.env, XDG_CACHE_HOME: cache, MESA_SHADER_CACHE_DIR: join(cache, 'mesa') },
        stdio: ['ignore', 'pipe', 'ignore'],
        encoding: 'utf8',
      }),
    ) as Start;
  try {
    const cold = child();
    const warm = child();
    const name = `aand-resnet18/infer/1x3x${size}x${size}`;
    return { name, cold_ms: cold.first_ms, warm_ms: warm.first_ms, load_ms: warm.load_ms };
  } finally {
    rmSync(cache, { recursive: true, force: true });
  }
}

export async function firstRunChild(): Promise<void> {
  console.log(JSON.stringify(await start()));
}
