/** The worker: everything that needs the GPU or much time. The page's own thread only draws and listens. */
import * as Comlink from 'comlink';
import { decodeImage } from '#platform';
import { type DetectorFile, detectorStore, rewriteDetector, writeDetector } from '../src/detector/file.ts';
import { MapRunner } from '../src/detector/map_runner.ts';
import type { DetectorSettings } from '../src/detector/settings.ts';
import { Engine } from '../src/engine/runtime/engine.ts';
import type { ParameterStore } from '../src/engine/runtime/store.ts';
import type { Image } from '../src/image/image.ts';
import { resizeBicubic } from '../src/image/resize.ts';

import { backboneNamed } from '../src/model/backbones.ts';
import { proceduralTextures } from '../src/synthetic/procedural_textures.ts';
import { trainDetector } from '../src/train/train_detector.ts';
import { runBench } from './bench_run.ts';
import { imageBytes, keptTraining } from './kept.ts';
import { LongWork } from './long_work.ts';
import { readModel } from './model_file.ts';
import { Trainer } from './training.ts';
import { readTunings, tuneDevice } from './tuning.ts';
import type {
  BenchReport,
  DeviceFacts,
  LevelMaps,
  MapResult,
  TrainingProgress,
  TuningProgress,
} from './types.ts';

// A tenth of training's rate: the student should bend, not start over.
const fineTuneRate = 0.0005;
const fineTuneEpochs = 4;
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
  readonly store: ParameterStore;
  readonly runner: MapRunner;
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

  /** Opens a detector file; the one before stays chosen where this one cannot be opened. */
  async openModel(bytes: ArrayBuffer, name: string): Promise<DetectorSettings> {
    const chosen = { file: await readModel(new Uint8Array(bytes), name), name };
    // Not both at once in the GPU's memory; where the new one fails, the next image loads the old one again.
    await this.#close();
    this.#model = await this.#load(chosen);
    this.#chosen = chosen;
    return chosen.file.settings;
  }

  async #load({ file, name }: ChosenModel): Promise<OpenModel> {
    const engine = await this.#open();
    const { backbone, mode, imageSize } = file.settings;
    const store = detectorStore(engine, file, name);
    return { engine, store, runner: new MapRunner(engine, store, backboneNamed(backbone), mode, imageSize) };
  }

  async #close(): Promise<void> {
    const model = this.#model;
    this.#model = undefined;
    await model?.runner.destroy();
    model?.store.destroy();
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
    const { runner, file } = await this.#opened();
    const started = performance.now();
    const image = await decode(source, name);
    const decoded = performance.now();
    const [result] = await runner.predict([image], file.settings.tiling);
    if (!result) throw new Error(`${name}: no result`);
    if (!Number.isFinite(result.score)) throw new Error(`${name}: the score is ${result.score}`);
    const milliseconds = { decode: decoded - started, detect: performance.now() - decoded };
    return Comlink.transfer({ ...result, milliseconds }, [result.map.buffer]);
  }

  /** The levels behind an image's map. */
  async explain(source: ArrayBuffer | ImageBitmap, name: string): Promise<LevelMaps[]> {
    const { runner } = await this.#opened();
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
    const { engine, file, runner } = await this.#opened();
    const size = runner.imageSize;
    const images: Image[] = [];
    const kept = await keptTraining();
    const remembered = kept?.good.slice(0, rememberedImages) ?? [];
    // What was marked makes up half of the images, for it is what the model shall learn.
    const repeats = Math.max(1, Math.round(remembered.length / marked.length));
    for (const { name, bytes } of marked) {
      const image = resizeBicubic(await decode(bytes, name), size, size);
      for (let i = 0; i < repeats; i++) images.push(image);
    }
    for (const [i, name] of remembered.entries())
      if (kept)
        images.push(resizeBicubic(await decodeImage(await imageBytes(kept, 'good', i), name), size, size));
    const { store } = await trainDetector({
      engine,
      backbone: backboneNamed(settings.backbone),
      mode: settings.mode,
      teacher: file,
      teacherName: 'the open model',
      start: file,
      images,
      textures: proceduralTextures(),
      imageSize: size,
      batch: Math.min(8, images.length),
      epochs: [1, fineTuneEpochs],
      seed: 0,
      baseRate: fineTuneRate,
      onProgress,
    });
    const bytes = await writeDetector(store, settings);
    store.destroy();
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

  async bench(onProgress: (done: number, total: number) => void): Promise<BenchReport> {
    return this.#longWork.run('a bench', async () => runBench(await this.#open(), onProgress));
  }
}

Comlink.expose(new Machine());
