/** The worker: everything that needs the GPU or much time. The page's own thread only draws and listens. */
import * as Comlink from 'comlink';
import { decodeImage } from '#platform';
import type { BenchReport } from '../src/bench/report.ts';
import type { RegionOfInterest } from '../src/data/region.ts';
import { Detector } from '../src/detector/detector.ts';
import { type DetectorFile, rewriteDetector } from '../src/detector/file.ts';
import type { WarmupProgress } from '../src/detector/map_runner.ts';
import type { DetectorSettings } from '../src/detector/settings.ts';
import { Engine } from '../src/engine/runtime/engine.ts';
import type { Image } from '../src/image/image.ts';
import { resizeBicubic } from '../src/image/resize.ts';
import { withRegion } from '../src/session/calibrate.ts';
import { fineTune } from '../src/session/fine_tune.ts';
import { benchInPage } from './bench_run.ts';
import { imageBytes, keptTraining } from './kept.ts';
import { LongWork } from './long_work.ts';
import { readModel } from './model_file.ts';
import { Trainer } from './training.ts';
import { readTunings, tuneDevice } from './tuning.ts';
import type {
  BenchEvent,
  BenchRequest,
  DeviceFacts,
  LevelMaps,
  MapResult,
  TrainingProgress,
  TuningProgress,
} from './types.ts';

const rememberedImages = 16;

/** The model that the user opened; what it needs on the device is made when it is used. */
interface ChosenModel {
  readonly file: DetectorFile;
  readonly name: string;
}

interface MarkedImage {
  readonly name: string;
  readonly bytes: ArrayBuffer;
}

interface OpenModel {
  readonly engine: Engine;
  readonly detector: Detector;
}

function imageOf(bitmap: ImageBitmap): Image {
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
  if (!context) throw new Error('this browser offers no 2-D canvas in workers');
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const rgba = context.getImageData(0, 0, width, height).data;
  const data = new Uint8Array(width * height * 3);
  for (let i = 0; i < width * height; i++)
    for (let c = 0; c < 3; c++) data[i * 3 + c] = rgba[i * 4 + c] as number;
  return { width, height, channels: 3, data };
}

async function decode(source: ArrayBuffer | ImageBitmap, name: string): Promise<Image> {
  return source instanceof ArrayBuffer ? decodeImage(new Uint8Array(source), name) : imageOf(source);
}

export class Machine {
  #engine: Promise<Engine> | undefined;
  #chosen: ChosenModel | undefined;
  #model: OpenModel | undefined;
  #stopTuning: AbortController | undefined;
  #stopBench: AbortController | undefined;
  readonly #longWork = new LongWork();
  readonly #trainer = new Trainer(() => this.#open(), this.#longWork);

  /** The device, opened at the first need and again after it was lost. */
  #open(): Promise<Engine> {
    if (!this.#engine) {
      const opening = readTunings().then((tunings) => Engine.open({ tunings }));
      const forget = () => {
        if (this.#engine === opening) this.#engine = undefined;
      };
      this.#engine = opening;
      opening.then(
        (engine) =>
          engine.ended.then(() => {
            forget();
            return engine.close();
          }),
        forget,
      );
    }
    return this.#engine;
  }

  async device(): Promise<DeviceFacts> {
    const { adapter, isSoftware, profile, target } = await this.#open();
    const name =
      adapter.description || [adapter.vendor, adapter.architecture].filter(Boolean).join(' ') || 'GPU';
    return { name, profile: profile.name, software: isSoftware, subgroupSize: target.subgroupSize };
  }

  /**
   * Opens a detector file, and makes it ready for single images; the one before stays chosen where this one
   * cannot be opened.
   */
  async openModel(
    bytes: ArrayBuffer,
    name: string,
    onProgress?: (progress: WarmupProgress) => void,
  ): Promise<DetectorSettings> {
    const chosen = { file: await readModel(new Uint8Array(bytes), name), name };
    // Not both at once in the GPU's memory; where the new one fails, the next image loads the old one again.
    await this.#close();
    const model = await this.#load(chosen);
    try {
      await model.detector.warmup(onProgress, [1]);
    } catch (error) {
      await model.detector.close();
      throw error;
    }
    this.#model = model;
    this.#chosen = chosen;
    return chosen.file.settings;
  }

