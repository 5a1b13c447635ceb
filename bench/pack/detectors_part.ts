/** Whole detectors: latency and throughput in f32, f16, and f16 with matrix units. */

import type { BenchCase } from '../../src/bench/case.ts';
import { largestDifference } from '../../src/bench/check.ts';
import { timeRuns, timeStream } from '../../src/bench/measure.ts';
import { compileCase, storeOf } from '../../src/bench/run.ts';
import { randomPixels } from '../../src/bench/values.ts';
import { imageInput } from '../../src/data/image_input.ts';
import type { Engine } from '../../src/engine/runtime/engine.ts';
import type { ParameterStore } from '../../src/engine/runtime/store.ts';
import { backbones } from '../../src/model/backbones.ts';
import { detect, detectorParameters } from '../../src/model/methods.ts';
import { halfTolerance } from '../support/half.ts';
import { peakColumns, peakRows } from './adapter_part.ts';
import type { Part, PartContext, Row } from './part.ts';

type BackboneName = 'resnet18' | 'wide_resnet50_2';

export function detectorCase(name: BackboneName, batch: number, size: number, half: boolean): BenchCase {
  const backbone = backbones[name];
  return {
    name: `aand-${name}`,
    kind: 'model',
    quick: false,
    half,
    parameters: (options) => detectorParameters(backbone, 'aand', options),
    record: (tape) => {
      const { map, score } = detect(tape, imageInput(tape, batch, size), backbone, 'aand');
      return { map, score };
    },
    inputs: () => ({ pixels: randomPixels(batch * size * size * 3) }),
  };
}

/** The first image's map in f32 with the table's kernels, by backbone: what the others are compared with. */
type References = Map<BackboneName, Float32Array>;

async function measured(
  context: PartContext,
  store: ParameterStore,
  references: References,
  [name, batch, size, half]: [BackboneName, number, number, boolean],
): Promise<Omit<Row, 'name'>> {
  const { program, outputs, inputs, destroy } = await compileCase(
    store,
    detectorCase(name, batch, size, half),
  );
  try {
    const read = Object.keys(outputs);
    const map = ((await program.run(inputs)).map as Float32Array).slice(0, size * size);
    if (!references.has(name)) references.set(name, map);
    const reference = references.get(name) as Float32Array;
    const difference = largestDifference(map, reference);
    const largest = reference.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const seconds = context.settings.quick ? 0.1 : 1;
    await program.run(inputs, read);
    const timing = await timeRuns(program, inputs, read, { runs: context.settings.quick ? 2 : 10, seconds });
    const stream = await timeStream(program, inputs, read, { runs: 4, seconds: seconds / 2 });
    const gflops = program.cost.flops / timing.median_ms / 1e6;
    const peak = context.figure('adapter', peakRows.fma, peakColumns.fma) ?? Number.NaN;
    const share = difference / largest;
    return {
      passed: share <= (half ? halfTolerance : 1e-3),
      figures: {
        ms: timing.median_ms,
        'spread %': 100 * timing.spread,
        'images/s': (1000 * batch) / timing.median_ms,
        'images/s, two runs in flight': (1000 * batch) / stream,
        'GFLOP/s': gflops,
        'share of f32 peak %': (100 * gflops) / peak,
        'JavaScript ms': timing.javascript_ms,
        dispatches: program.dispatchCount,
        'difference of the map': share,
        MiB: (program.bytes + store.bytes) / 2 ** 20,
      },
    };
  } finally {
    destroy();
  }
}

export const detectorsPart: Part = {
  name: 'detectors',
  title: 'Detectors',
  about:
    'AAND with random weights; pixels in as bytes, map and score out: whole runs by the clock, one after ' +
    'the other, and with two in flight. The map of the first image is compared with that of the first row ' +
    "of its network, as a share of the map's largest value. Arithmetic beyond the f32 peak is possible in " +
    'f16 alone.',
  seconds: 100,
  async run(context) {
    const { quick } = context.settings;
    const size = quick ? 64 : 256;
    const names: BackboneName[] = quick ? ['resnet18'] : ['resnet18', 'wide_resnet50_2'];
    const references: References = new Map();
    const each = async (engine: Engine, label: string, half: boolean, batches: readonly number[]) => {
      for (const name of names) {
        let store: ParameterStore | undefined;
        for (const batch of batches)
          await context.attempt(`${name}, batch ${batch}, ${label}`, () => {
            store ??= storeOf(engine, detectorCase(name, batch, size, half), half);
            return measured(context, store, references, [name, batch, size, half]);
          });
        store?.destroy();
      }
    };
    const batches = quick ? [1, 2] : [1, 16, 64];
    const missing = (label: string, note: string) =>
      context.keep({ name: label, passed: null, figures: {}, note });
    await context.withEngine({}, async (engine) => {
      await each(engine, 'f32', false, batches);
      if (!engine.device.features.has('shader-f16')) missing('f16', 'the adapter offers no shader-f16');
      else await each(engine, 'f16', true, batches);
    });
    await context.withEngine({ subgroupMatrices: true }, async (engine) => {
      if (!engine.target.matrixUnits?.length)
        missing('f16 with matrix units', 'the adapter offers no matrix units that the kernels can use');
      else await each(engine, 'f16 with matrix units', true, batches);
    });
    if (context.tunings.length)
      await context.withEngine({ tunings: context.tunings }, (tuned) =>
        each(tuned, 'f32 tuned', false, batches.slice(0, 2)),
      );
  },
};
