/**
 * What a distillation measures beside its steps: the features of the big teacher, the statistics of the small
 * one's batch norms, and how far they are from each other on photographs that were not learned from.
 */

import type { ImageSource } from '../data/image_cache.ts';
import { pixelWords } from '../data/image_input.ts';
import type { ParameterSet } from '../engine/graph/parameter_set.ts';
import type { Tensor } from '../engine/graph/tensor.ts';
import type { Engine } from '../engine/runtime/engine.ts';
import { Program } from '../engine/runtime/program.ts';
import type { ParameterStore } from '../engine/runtime/store.ts';
import type { Image } from '../image/image.ts';
import { resizeBicubic } from '../image/resize.ts';
import {
  type DistillationShape,
  distillationGroups,
  recordBatchStatistics,
  recordSource,
  recordTeacherDistillation,
  selectionName,
  statisticsName,
} from './record_distillation.ts';

export interface Measured {
  readonly engine: Engine;
  readonly parameters: ParameterSet;
  readonly store: ParameterStore;
  readonly shape: DistillationShape;
}

/** Batches of views, all of one size. */
export type Batches = AsyncIterable<readonly Image[]>;

/** A channel that hardly varies is no reason to divide by nothing. */
const leastVariance = 1e-6;
/** Blocks have channels that never do anything: this much of the mean variance of all channels at least. */
const leastShare = 0.1;

/** So many channels, those with the most energy: cosine distances are theirs above all. Rising. */
function strongest(squares: Float64Array, count: number): number[] {
  return [...squares.keys()]
    .sort((a, b) => (squares[b] as number) - (squares[a] as number) || a - b)
    .slice(0, count)
    .sort((a, b) => a - b);
}

/**
 * Which channels of each width the learner has, and writes the matrices that select them. Parts of one width
 * have the same ones: shortcuts between them carry a channel to itself.
 *
 * @param outputs what was measured; of one width the first one decides
 */
function selectChannels(m: Measured, outputs: readonly { readonly squares: Float64Array }[]) {
  const chosen = new Map<number, readonly number[]>();
  for (const { squares } of outputs) {
    const width = squares.length;
    const name = selectionName(width);
    if (chosen.has(width) || !m.parameters.has(name)) continue;
    const count = m.parameters.spec(name).shape[3] as number;
    const channels = strongest(squares, count);
    const matrix = new Float32Array(width * count);
    for (const [to, from] of channels.entries()) matrix[from * count + to] = 1;
    m.store.write(name, matrix);
    chosen.set(width, channels);
  }
  return chosen;
}

/**
 * Writes mean and variance of every channel of the big teacher's levels, and of its parts where the store has
 * a place for them, over these views into the store. Where the learner has fewer channels, they are selected
 * here.
 *
 * @param batch images of each of the batches
 */
export async function measureSource(m: Measured, views: Batches, batch: number): Promise<void> {
  const { tape, measured } = recordSource(m.parameters, m.shape, batch);
  const wanted = [...measured].filter(([of]) => m.parameters.has(statisticsName(of, 'running_mean')));
  const outputs = Object.fromEntries(wanted.map(([of, output]) => [`${of}`, output]));
  const program = await Program.compile(m.engine, tape, { outputs, store: m.store });
  const sums = wanted.map(([of, { shape }]) => ({
    of,
    count: 0,
    sum: new Float64Array(shape[3] as number),
    squares: new Float64Array(shape[3] as number),
  }));
  try {
    for await (const images of views) {
      const values = await program.run({ pixels: pixelWords(images) });
      for (const each of sums) {
        const { of, sum, squares } = each;
        const features = values[`${of}`] as Float32Array;
        const channels = sum.length;
        for (let at = 0; at < features.length; at++) {
          const value = features[at] as number;
          const c = at % channels;
          sum[c] = (sum[c] as number) + value;
          squares[c] = (squares[c] as number) + value * value;
        }
        each.count += features.length / channels;
      }
    }
  } finally {
    program.destroy();
  }
  // Levels come first: they are what detectors measure.
  const chosen = selectChannels(m, sums);
  for (const { of, count, sum: all, squares: allSquares } of sums) {
    const channels = chosen.get(all.length);
    const sum = channels ? Float64Array.from(channels, (c) => all[c] as number) : all;
    const squares = channels ? Float64Array.from(channels, (c) => allSquares[c] as number) : allSquares;
    const mean = sum.map((value) => value / count);
    const varied = squares.map((value, c) => value / count - (mean[c] as number) ** 2);
    const usual = varied.reduce((total, value) => total + value, 0) / varied.length;
    const least = typeof of === 'number' ? leastVariance : leastShare * usual;
    const variance = varied.map((value) => Math.max(least, value));
    m.store.write(statisticsName(of, 'running_mean'), Float32Array.from(mean));
    m.store.write(statisticsName(of, 'running_var'), Float32Array.from(variance));
  }
}

