/**
 * The pipeline of `aand predict` from files to maps: decoding, resizing, upload, run, reading. On a device
 * that takes no time (`npm run check:gpu`) it says how many images per second the host alone allows, and what
 * limits it.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { encodePng, loadResized } from '#platform';
import { median } from '../src/bench/measure.ts';
import { UnreadableFiles } from '../src/data/unreadable.ts';
import { Detector } from '../src/detector/detector.ts';
import { writeDetector } from '../src/detector/file.ts';
import { newSettings } from '../src/detector/settings.ts';
import type { Engine } from '../src/engine/runtime/engine.ts';
import { initialize } from '../src/engine/runtime/initialize.ts';
import { ParameterStore } from '../src/engine/runtime/store.ts';
import { resizeBilinear } from '../src/image/resize.ts';
import { backbones } from '../src/model/backbones.ts';
import { detectorParameters } from '../src/model/methods.ts';
import { predictFile, predictStream } from '../src/session/predict_stream.ts';
import { proceduralTextures } from '../src/synthetic/procedural_textures.ts';

/** What is measured: PNG files of `side` pixels, seen by a resnet18 at `imageSize` pixels. */
export interface PipelineFigures {
  readonly backbone: string;
  readonly side: number;
  readonly imageSize: number;
  readonly photographs: number;
  /** Threads that decode and resize at most. */
  readonly threads: number;
  /** As `aand predict` works on them, without its pictures. */
  readonly images_per_second: number;
  /** Each after the end of the one before it. */
  readonly one_by_one_per_second: number;
  /** Decoding and resizing of one photograph by a thread, with its way there and back (median). */
  readonly load_ms: number;
  /** A resized photograph, from the call of `predict` to its map (median). */
  readonly predict_ms: number;
  /** Share of the time that the thread which feeds the device was busy, 0 to 1. */
  readonly busy: number;
}

const photographs = 48;
const side = 1024;
const imageSize = 256;

/** Milliseconds of every item, one after the other; the first, which starts threads, is left out. */
async function each<T>(items: readonly T[], work: (item: T) => Promise<unknown>): Promise<number[]> {
  const times: number[] = [];
  for (const item of items) {
    const started = performance.now();
    await work(item);
    times.push(performance.now() - started);
  }
  return times.slice(1);
}

async function writePhotographs(folder: string): Promise<{ readonly path: string }[]> {
  const textures = proceduralTextures();
  const files: { path: string }[] = [];
  for (let i = 0; i < photographs; i++) {
    const path = join(folder, `${i}.png`);
    // A few pictures serve: files are not cached by what they hold.
    const image = resizeBilinear(await textures.texture(i % 4), side, side);
    writeFileSync(path, await encodePng(image));
    files.push({ path });
  }
  return files;
}

async function openDetector(engine: Engine): Promise<Detector> {
  const set = detectorParameters(backbones.resnet18, 'aand');
  const store = new ParameterStore(engine, set);
  initialize(store, set.groups, 0);
  const settings = newSettings({
    backbone: 'resnet18',
    mode: 'aand',
    imageSize,
    image: null,
    pixel: null,
    calibrationScores: [],
    training: {},
    version: '0',
  });
  const bytes = await writeDetector(store, settings);
  store.destroy();
  return Detector.open(engine, bytes);
}

/** Measures for some seconds; the photographs lie in a folder that is removed afterwards. */
export async function measurePipeline(engine: Engine): Promise<PipelineFigures> {
  const folder = mkdtempSync(join(tmpdir(), 'aand-pipeline-'));
  try {
    const files = await writePhotographs(folder);
    await using detector = await openDetector(engine);
    const none = () => {};
    const load = await each(files, ({ path }) => loadResized(path, imageSize));
    const image = await loadResized((files[0] as { path: string }).path, imageSize);
    const predict = await each(files, () => detector.predict([image]));
    const alone = await each(files, (file) => predictFile(detector, file, none));
    const ports = { unreadable: new UnreadableFiles() };
    const started = performance.now();
    const before = performance.eventLoopUtilization();
    let count = 0;
    for await (const _ of predictStream(detector, files, predictFile, ports)) count++;
    const seconds = (performance.now() - started) / 1000;
    const { utilization } = performance.eventLoopUtilization(before);
    return {
      backbone: 'resnet18',
      side,
      imageSize,
      photographs,
      threads: Math.min(Math.max(availableParallelism() - 1, 1), 8),
      images_per_second: count / seconds,
      one_by_one_per_second: (1000 * alone.length) / alone.reduce((sum, time) => sum + time, 0),
      load_ms: median(load),
      predict_ms: median(predict),
      busy: utilization,
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The figures in words, with what limits them. */
export function pipelineText(figures: PipelineFigures): string {
  const { backbone, threads, load_ms, predict_ms, images_per_second } = figures;
  const decoding = (1000 * threads) / load_ms;
  const feeding = 1000 / predict_ms;
  const limit =
    decoding < feeding
      ? `decoding and resizing (${decoding.toFixed(0)} images/s; threads that do so: ${threads})`
      : `the thread that feeds the device (${feeding.toFixed(0)} images/s)`;
  const busy = (100 * figures.busy).toFixed(0);
  return (
    `The pipeline of a ${backbone} at ${figures.imageSize} pixels takes ${images_per_second.toFixed(0)} ` +
    `images/s from PNG files of ${figures.side} x ${figures.side} to maps, and ` +
    `${figures.one_by_one_per_second.toFixed(0)} where each waits for the one before it. Decoding and ` +
    `resizing takes ${load_ms.toFixed(1)} ms in a thread, predicting ${predict_ms.toFixed(1)} ms; the ` +
    `thread that feeds the device is busy ${busy} % of the time. What limits it: ${limit}.`
  );
}