  async #load({ file, name }: ChosenModel): Promise<OpenModel> {
    const engine = await this.#open();
    return { engine, detector: await Detector.fromFile(engine, file, name) };
  }

  async #close(): Promise<void> {
    const model = this.#model;
    this.#model = undefined;
    await model?.detector.close();
  }

  /** The chosen model on a device that works. */
  async #opened(): Promise<OpenModel & ChosenModel> {
    if (!this.#chosen) throw new Error('no model is open');
    if (this.#model?.engine !== (await this.#open())) {
      await this.#close();
      this.#model = await this.#load(this.#chosen);
    }
    return { ...(this.#model as OpenModel), ...this.#chosen };
  }

  async predict(source: ArrayBuffer | ImageBitmap, name: string): Promise<MapResult> {
    const { detector } = await this.#opened();
    const started = performance.now();
    const image = await decode(source, name);
    const decoded = performance.now();
    const [result] = await detector.runner.predict([image], detector.settings.tiling);
    if (!result) throw new Error(`${name}: no result`);
    if (!Number.isFinite(result.score)) throw new Error(`${name}: the score is ${result.score}`);
    const milliseconds = { decode: decoded - started, detect: performance.now() - decoded };
    return Comlink.transfer({ ...result, milliseconds }, [result.map.buffer]);
  }

  /** The levels behind an image's map. */
  async explain(source: ArrayBuffer | ImageBitmap, name: string): Promise<LevelMaps[]> {
    const { runner } = (await this.#opened()).detector;
    const size = runner.imageSize;
    return runner.explain(resizeBicubic(await decode(source, name), size, size));
  }

  /**
   * The open model with other settings (thresholds, calibration), as a file that the command line opens too.
   */
  async modelFile(settings: DetectorSettings): Promise<Uint8Array> {
    if (!this.#chosen) throw new Error('no model is open');
    const bytes = await rewriteDetector(this.#chosen.file, settings);
    return Comlink.transfer(bytes, [bytes.buffer]);
  }

  /**
   * Opens the model anew with another region of interest, undefined for all of the picture. Limits and
   * scores of the old one go.
   *
   * @throws Error where the region inspects no pixel; the model before stays open
   */
  async inspectPart(
    region: RegionOfInterest | undefined,
    onProgress?: (progress: WarmupProgress) => void,
  ): Promise<DetectorSettings> {
    if (!this.#chosen) throw new Error('no model is open');
    const { file, name } = this.#chosen;
    const bytes = await rewriteDetector(file, withRegion(file.settings, region));
    return this.openModel(bytes.buffer as ArrayBuffer, name, onProgress);
  }

  /**
   * Goes on training the open model for a moment on images that were marked as good, among those of the kept
   * training where there is one, so that it does not forget them. The model with its new weights is open
   * afterwards.
   */
  fineTune(
    marked: readonly MarkedImage[],
    settings: DetectorSettings,
    onProgress: (progress: TrainingProgress) => void,
  ): Promise<{ images: number }> {
    return this.#longWork.run('a fine-tuning', () => this.#fineTune(marked, settings, onProgress));
  }

  async #fineTune(
    marked: readonly MarkedImage[],
    settings: DetectorSettings,
    onProgress: (progress: TrainingProgress) => void,
  ): Promise<{ images: number }> {
    const { engine, file, detector } = await this.#opened();
    const side = detector.settings.imageSize;
    const kept = await keptTraining();
    const names = kept?.good.slice(0, rememberedImages) ?? [];
    const learned: Image[] = [];
    for (const { name, bytes } of marked) learned.push(resizeBicubic(await decode(bytes, name), side, side));
    const remembered: Image[] = [];
    for (const [i, name] of names.entries())
      if (kept)
        remembered.push(
          resizeBicubic(await decodeImage(await imageBytes(kept, 'good', i), name), side, side),
        );
    const bytes = await fineTune(engine, file, { settings, marked: learned, remembered, onProgress });
    await this.openModel(bytes.buffer, 'the fine-tuned model');
    return { images: marked.length + remembered.length };
  }

  trainer(): Trainer & Comlink.ProxyMarked {
    return Comlink.proxy(this.#trainer);
  }

  /** Products of networks that are tuned on this device. */
  async tuned(): Promise<number> {
    return Object.keys((await this.#open()).lowering.tuned ?? {}).length;
  }

  /** Finds the fastest kernels for this device; they are used from then on, and kept. */
  async tune(
    imageSize: number,
    batch: number,
    onProgress: (progress: TuningProgress) => void,
  ): Promise<void> {
    const stop = new AbortController();
    await this.#longWork.run('a tuning', async () => {
      this.#stopTuning = stop;
      const engine = await this.#open();
      await tuneDevice(engine, { imageSize, batch }, stop.signal, onProgress);
      engine.useTunings(await readTunings());
      // The next image compiles the open model anew, with what was found.
      await this.#close();
    });
  }

  stopTuning(): void {
    this.#stopTuning?.abort();
  }

  /** Measures this device; the answer holds what was measured before a stop, too. */
  bench(request: BenchRequest, tell: (event: BenchEvent) => void): Promise<BenchReport> {
    const stop = new AbortController();
    return this.#longWork.run('a bench', async () => {
      this.#stopBench = stop;
      return benchInPage(await this.#open(), request, stop.signal, tell);
    });
  }

  stopBench(): void {
    this.#stopBench?.abort();
  }
}

Comlink.expose(new Machine());
