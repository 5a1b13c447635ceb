/**
 * Which training images look like none of the others: among good images those may be defective. Each patch of
 * an image is compared with the patches of all other images, so that nothing has to be trained. Patches and
 * their features are PatchCore's (Roth et al., 2022, https://arxiv.org/abs/2106.08265), projected to few
 * channels.
 */

import { Interrupted, InvalidArgumentError } from '../base/errors.ts';
import { ParameterSet } from '../engine/graph/parameter_set.ts';
import { Tape } from '../engine/graph/tape.ts';
import { nearestInRanges } from '../engine/ops/nearest.ts';
import type { Engine } from '../engine/runtime/engine.ts';
import { Program } from '../engine/runtime/program.ts';
import { ProgramCache } from '../engine/runtime/program_cache.ts';
import { ParameterStore } from '../engine/runtime/store.ts';
import { patchcore } from '../model/patchcore.ts';
import { type FeatureOptions, FeatureReader, inRuns } from './feature_reader.ts';

/** How unlike all others an image is. */
export interface Suspicion {
  /** Mean of the largest values of the map. */
  readonly score: number;
  /** What each patch says, [side, side]. */
  readonly map: Float32Array;
  readonly side: number;
}

/** How distances become scores. */
export interface RankingForm {
  /** Which of the nearest images count, their distances averaged: 1 is the nearest one. */
  readonly neighbours: readonly number[];
  /**
   * What is taken off the distances of an image: their own mean, the median of all images at each position,
   * or nothing.
   */
  readonly off: 'own mean' | 'position' | 'nothing';
  /** Patches that make the score. */
  readonly patches: number;
}

/**
 * The form that ranked defects best in trials on screw and magnetic_tile with 5 to 20 % of defects
 * (`npm run learning -- suspects` measures it): how far the strangest patch of an image stands out of itself.
 * Three images count, for a defect that two images share hides itself from the nearest one alone. The own
 * mean is what makes a good part unlike the others as a whole, such as its pose or its light.
 */
export const rankingForm: RankingForm = { neighbours: [1, 2, 3], off: 'own mean', patches: 1 };

/** Side that images are compared at, in pixels. */
export const suspectSize = 256;
/** Images that a comparison needs: with fewer, each is as unlike the others as these are unlike it. */
export const fewestCompared = 3;
/** The nearest images whose distances are kept, of fewer images all. */
const keptNeighbours = 3;
const projectedChannels = 64;
/** Features are averaged over squares of so many positions a side: a quarter of the patches to compare. */
const pooled = 2;
/** Rows of other images are bound in parts within WebGPU's default binding of 128 MiB. */
const partBytes = 2 ** 27;

export type SuspectOptions = Omit<FeatureOptions, 'seed'> & {
  readonly signal?: AbortSignal | undefined;
  /** 1 where images are inspected, [imageSize, imageSize]: other patches make no score; undefined: all do. */
  readonly inspected?: Uint8Array | undefined;
  /** Told the images whose features are known. */
  readonly onFeatures?: ((done: number, total: number) => void) | undefined;
  /** Told the images that are compared with all others. */
  readonly onCompared?: ((done: number, total: number) => void) | undefined;
};

function meanOf(values: Float32Array): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function median(values: Float32Array): number {
  const sorted = values.slice().sort();
  const middle = sorted.length >> 1;
  const upper = sorted[middle] as number;
  return sorted.length % 2 ? upper : ((sorted[middle - 1] as number) + upper) / 2;
}

/** Patches with an inspected pixel, 0/1 [side, side], of pixels 0/1 [size, size]. */
function inspectedPatches(inspected: Uint8Array, size: number, side: number): Uint8Array {
  const result = new Uint8Array(side * side);
  inspected.forEach((value, i) => {
    const [x, y] = [i % size, Math.floor(i / size)];
    if (value) result[Math.floor((y * side) / size) * side + Math.floor((x * side) / size)] = 1;
  });
  return result;
}

/**
 * Scores from the distances of patches to other images.
 *
 * @param nearest of each image, as {@link nearestImages} gives them
 * @param patches of an image, a square number
 * @param counted 1 for patches that make scores, else 0; undefined: all do
 */
