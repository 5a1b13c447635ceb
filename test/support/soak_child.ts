/**
 * A child process (node --expose-gc): repeats one kind of use and prints its resident memory after every so
 * many, as JSON. It does not call process.exit: that it ends shows that nothing keeps the process alive.
 *
 * Arguments: the kind, how often, and how many operations lie between two samples.
 */

import { Detector } from '../../src/detector/detector.ts';
import { writeDetector } from '../../src/detector/file.ts';
import { newSettings } from '../../src/detector/settings.ts';
import { Engine } from '../../src/engine/runtime/engine.ts';
import { initialize } from '../../src/engine/runtime/initialize.ts';
import { ParameterStore } from '../../src/engine/runtime/store.ts';
import type { Image } from '../../src/image/image.ts';
import { backbones } from '../../src/model/backbones.ts';
import { groups } from '../../src/model/groups.ts';
import { detectorParameters } from '../../src/model/methods.ts';
import type { SoakKind, SoakResult } from './soak.ts';

const side = 32;
const [kind, operations, every] = [
  process.argv[2] as SoakKind,
  Number(process.argv[3]),
  Number(process.argv[4]),
];
const picture: Image = {
  width: side,
  height: side,
  channels: 3,
  data: Uint8Array.from({ length: side * side * 3 }, (_, i) => (i * 7) & 255),
};

async function modelFile(): Promise<Uint8Array> {
  await using engine = await Engine.open();
  const store = new ParameterStore(engine, detectorParameters(backbones.resnet18, 'rd'));
  initialize(store, Object.values(groups), 5);
  const calibration = { threshold: 1, min: 0.5, max: 1.5, rule: 'soak' };
  return await writeDetector(
    store,
    newSettings({
      backbone: 'resnet18',
      mode: 'rd',
      imageSize: side,
      image: calibration,
      pixel: calibration,
      calibrationScores: [],
      training: {},
      version: '0',
    }),
  );
}

const scores = new Set<number>();
async function predict(detector: Detector, count = 1): Promise<void> {
  const predictions = await detector.predict(Array.from({ length: count }, () => picture));
  if (predictions.length !== count) throw new Error(`${predictions.length} predictions of ${count} images`);
  for (const { score } of predictions) scores.add(score);
}

const file = await modelFile();
const shared = kind.endsWith('engines') ? undefined : await Engine.open();
const opened = shared && kind !== 'detectors' ? await Detector.open(shared, file) : undefined;

async function operate(index: number): Promise<void> {
  if (kind === 'predictions') return predict(opened as Detector);
  if (kind === 'batch sizes') return predict(opened as Detector, index + 1);
  const engine = shared ?? (await Engine.open());
  if (kind === 'empty engines') return engine.close();
  const detector = await Detector.open(engine, file);
  await predict(detector);
  await detector.close();
  if (!shared) await engine.close();
}

const collect = globalThis.gc as () => void;
const megabytes: number[] = [];
for (let i = 0; i < operations; i++) {
  await operate(i);
  if ((i + 1) % every) continue;
  // What is found unreachable is freed by finalizers, in turns of their own.
  for (let round = 0; round < 2; round++) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  megabytes.push(process.memoryUsage().rss / 1e6);
}
await opened?.close();
await shared?.close();
const result: SoakResult = { megabytes, scores: scores.size };
console.log(JSON.stringify(result));
