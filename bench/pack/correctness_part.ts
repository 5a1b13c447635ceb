/** Whether this device computes what the goldens say, and the same bits each time. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Engine } from '../../src/engine/runtime/engine.ts';
import { readSafetensors } from '../../src/weights/safetensors.ts';
import { beyondTolerance, type Comparison, GoldenSet } from '../support/golden.ts';
import {
  compareGoldenModels,
  goldenSizes,
  runGoldenModel,
  runGoldenTraining,
} from '../support/golden_models.ts';
import { compareGoldenOps, runGoldenOps } from '../support/golden_ops.ts';
import { type DetectorRun, halfTolerance, runDetector } from '../support/half.ts';
import type { Part, PartContext, Row } from './part.ts';

type Results = Readonly<Record<string, Float32Array>>;

/** Elements whose bits differ. */
export function differingValues(a: Results, b: Results): number {
  let count = 0;
  for (const [name, values] of Object.entries(a)) {
    const [x, y] = [values, b[name] ?? new Float32Array(0)].map(
      ({ buffer, byteOffset, length }) => new Uint32Array(buffer, byteOffset, length),
    ) as [Uint32Array, Uint32Array];
    x.forEach((bits, i) => {
      if (bits !== y[i]) count++;
    });
  }
  return count;
}

/** A row of comparisons with goldens, and of two runs with each other. */
export function judged(compared: readonly Comparison[], results: Results, again: Results): Omit<Row, 'name'> {
  const beyond = beyondTolerance(compared);
  const differing = differingValues(results, again);
  const worst = compared.reduce((most, { maxError, allowed }) => Math.max(most, maxError / allowed), 0);
  return {
    passed: compared.length > 0 && !beyond.length && !differing,
    figures: {
      tensors: compared.length,
      'beyond tolerance': beyond.length,
      'worst share of tolerance': worst,
      'values that differ in a second run': differing,
    },
    ...(beyond.length && {
      note: beyond
        .slice(0, 5)
        .map(
          ({ name, maxError, allowed }) =>
            `${name}: ${maxError.toExponential(1)} > ${allowed.toExponential(1)}`,
        )
        .join('; '),
    }),
  };
}

/**
 * The gradients of stage II come after five Adam steps of stage I, which make 2.6e-3 of another order of
 * sums (test/full/golden_training.test.ts): only the order of the goldens' own machine meets them.
 */
const comparable = ({ name }: Comparison) => !name.includes('/stage2/grad_norm/');

async function goldens(context: PartContext, engine: Engine, label: string): Promise<void> {
  const set = (name: string) => {
    const path = join(context.settings.data, `${name}.safetensors`);
    return new GoldenSet(readSafetensors(readFileSync(path), path));
  };
  const [operations, models] = [set('ops'), set('models')];
  const twice = async (
    name: string,
    compared: (results: Results) => Comparison[],
    run: () => Promise<Results>,
  ) =>
    context.attempt(`${name}, ${label}`, async () => {
      const results = await run();
      return judged(compared(results), results, await run());
    });
  await twice(
    'golden operations',
    (results) => compareGoldenOps(operations, results),
    () => runGoldenOps(engine, operations),
  );
  const under = (prefix: string, training: boolean) => (results: Results) =>
    compareGoldenModels(models, results).filter(
      (comparison) =>
        comparison.name.startsWith(prefix) &&
        comparison.name.includes('/stage') === training &&
        comparable(comparison),
    );
  const names = Object.keys(goldenSizes(models));
  for (const name of names.slice(0, context.settings.quick ? 1 : names.length))
    await twice(`golden detector ${name}`, under(`${name}/`, false), () =>
      runGoldenModel(engine, models, name),
    );
  for (const name of names.filter((other) => models.has(`${other}/stage1/losses`)))
    await twice(`golden training ${name}, both stages`, under(`${name}/`, true), () =>
      runGoldenTraining(engine, models, name),
    );
}

/** A detector in 16 bits beside one in 32 bits. */
function comparedHalf(full: DetectorRun, half: DetectorRun, again: DetectorRun): Omit<Row, 'name'> {
  const most = full.map.reduce((largest, value) => Math.max(largest, value), 0);
  const difference = full.map.reduce(
    (worst, value, i) => Math.max(worst, Math.abs(value - (half.map[i] as number))),
    0,
  );
  const differing = differingValues({ map: half.map }, { map: again.map });
  const share = difference / (halfTolerance * most);
  return {
    passed: share > 0 && share <= 1 && !differing,
    figures: {
      tensors: 1,
      'beyond tolerance': share <= 1 ? 0 : 1,
      'worst share of tolerance': share,
      'values that differ in a second run': differing,
    },
  };
}

const notOffered = (note: string): Omit<Row, 'name'> => ({ passed: null, figures: {}, note });

async function halves(context: PartContext): Promise<void> {
  await context.withEngine({}, (engine) =>
    context.attempt('detector resnet18, f16', async () => {
      if (!engine.device.features.has('shader-f16')) return notOffered('the adapter offers no shader-f16');
      const full = await runDetector(engine, false);
      return comparedHalf(full, await runDetector(engine, true), await runDetector(engine, true));
    }),
  );
  await context.withEngine({ subgroupMatrices: true }, (engine) =>
    context.attempt('detector resnet18, f16 with matrix units', async () => {
      if (!engine.device.features.has('shader-f16')) return notOffered('the adapter offers no shader-f16');
      if (!engine.target.matrixUnits?.length)
        return notOffered('the adapter offers no matrix units that the kernels can use');
      const full = await runDetector(engine, false);
      const half = await runDetector(engine, true);
      if (!/matrix/.test(half.plan)) return notOffered('the profile chooses no kernel for matrix units');
      return comparedHalf(full, half, await runDetector(engine, true));
    }),
  );
}

export const correctnessPart: Part = {
  name: 'correctness',
  title: 'Correctness',
  about:
    'Golden tensors of PyTorch (test/golden): operations with their gradients, detectors, five steps of ' +
    'both training stages. A detector in f16 may differ from f32 by 5e-3 of the largest value of its map. ' +
    'Everything runs twice and must have the same bits.',
  seconds: 100,
  async run(context) {
    await context.withEngine({}, (engine) => goldens(context, engine, 'f32'));
    await halves(context);
    if (!context.settings.quick)
      await context.withEngine({ minimal: true }, (engine) =>
        goldens(context, engine, "f32 within WebGPU's default limits"),
      );
  },
};
