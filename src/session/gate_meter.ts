/**
 * How well the gates of stage I tell anomalous places from good ones: the area under the ROC curve over the
 * cells of a level, where a cell is anomalous as in training (method, 3.9). On synthetic anomalies that the
 * training has not drawn, and on the test set: where the first grows and the second falls, stage I overfits.
 */
import { mapAhead } from '../base/concurrently.ts';
import { RandomStream } from '../base/random.ts';
import type { Sample } from '../data/dataset.ts';
import { pixelWords } from '../data/image_input.ts';
import { type RegionOfInterest, regionPixels } from '../data/region.ts';
import type { UnreadableFiles } from '../data/unreadable.ts';
import { Tape } from '../engine/graph/tape.ts';
import type { Engine } from '../engine/runtime/engine.ts';
import { Program } from '../engine/runtime/program.ts';
import { ProgramCache } from '../engine/runtime/program_cache.ts';
import type { ParameterStore } from '../engine/runtime/store.ts';
import { rankMetrics } from '../eval/metrics.ts';
import type { Image } from '../image/image.ts';
import { normalizationTable } from '../image/normalize.ts';
import { needStudent } from '../model/method.ts';
import { type Mode, methodNamed } from '../model/methods.ts';
import { gridSide, type Teacher } from '../model/teacher.ts';
import { drawAnomaly, type TextureSource } from '../synthetic/anomaly.ts';
import { poolMask } from '../train/sampling.ts';
import { changedPixels, imageRecorder } from '../train/stage_images.ts';
import type { GateSeparation } from './learning_curve.ts';
import type { SampleReader } from './score_samples.ts';

/** Images with a synthetic anomaly that are measured on. */
const mostSynthetic = 64;
const perRun = 8;

/** An image with what is anomalous in it. */
export interface MarkedImage {
  readonly image: Image;
  /** 0/1 [size, size]. */
  readonly mask: Float32Array;
  /** 1 where the image is inspected: other cells do not count; undefined where all of it is. */
  readonly inspected?: Uint8Array | undefined;
  /** Pixels that no byte stands for. */
  readonly changed?: { readonly places: Uint32Array; readonly values: Float32Array };
}

/** Gate values of cells with their labels, per level. */
class Cells {
  readonly #scores: Float32Array[] = [];
  readonly #labels: Float32Array[] = [];

  add(scores: Float32Array, labels: Float32Array): void {
    this.#scores.push(scores);
    this.#labels.push(labels);
  }

