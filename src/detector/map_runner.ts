/** Runs a detector's parameters on images: raw maps and scores, whole images or tiles. */

import { mapConcurrently } from '../base/concurrently.ts';
import { ClosedError } from '../base/errors.ts';
import { imageInput, pixelWords } from '../data/image_input.ts';
import { type RegionOfInterest, regionPixels } from '../data/region.ts';
import { type ImageSource, type TakenImage, takeImage, takeImages } from '../data/sources.ts';
import { readTiles, TileBlender, type Tiling, tileGrid } from '../data/tiles.ts';
import { Tape } from '../engine/graph/tape.ts';
import type { Engine } from '../engine/runtime/engine.ts';
import { Program } from '../engine/runtime/program.ts';
import { ProgramCache } from '../engine/runtime/program_cache.ts';
import type { ParameterStore } from '../engine/runtime/store.ts';
import { allDone } from '../engine/runtime/watch.ts';
import type { ImageBands } from '../image/bands.ts';
import type { Image } from '../image/image.ts';
import { resizeBicubic } from '../image/resize.ts';
import { detect, type Mode, methodNamed } from '../model/methods.ts';
import type { Teacher } from '../model/teacher.ts';
import { Explainer, type LevelExplanation } from './explain.ts';

/** Scores without a threshold. */
export interface RawPrediction {
  /**
   * Largest value of the map; of a bank the weighted distance of one patch, but not with tiles or a region of
   * interest.
   */
  readonly score: number;
  /** Raw anomaly map [height, width]; 0 where the image is not inspected. */
  readonly map: Float32Array;
  /** Size of the map: the model's image size, or that of the blended tiles. */
  readonly width: number;
  readonly height: number;
  /**
   * Of a model with a region of interest: 1 where the image is inspected, else 0, [height, width]; absent
   * where all of it is. Predictions share it.
   */
  readonly inspected?: Uint8Array<ArrayBuffer> | undefined;
}

/** A prediction of a whole image, as its region of interest alone makes it. */
function inspectedPart(raw: RawPrediction, region: RegionOfInterest | undefined): RawPrediction {
  if (!region) return raw;
  const { width, height } = raw;
  const inspected = regionPixels(region, width, height);
  let score = 0;
  const map = raw.map.map((value, i) => {
    if (!inspected[i]) return 0;
    score = Math.max(score, value);
    return value;
  });
  return { ...raw, score, map, inspected };
}

/**
 * Images per run. There are programs for these numbers alone, so that memory does not grow with every number
 * of images that comes; an image's result has the same bits in each.
 */
const runSizes = [8, 1] as const;
const tilesPerRun = runSizes[0];

/** Images of one run of the device. */
export type RunSize = (typeof runSizes)[number];

/** How far a detector is with getting ready. */
export interface WarmupProgress {
  /** `compiling`: the driver makes the kernels; `first run`: what a driver still does at the first image. */
  readonly stage: 'compiling' | 'first run';
  /** Images of the run that is made ready. */
  readonly images: RunSize;
  /** Of all that is to do, 0 to 1. */
  readonly fraction: number;
}

/** What a detector keeps on the device, in bytes. */
export interface DetectorMemory {
  readonly parameters: number;
  /** Of compiled programs: none before the first image, two at most beside the explaining one. */
  readonly programs: number;
}

// Share of getting ready that is compiling.
const compiling = 0.9;

/** Cuts a list into runs: as many large ones as it fills, the rest one by one. */
function cutIntoRuns<T>(images: readonly T[]): { readonly size: RunSize; readonly part: T[] }[] {
  const runs: { readonly size: RunSize; readonly part: T[] }[] = [];
  for (let start = 0; start < images.length; start += runs.at(-1)?.size ?? 1) {
    const size = runSizes.find((size) => start + size <= images.length) ?? 1;
    runs.push({ size, part: images.slice(start, start + size) });
  }
  return runs;
}

/** The inference programs of a detector's parameters, by the number of images. */
export class MapRunner {
  readonly imageSize: number;
  /** Which part of every image counts; undefined for all of it. */
  readonly region: RegionOfInterest | undefined;
  readonly #engine: Engine;
  readonly #store: ParameterStore;
  readonly #backbone: Teacher;
  readonly #mode: Mode;
  #programs = new ProgramCache<RunSize>();
  readonly #calls = new Set<Promise<unknown>>();
  readonly #releases = new Set<Promise<unknown>>();
  #explainer: Explainer | undefined;
  #closing: Promise<void> | undefined;