export function suspicionsOf(
  nearest: readonly (readonly Float32Array[])[],
  patches: number,
  form: RankingForm = rankingForm,
  counted?: Uint8Array | undefined,
): Suspicion[] {
  const distances = nearest.map((rows) => {
    const used = form.neighbours.flatMap((neighbour) => rows[neighbour - 1] ?? []);
    const mean = (patch: number) =>
      used.reduce((sum, row) => sum + (row[patch] as number), 0) / Math.max(used.length, 1);
    return Float32Array.from({ length: patches }, (_, patch) => mean(patch));
  });
  const usual = Float32Array.from({ length: form.off === 'position' ? patches : 0 }, (_, patch) =>
    median(Float32Array.from(distances, (each) => each[patch] as number)),
  );
  const side = Math.sqrt(patches);
  const pick = (values: Float32Array) =>
    counted ? values.filter((_, patch) => counted[patch]) : values.slice();
  return distances.map((each) => {
    const own = form.off === 'own mean' ? meanOf(pick(each)) : 0;
    const map = each.map((value, patch) =>
      counted && !counted[patch] ? 0 : value - own - (usual[patch] ?? 0),
    );
    return { score: meanOf(pick(map).sort().subarray(-form.patches)), map, side };
  });
}

/** The indices from the most suspicious image to the least; of equal ones the first comes first. */
export function rankedSuspects(suspicions: readonly Pick<Suspicion, 'score'>[]): number[] {
  const score = (i: number) => (suspicions[i] as Suspicion).score;
  return [...suspicions.keys()].sort((a, b) => score(b) - score(a) || a - b);
}

/** The means of squares of positions of a map [side, side, channels], written from `start` on. */
function pool(map: Float32Array, side: number, channels: number, into: Float32Array, start: number): void {
  const across = side / pooled;
  for (let y = 0; y < side; y++)
    for (let x = 0; x < side; x++) {
      const to = start + (Math.floor(y / pooled) * across + Math.floor(x / pooled)) * channels;
      const from = (y * side + x) * channels;
      for (let c = 0; c < channels; c++)
        into[to + c] = (into[to + c] as number) + (map[from + c] as number) / pooled ** 2;
    }
}

/** Features of all images. */
async function features(o: SuspectOptions): Promise<PatchRows> {
  // The projection is the same whatever a training's seed is, and so is the ranking.
  const reader = new FeatureReader({ ...o, seed: 0 }, patchcore, projectedChannels);
  try {
    const { rows, projected: channels } = reader;
    const side = Math.sqrt(rows);
    const patches = rows / pooled ** 2;
    const values = new Float32Array(o.images.length * patches * channels);
    for (const items of inRuns([...o.images.keys()])) {
      if (o.signal?.aborted) throw new Interrupted();
      const maps = await reader.read(items, 'projection');
      for (const [i, item] of items.entries()) {
        const map = maps.subarray(i * rows * channels, (i + 1) * rows * channels);
        pool(map, side, channels, values, item * patches * channels);
      }
      o.onFeatures?.((items.at(-1) as number) + 1, o.images.length);
    }
    return { values, rows: patches, channels };
  } finally {
    await reader.destroy();
  }
}

export interface PatchRows {
  /** Rows of all images, one image after the other, [images, rows, channels]. */
  readonly values: Float32Array;
  /** Rows of an image. */
  readonly rows: number;
  readonly channels: number;
}

/**
 * The Euclidean distances of every row of an image to the nearest row in each of the other images where these
 * are nearest. An image itself is none of them.
 *
 * @param imagesPerPart images whose rows are bound at once; default: what a binding of 128 MiB holds
 * @returns of each image, nearest first: [rows] to the nearest other image of each row, [rows] to the second,
 *   and so on
 * @throws Interrupted when the signal is raised; OutOfMemoryError; DeviceLostError
 */