  get area(): number | null {
    const flat = (parts: readonly Float32Array[]) => {
      const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
      let at = 0;
      for (const part of parts) {
        all.set(part, at);
        at += part.length;
      }
      return all;
    };
    return rankMetrics(flat(this.#scores), flat(this.#labels))?.auroc ?? null;
  }
}

/** Measures the gates of a training's parameters. */
export class GateMeter {
  readonly #engine: Engine;
  readonly #store: ParameterStore;
  readonly #teacher: Teacher;
  readonly #mode: Mode;
  readonly #size: number;
  readonly #programs = new ProgramCache<'gates'>();

  /** @param mode of a method with gates */
  constructor(engine: Engine, store: ParameterStore, teacher: Teacher, mode: Mode, size: number) {
    this.#engine = engine;
    this.#store = store;
    this.#teacher = teacher;
    this.#mode = mode;
    this.#size = size;
  }

  #program(): Promise<Program> {
    return this.#programs.get('gates', () => {
      const tape = new Tape(this.#store.set);
      const shape = { batch: perRun, size: this.#size };
      const images = imageRecorder({ samples: 'synthetic anomalies' }, shape)(tape);
      const method = needStudent(methodNamed(this.#mode), 'gates cannot be measured');
      const { gates } = method.targets(tape, images, this.#teacher);
      const outputs = Object.fromEntries(gates.map((gate, level) => [`gate${level}`, gate]));
      return Program.compile(this.#engine, tape, { outputs, store: this.#store });
    });
  }

  /** After the parameters were written. */
  refresh(): Promise<void> {
    return this.#programs.refresh();
  }

  /** The areas on some images, with the parameters that the store holds now. */
  async measure(images: AsyncIterable<MarkedImage>): Promise<GateSeparation> {
    const sides = this.#teacher.levels.map((level) => gridSide(level, this.#size));
    const cells = sides.map(() => new Cells());
    const program = await this.#program();
    const run = async (batch: readonly MarkedImage[]) => {
      // A short run is filled up with images that do not count: there is one program.
      const filled = Array.from({ length: perRun }, (_, i) => batch[i] ?? (batch[0] as MarkedImage));
      const none = { places: new Uint32Array(0), values: new Float32Array(0) };
      const result = await program.run({
        pixels: pixelWords(filled.map(({ image }) => image)),
        ...changedPixels(filled.map(({ changed = none }) => changed)),
      });
      for (const [level, side] of sides.entries()) {
        const gate = result[`gate${level}`] as Float32Array;
        batch.forEach(({ mask, inspected }, i) => {
          const scores = gate.slice(i * side * side, (i + 1) * side * side);
          const labels = poolMask(mask, 1, this.#size, side);
          const counted = inspected && poolMask(Float32Array.from(inspected), 1, this.#size, side);
          const pick = (values: Float32Array) => (counted ? values.filter((_, c) => counted[c]) : values);
          cells[level]?.add(pick(scores), pick(labels));
        });
      }
    };
    let batch: MarkedImage[] = [];
    for await (const marked of images) {
      batch.push(marked);
      if (batch.length < perRun) continue;
      await run(batch);
      batch = [];
    }
    if (batch.length) await run(batch);
    const levels = cells.map(({ area }) => area);
    const known = levels.filter((area) => area !== null);
    const mean = known.length ? known.reduce((sum, area) => sum + area, 0) / known.length : null;
    return { levels, mean };
  }

  destroy(): Promise<void> {
    return this.#programs.close();
  }
}

/** Good images with anomalies that depend on the seed alone, and that no epoch of a training draws. */
export async function* syntheticImages(o: {
  readonly images: readonly Image[];
  readonly foregrounds?: readonly Uint8Array[] | undefined;
  readonly textures: TextureSource;
  readonly imageSize: number;
  readonly seed: number;
}): AsyncGenerator<MarkedImage> {
  const table = normalizationTable();
  const count = Math.min(mostSynthetic, o.images.length);
  for (let i = 0; i < count; i++) {
    const item = Math.floor((i * o.images.length) / count);
    const image = o.images[item] as Image;
    const { mask, ...changed } = await drawAnomaly(
      (place) => table[(image.data[place] as number) * 3 + (place % 3)] as number,
      o.imageSize,
      o.foregrounds?.[item],
      o.textures,
      new RandomStream(o.seed, 'curve', item),
    );
    yield { image, mask, changed };
  }
}

/** Test images with their masks; those that cannot be read, and defects without a mask, are left out. */
export async function* markedSamples(
  samples: readonly Sample[],
  size: number,
  o: {
    readonly reader: SampleReader;
    readonly unreadable: UnreadableFiles;
    readonly signal?: AbortSignal | undefined;
    readonly region?: RegionOfInterest | undefined;
  },
): AsyncGenerator<MarkedImage> {
  const inspected = o.region && regionPixels(o.region, size, size);
  const load = (sample: Sample) =>
    o.unreadable.skip(async (): Promise<MarkedImage | undefined> => {
      const mask = await o.reader.truth(sample, size, size);
      const image = mask && (await o.reader.resized(sample, size));
      return image && { image, mask: Float32Array.from(mask), inspected };
    });
  for await (const marked of mapAhead(samples, load, 2 * perRun)) {
    o.signal?.throwIfAborted();
    if (marked) yield marked;
  }
}