  /** A runner of the parameters in a store, which stays the caller's. */
  constructor(
    engine: Engine,
    store: ParameterStore,
    backbone: Teacher,
    mode: Mode,
    imageSize: number,
    region?: RegionOfInterest | undefined,
  ) {
    this.#engine = engine;
    this.#store = store;
    this.#backbone = backbone;
    this.#mode = mode;
    this.imageSize = imageSize;
    this.region = region;
  }

  /**
   * The program for runs of so many images, compiled at its first use.
   *
   * @param onPipeline told how many of its kernels are compiled, where it was not compiled before
   */
  program(size: RunSize, onPipeline?: (ready: number, total: number) => void): Promise<Program> {
    return this.#programs.get(size, async () => {
      const tape = new Tape(this.#store.set);
      const images = imageInput(tape, size, this.imageSize);
      const { map, score } = detect(tape, images, this.#backbone, this.#mode);
      return Program.compile(this.#engine, tape, {
        outputs: { map, score },
        store: this.#store,
        ...(onPipeline && { onProgress: onPipeline }),
      });
    });
  }

  /** What it keeps on the device, the parameters of its store included. */
  get memory(): DetectorMemory {
    const programs = this.#programs.bytes + (this.#explainer?.bytes ?? 0);
    return { parameters: this.#store.bytes, programs };
  }

  /**
   * Compiles the programs and runs each once, so that no image waits for that.
   *
   * @param sizes images of the runs that will come: 1 for single images, 8 for lists of eight and more
   */
  warmup(
    onProgress?: (progress: WarmupProgress) => void,
    sizes: readonly RunSize[] = runSizes,
  ): Promise<void> {
    return this.#call(async () => {
      const side = this.imageSize;
      const black: Image = { width: side, height: side, channels: 3, data: new Uint8Array(side * side * 3) };
      for (const [i, images] of sizes.entries()) {
        const tell = (stage: WarmupProgress['stage'], share: number) =>
          onProgress?.({ stage, images, fraction: (i + share) / sizes.length });
        await this.program(images, (ready, total) => tell('compiling', (compiling * ready) / total));
        tell('first run', compiling);
        await this.#run(Array.from({ length: images }, () => black));
        tell('first run', 1);
      }
    });
  }

  /**
   * Frees the programs, after the calls that are under way; the parameters stay on the device. The next image
   * compiles them again, from what driver and cache have kept.
   */
  release(): Promise<void> {
    const [programs, explainer] = [this.#programs, this.#explainer];
    this.#programs = new ProgramCache();
    this.#explainer = undefined;
    // What begins from now on has programs of its own.
    const calls = [...this.#calls];
    const release = Promise.allSettled(calls).then(() => allDone([programs.close(), explainer?.close()]));
    this.#releases.add(release);
    return release.then(() => {}).finally(() => this.#releases.delete(release));
  }

  /** Work of the caller's: closing waits for it. */
  async #call<T>(work: () => Promise<T>): Promise<T> {
    if (this.#closing) throw new ClosedError('the detector is closed');
    this.#engine.check();
    this.#store.check();
    const call = work();
    this.#calls.add(call);
    try {
      return await call;
    } finally {
      this.#calls.delete(call);
    }
  }

  /**
   * Raw predictions of images of the model's own size, in their order.
   *
   * @param images resized to imageSize x imageSize
   */
  run(images: readonly Image[]): Promise<RawPrediction[]> {
    return this.#call(() => this.#runWhole(images));
  }

  async #runWhole(images: readonly Image[]): Promise<RawPrediction[]> {
    return (await this.#run(images)).map((raw) => inspectedPart(raw, this.region));
  }

  async #run(images: readonly Image[]): Promise<RawPrediction[]> {
    const runs: Promise<RawPrediction[]>[] = [];
    let failed = false;
    for (const { size, part } of cutIntoRuns(images)) {
      if (failed) break;
      const run = this.#runOnce(size, part);
      run.catch(() => {
        failed = true;
      });
      runs.push(run);
      // One is prepared while the one before it runs.
      await Promise.allSettled(runs.slice(-2, -1));
    }
    return (await allDone(runs)).flat();
  }

  async #runOnce(size: RunSize, images: readonly Image[]): Promise<RawPrediction[]> {
    const program = await this.program(size);
    const { map, score } = (await program.run({ pixels: pixelWords(images) })) as {
      map: Float32Array;
      score: Float32Array;
    };
    const area = this.imageSize ** 2;
    return images.map((_, i) => ({
      score: score[i] as number,
      map: map.slice(i * area, (i + 1) * area),
      width: this.imageSize,
      height: this.imageSize,
    }));
  }

  /**
   * Images of any size and source: resized as in training, or cut into tiles whose maps are blended (the
   * score is then the largest value of the blended map).
   *
   * @throws Error on an image whose values, size and channels do not fit together, or that cannot be read;
   *   without tiles before any is looked at
   */
  predict(images: readonly ImageSource[], tiling?: Tiling): Promise<RawPrediction[]> {
    return this.#call(async () => this.#predict(takeImages(images), tiling));
  }

  async #predict(images: readonly TakenImage[], tiling: Tiling | undefined): Promise<RawPrediction[]> {
    const side = this.imageSize;
    if (!tiling) return this.#runWhole(await mapConcurrently(images, (image) => image.resized(side)));
    const results: RawPrediction[] = [];
    for (const image of images) results.push(await image.bands((bands) => this.#predictTiles(bands, tiling)));
    return results;
  }

  /**
   * One image cut into tiles, read band by band: only a band of it and what of the map is still open are in
   * memory beside the map.
   *
   * @param onTiles told after each run of tiles; what it throws ends the prediction
   */
  predictTiles(
    image: ImageBands,
    tiling: Tiling,
    onTiles?: (done: number, total: number) => void,
  ): Promise<RawPrediction> {
    return this.#call(() => this.#predictTiles(image, tiling, onTiles));
  }

  async #predictTiles(
    image: ImageBands,
    tiling: Tiling,
    onTiles?: (done: number, total: number) => void,
  ): Promise<RawPrediction> {
    const side = this.imageSize;
    const total = tileGrid(image.width, image.height, tiling).length;
    const blender = new TileBlender(image, tiling, side, side / tiling.size);
    let done = 0;
    let parts: Image[] = [];
    // One run of tiles is read and resized while the device works on the one before it.
    let pending: Promise<RawPrediction[]> = Promise.resolve([]);
    const finishPending = async () => {
      const maps = await pending;
      for (const { map } of maps) blender.add(map);
      done += maps.length;
      if (maps.length) onTiles?.(done, total);
    };
    const runParts = async () => {
      const next = this.#run(parts);
      // Where the run before fails, nobody waits for this one.
      next.catch(() => {});
      parts = [];
      await finishPending();
      pending = next;
    };
    for await (const { image: part } of readTiles(image, tiling)) {
      parts.push(resizeBicubic(part, side, side));
      if (parts.length === tilesPerRun) await runParts();
    }
    if (parts.length) await runParts();
    await finishPending();
    const { width, height, values } = blender.finish();
    const score = values.reduce((a, b) => Math.max(a, b));
    return inspectedPart({ score, map: values, width, height }, this.region);
  }

  /**
   * The levels behind an image's map, none for a method that rebuilds nothing; the image is resized as for a
   * prediction.
   */
  explain(image: ImageSource): Promise<LevelExplanation[]> {
    return this.#call(async () => {
      const taken = takeImage(image, 'the image');
      const method = methodNamed(this.#mode);
      if (method.learns !== 'student') return [];
      this.#explainer ??= new Explainer(this.#engine, this.#store, this.#backbone, method, this.imageSize);
      const explainer = this.#explainer;
      return explainer.explain(await taken.resized(this.imageSize));
    });
  }

  /** After the parameters were written. */
  async refresh(): Promise<void> {
    await this.#call(() => allDone([this.#programs.refresh(), this.#explainer?.refresh()]));
  }

  /** Frees the programs, after the calls that are under way; later ones reject with a ClosedError. */
  destroy(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await Promise.allSettled([...this.#calls, ...this.#releases]);
    await this.#programs.close();
    await this.#explainer?.close();
  }
}
