/** The bench in the page: the same networks as `npm run bench`, timed by the clock. */

import { RandomStream } from '../src/base/random.ts';
import { imageInput } from '../src/data/image_input.ts';
import { Tape } from '../src/engine/graph/tape.ts';
import { elements, type Tensor } from '../src/engine/graph/tensor.ts';
import type { Engine } from '../src/engine/runtime/engine.ts';
import { initialize } from '../src/engine/runtime/initialize.ts';
import { measurePeaks } from '../src/engine/runtime/peak.ts';
import { Program, type RunInputs } from '../src/engine/runtime/program.ts';
import { ParameterStore } from '../src/engine/runtime/store.ts';
import { backbones } from '../src/model/backbones.ts';
import { groups, teacherFeatures } from '../src/model/groups.ts';
import { detect, detectorParameters, methods } from '../src/model/methods.ts';
import { stepInput } from '../src/train/schedule.ts';
import { recordStep } from '../src/train/step_programs.ts';
import type { BenchLine, BenchReport } from './types.ts';

interface Case {
  readonly name: string;
  readonly record: (tape: Tape) => Record<string, Tensor>;
  readonly inputs?: RunInputs;
}

const backbone = backbones.resnet18;

const cases: readonly Case[] = [
  ...([64, 256] as const).map(
    (size): Case => ({
      name: `resnet18 teacher, 1x3x${size}x${size}`,
      record: (tape) => {
        const features = teacherFeatures(
          tape,
          tape.input('images', [1, size, size, 3], 'channels'),
          backbone,
        );
        return Object.fromEntries(features.map((feature, level) => [`level${level}`, feature]));
      },
    }),
  ),
  ...([128, 256] as const).map(
    (size): Case => ({
      name: `whole detector, 1x3x${size}x${size}`,
      record: (tape) => {
        const { map, score } = detect(tape, imageInput(tape, 1, size), backbone, 'aand');
        return { map, score };
      },
    }),
  ),
  {
    name: 'stage II step, 8x3x64x64',
    inputs: stepInput(1, 0.005),
    record: (tape) => {
      const [, distillation] = methods.aand.stages;
      const { loss } = distillation.record(tape, { teacher: backbone, size: 64, batch: 8, cached: true });
      recordStep(tape, loss, groups.student);
      return { loss };
    },
  },
];

const runs = 7;
const longest = 10_000;

async function time(engine: Engine, { name, record, inputs }: Case): Promise<BenchLine> {
  const set = detectorParameters(backbone, 'aand');
  const store = new ParameterStore(engine, set);
  initialize(store, set.groups, 0);
  const tape = new Tape(set);
  const outputs = record(tape);
  const program = await Program.compile(engine, tape, { outputs, store });
  try {
    const random = new RandomStream('bench');
    const given: Record<string, RunInputs[string]> = { ...inputs };
    for (const { name, shape } of tape.inputs)
      given[name] ??=
        name === 'pixels'
          ? Uint32Array.from({ length: elements(shape) }, () => Math.floor(random.next() * 2 ** 32))
          : Float32Array.from({ length: elements(shape) }, () => random.next());
    await program.run(given);
    const samples: number[] = [];
    const started = performance.now();
    while (samples.length < runs && (samples.length < 3 || performance.now() - started < longest)) {
      const begin = performance.now();
      await program.run(given);
      samples.push(performance.now() - begin);
    }
    samples.sort((a, b) => a - b);
    const at = (share: number) => samples[Math.floor(share * (samples.length - 1))] as number;
    const { flops, bytes } = program.cost;
    const median = at(0.5);
    return {
      name,
      median_ms: median,
      spread: (at(0.75) - at(0.25)) / 2 / median,
      gflops: flops / median / 1e6,
      intensity: flops / bytes,
      dispatches: program.dispatchCount,
    };
  } finally {
    program.destroy();
    store.destroy();
  }
}

export async function runBench(
  engine: Engine,
  onProgress: (done: number, total: number) => void,
): Promise<BenchReport> {
  const peaks = await measurePeaks(engine);
  const results: BenchLine[] = [];
  for (const [i, benchCase] of cases.entries()) {
    onProgress(i, cases.length);
    results.push(await time(engine, benchCase));
  }
  onProgress(cases.length, cases.length);
  const { description, vendor, architecture } = engine.adapter;
  return { adapter: description || `${vendor} ${architecture}`, peaks, results };
}
