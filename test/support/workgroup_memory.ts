/** The same work on two engines, one of which has NaN in its workgroup memory. */
import { expect } from 'vitest';
import { runGoldenModel, runGoldenTraining } from '../../bench/support/golden_models.ts';
import { runGoldenOps } from '../../bench/support/golden_ops.ts';
import { Engine } from '../../src/engine/runtime/engine.ts';
import { type Retargeting, retarget } from '../../src/engine/runtime/retarget.ts';
import { poisonWorkgroups } from './poison.ts';
import { goldenSet } from './shared.ts';

export interface Pair extends AsyncDisposable {
  readonly plain: Engine;
  readonly poisoned: Engine;
  /** Modules of the second engine whose kernels have workgroup memory, as they are compiled. */
  readonly modules: ReadonlySet<string>;
}

export async function openPair(): Promise<Pair> {
  const plain = await Engine.open();
  const poisoned = await Engine.open();
  const close = async () => {
    await plain.close();
    await poisoned.close();
  };
  return { plain, poisoned, modules: poisonWorkgroups(poisoned), [Symbol.asyncDispose]: close };
}

type Results = Readonly<Record<string, Float32Array>>;

/** Runs work on both engines with the choices of another device; every bit must be the same. */
export async function same(
  { plain, poisoned }: Pair,
  choices: Retargeting,
  work: (engine: Engine) => Promise<Results>,
): Promise<void> {
  const [expected, actual] = [await work(retarget(plain, choices)), await work(retarget(poisoned, choices))];
  expect(Object.keys(actual)).toEqual(Object.keys(expected));
  const bytes = (values: Float32Array | undefined) =>
    values ? Buffer.from(values.buffer, values.byteOffset, values.byteLength) : Buffer.of();
  const differing = Object.keys(expected).filter(
    (name) => !bytes(expected[name]).equals(bytes(actual[name])),
  );
  expect(differing).toEqual([]);
}

/** The golden operations. */
export function sameOperations(pair: Pair, choices: Retargeting): Promise<void> {
  const operations = goldenSet('ops');
  return same(pair, choices, (engine) => runGoldenOps(engine, operations));
}

/** A detector, and training steps of both stages. */
export async function sameDetector(pair: Pair, choices: Retargeting): Promise<void> {
  const models = goldenSet('models');
  for (const work of [runGoldenModel, runGoldenTraining])
    await same(pair, choices, (engine) => work(engine, models, 'resnet18'));
}