export async function nearestImages(
  engine: Engine,
  { values, rows, channels }: PatchRows,
  {
    imagesPerPart = Math.max(1, Math.floor(partBytes / (rows * channels * 4))),
    signal,
    onCompared,
  }: Pick<SuspectOptions, 'signal' | 'onCompared'> & { readonly imagesPerPart?: number } = {},
): Promise<Float32Array[][]> {
  const perImage = rows * channels;
  const count = values.length / perImage;
  const parts = Array.from({ length: Math.ceil(count / imagesPerPart) }, (_, part) => ({
    name: `part${part}`,
    start: part * imagesPerPart,
    images: Math.min(imagesPerPart, count - part * imagesPerPart),
  }));
  const set = new ParameterSet();
  const record = (batch: number) => {
    const tape = new Tape(set);
    const patches = tape.input('patches', [batch, rows, 1, channels], 'channels');
    const outputs = parts.map(({ name, images }) => {
      const bank = tape.parameter(name, [images * rows, channels], 'channels', name);
      return [name, nearestInRanges(tape, patches, bank, rows)] as const;
    });
    return { tape, outputs: Object.fromEntries(outputs) };
  };
  record(1);
  const store = new ParameterStore(engine, set);
  const programs = new ProgramCache<number>();
  try {
    for (const { name, start, images } of parts)
      store.write(name, values.subarray(start * perImage, (start + images) * perImage));
    const found: Float32Array[][] = [];
    for (const items of inRuns([...Array(count).keys()])) {
      if (signal?.aborted) throw new Interrupted();
      const program = await programs.get(items.length, () => {
        const { tape, outputs } = record(items.length);
        return Program.compile(engine, tape, { outputs, store });
      });
      const first = items[0] as number;
      const patches = values.slice(first * perImage, (first + items.length) * perImage);
      const squared = await program.run({ patches });
      const others = (part: { name: string; start: number; images: number }, item: number) =>
        Array.from({ length: part.images }, (_, i) => i)
          .filter((i) => part.start + i !== item)
          .map((i) => {
            const at = (i * items.length + item - first) * rows;
            return (squared[part.name] as Float32Array).subarray(at, at + rows);
          });
      for (const item of items)
        found.push(
          nearestOf(
            parts.flatMap((part) => others(part, item)),
            rows,
          ),
        );
      onCompared?.(first + items.length, count);
    }
    return found;
  } finally {
    await programs.close();
    store.destroy();
  }
}

/** Row by row the smallest distances in order, from squares of each other image. */
function nearestOf(others: readonly Float32Array[], rows: number): Float32Array[] {
  const kept = Array.from({ length: Math.min(keptNeighbours, others.length) }, () =>
    new Float32Array(rows).fill(Number.POSITIVE_INFINITY),
  );
  for (const other of others)
    for (let row = 0; row < rows; row++) {
      let value = other[row] as number;
      for (const values of kept) {
        const before = values[row] as number;
        if (value >= before) continue;
        values[row] = value;
        value = before;
      }
    }
  return kept.map((values) => values.map(Math.sqrt));
}

/**
 * The first half of {@link findSuspects}: what any form of the ranking needs.
 *
 * @throws as {@link findSuspects}
 */
export async function compareImages(
  o: SuspectOptions,
): Promise<{ readonly nearest: Float32Array[][]; readonly patches: number }> {
  if (o.images.length < fewestCompared)
    throw new InvalidArgumentError(
      `${o.images.length} images cannot be compared with each other, ${fewestCompared} are needed at least`,
    );
  const found = await features(o);
  return { nearest: await nearestImages(o.engine, found, o), patches: found.rows };
}

/**
 * Compares every image with all others.
 *
 * @param o square images of one size, usually {@link suspectSize}, at least {@link fewestCompared}
 * @returns a suspicion per image, in their order
 * @throws InvalidArgumentError with fewer images; Error on an unusable teacher file; Interrupted when the
 *   signal is raised; OutOfMemoryError; DeviceLostError
 */
export async function findSuspects(o: SuspectOptions): Promise<Suspicion[]> {
  const { nearest, patches } = await compareImages(o);
  const counted = o.inspected && inspectedPatches(o.inspected, o.imageSize, Math.sqrt(patches));
  return suspicionsOf(nearest, patches, rankingForm, counted);
}
