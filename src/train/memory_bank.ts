/**
 * The bank of a method that keeps features: features of all good images, projected to few channels, a greedy
 * choice among them, and the whole features of what was chosen. Images are looked at twice, so that only the
 * projections of all and the bank lie in memory.
 */

import { Interrupted, InvalidArgumentError } from '../base/errors.ts';
import { RandomStream } from '../base/random.ts';
import { ParameterStore } from '../engine/runtime/store.ts';
import { groups } from '../model/groups.ts';
import { bankName, type MemoryMethod, methodParameters } from '../model/method.ts';
import { teacherFile } from '../weights/import.ts';
import { loadParameters } from '../weights/parameters.ts';
import type { CheckedOptions } from './check_options.ts';
import { greedyCoreset } from './coreset.ts';
import { FeatureReader, inRuns } from './feature_reader.ts';
import type { Progress } from './trainer.ts';

/** Share of the patches that is kept where the options say nothing: the paper's smallest. */
const defaultShare = 0.01;
/**
 * Patches that are kept at least where the options say nothing, as far as there are so many: 1 % of few or of
 * small images is too little (docs/results.md, "PatchCore, with several teachers").
 */
const leastPatches = 2500;
/** What is kept where the options say nothing, in words. */
export const defaultCoreset = `${defaultShare}, and at least ${leastPatches} patches`;

/**
 * How many patches a bank keeps.
 *
 * @param total patches of all images
 * @param share of them, above 0 and at most 1; undefined: {@link defaultCoreset}
 */
export function coresetSize(total: number, share?: number): number {
  const wanted = share === undefined ? Math.max(defaultShare * total, leastPatches) : share * total;
  return Math.max(1, Math.min(total, Math.round(wanted)));
}

/** The steps of the learning, as its progress names them. */
export const bankSteps = ['features', 'coreset', 'bank'] as const;
/** A bank is bound whole, so it stays within WebGPU's default binding of 128 MiB. */
const bankBytes = 2 ** 27;

/** Tells how far a step of the learning is, as the progress of one epoch. */
function progressOf(
  o: CheckedOptions,
  stage: (typeof bankSteps)[number],
  unit: Progress['unit'] = 'images',
): (done: number, total: number) => void {
  const started = performance.now();
  return (done, total) => {
    const imagesPerSecond = done / ((performance.now() - started) / 1000);
    o.onProgress?.({
      stage,
      epoch: 0,
      epochs: 1,
      images: done,
      unit,
      total,
      losses: {},
      imagesPerSecond,
      remaining: (total - done) / imagesPerSecond,
    });
  };
}

function needRunning(o: CheckedOptions): void {
  if (o.signal?.aborted) throw new Interrupted();
}

/**
 * Learns a bank: the caller owns the store of the detector. Nothing is kept of an interrupted learning.
 *
 * @throws Error on an unusable teacher file; InvalidArgumentError where the bank is larger than a binding;
 *   Interrupted when the signal is raised; OutOfMemoryError; DeviceLostError
 */
export async function learnBank(o: CheckedOptions, method: MemoryMethod): Promise<ParameterStore> {
  const reader = new FeatureReader(o, method);
  let store: ParameterStore | undefined;
  try {
    const { rows, channels, projected } = reader;
    const total = rows * o.images.length;
    const count = coresetSize(total, o.coreset);
    if (count * channels * 4 > bankBytes)
      throw new InvalidArgumentError(
        `a bank of ${count} of ${total} patches with ${channels} values each is larger than 128 MiB; ` +
          `at most ${Math.floor((bankBytes / (total * channels * 4)) * 1e4) / 1e4} of them fit (--coreset)`,
      );
    const projections = new Float32Array(total * projected);
    const reading = progressOf(o, 'features');
    for (const items of inRuns([...o.images.keys()])) {
      needRunning(o);
      const values = await reader.read(items, 'projection');
      projections.set(values, (items[0] as number) * rows * projected);
      reading((items.at(-1) as number) + 1, o.images.length);
    }
    const chosen = await greedyCoreset(o.engine, projections, projected, {
      count,
      first: new RandomStream(o.seed, 'coreset').integer(0, total - 1),
      signal: o.signal,
      onChosen: progressOf(o, 'coreset', 'patches'),
    });
    const bank = await gather(o, reader, chosen);
    store = new ParameterStore(o.engine, methodParameters(o.backbone, method, { rows: chosen.length }));
    const teacher = teacherFile(o.teacher, o.teacherName);
    loadParameters(store, [groups.teacher], teacher, o.teacherName, 'teacher.');
    store.write(bankName, bank);
    return store;
  } catch (error) {
    store?.destroy();
    throw error;
  } finally {
    await reader.destroy();
  }
}

/** The whole features of the chosen rows, [chosen, channels]. */
async function gather(o: CheckedOptions, reader: FeatureReader, chosen: Uint32Array): Promise<Float32Array> {
  const { rows, channels } = reader;
  const byImage = new Map<number, { row: number; place: number }[]>();
  for (const [place, index] of chosen.entries()) {
    const image = Math.floor(index / rows);
    const list = byImage.get(image) ?? [];
    list.push({ row: index % rows, place });
    byImage.set(image, list);
  }
  const bank = new Float32Array(chosen.length * channels);
  const gathering = progressOf(o, 'bank');
  let done = 0;
  for (const items of inRuns([...byImage.keys()].sort((a, b) => a - b))) {
    needRunning(o);
    const values = await reader.read(items, 'features');
    for (const [i, image] of items.entries())
      for (const { row, place } of byImage.get(image) ?? []) {
        const start = (i * rows + row) * channels;
        bank.set(values.subarray(start, start + channels), place * channels);
      }
    done += items.length;
    gathering(done, byImage.size);
  }
  return bank;
}