/**
 * Estimates the running statistics of the learner anew: the mean over batches of each batch's statistics with
 * the weights as they are. Those that training leaves behind are of the last few batches alone.
 */
export async function estimateBatchNorms(m: Measured, views: Batches, batch: number): Promise<void> {
  const { tape, level } = recordBatchStatistics(m.parameters, m.shape, batch);
  const names = m.parameters.specs
    .filter(({ name, group }) => group === distillationGroups.learner && /\.running_(mean|var)$/.test(name))
    .map(({ name }) => name);
  const program = await Program.compile(m.engine, tape, { outputs: { level }, store: m.store });
  const sums = new Map<string, Float64Array>();
  let batches = 0;
  try {
    for await (const images of views) {
      await program.run({ pixels: pixelWords(images) }, []);
      batches++;
      for (const [name, values] of await m.store.read(names)) {
        const sum = sums.get(name) ?? new Float64Array(values.length);
        values.forEach((value, c) => {
          sum[c] = (sum[c] as number) + value;
        });
        sums.set(name, sum);
      }
    }
  } finally {
    program.destroy();
  }
  for (const [name, sum] of sums)
    m.store.write(
      name,
      Float32Array.from(sum, (value) => value / batches),
    );
}

/** Distances of the small teacher from the big one, finest level first. */
export interface TeacherDistance {
  /** Mean of 1 - cosine over positions. */
  readonly cosine: number[];
  /** Mean square error of the features normalised per channel. */
  readonly error: number[];
}

/** The small teacher as it is used against the big one, on whole photographs. */
export async function compareTeachers(
  m: Measured,
  images: ImageSource,
  batch: number,
): Promise<TeacherDistance> {
  const { imageSize } = m.shape;
  const sums: number[] = [];
  for (let start = 0; start < images.length; ) {
    const count = Math.min(batch, images.length - start);
    const { tape, levels } = recordTeacherDistillation(m.parameters, m.shape, count, false);
    const outputs: Record<string, Tensor> = {};
    for (const [i, { cosine, error }] of levels.entries()) {
      outputs[`${i}`] = cosine;
      outputs[`${levels.length + i}`] = error;
    }
    const program = await Program.compile(m.engine, tape, { outputs, store: m.store });
    try {
      // The program of a full batch serves all full ones.
      for (; images.length - start >= count; start += count) {
        const views = await Promise.all(
          Array.from({ length: count }, async (_, i) =>
            resizeBicubic(await images.image(start + i), imageSize, imageSize),
          ),
        );
        const values = await program.run({ pixels: pixelWords(views) });
        for (const [name, value] of Object.entries(values))
          sums[Number(name)] = (sums[Number(name)] ?? 0) + ((value as Float32Array)[0] as number) * count;
      }
    } finally {
      program.destroy();
    }
  }
  const means = sums.map((sum) => sum / images.length);
  return { cosine: means.slice(0, means.length / 2), error: means.slice(means.length / 2) };
}
