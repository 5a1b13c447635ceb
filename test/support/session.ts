/** The use cases on a tiny teacher: samples in memory, a training of three images, the model that it saves. */
import { randomWeights } from '../../bench/support/random_weights.ts';
import { UnreadableFiles } from '../../src/data/unreadable.ts';
import { type DetectorFile, readDetector } from '../../src/detector/file.ts';
import type { DetectorSettings } from '../../src/detector/settings.ts';
import { Engine } from '../../src/engine/runtime/engine.ts';
import { registerBackbone } from '../../src/model/backbones.ts';
import { memoryReader } from '../../src/session/score_samples.ts';
import {
  type TrainingJob,
  type TrainingPorts,
  trainAndCalibrate,
} from '../../src/session/train_and_calibrate.ts';
import { proceduralTextures } from '../../src/synthetic/procedural_textures.ts';
import type { SafetensorsFile } from '../../src/weights/safetensors.ts';
import { picture, sample, tinyTeacher } from './tiny_teacher.ts';

export const side = 32;
export const train = [0, 1, 2].map((i) => sample(`train${i}`, 'good'));
export const heldOut = [3].map((i) => sample(`held${i}`, 'good'));
export const goodTest = [4, 5].map((i) => sample(`good${i}`, 'good'));
export const badTest = [6, 7].map((i) => sample(`bad${i}`, 'hole'));
export const everything = [...train, ...heldOut, ...goodTest, ...badTest];
export const images = new Map(everything.map((item, i) => [item, picture(i, side, item.defect === 'hole')]));
export const reader = memoryReader(images);

/** A training on the tiny teacher; what it saves goes into `saved`. */
export function trainingOn(
  teacher: SafetensorsFile,
  more: Partial<TrainingJob> = {},
  ports: Partial<TrainingPorts> = {},
) {
  const saved: Uint8Array[] = [];
  const events: string[] = [];
  const job: TrainingJob = {
    backbone: tinyTeacher,
    mode: 'aand',
    teacher,
    teacherName: 'random weights',
    images: train.map((item) => images.get(item) as ReturnType<typeof picture>),
    imageNames: train.map(({ path }) => path),
    foregrounds: undefined,
    textures: proceduralTextures(),
    imageSize: side,
    batch: 2,
    epochs: [1, 2],
    seed: 3,
    samples: { train, heldOut: [], test: [] },
    ...more,
  };
  const all: TrainingPorts = {
    reader,
    unreadable: new UnreadableFiles(),
    describe: ({ history, bestEpoch }) => ({
      training: { history, ...(bestEpoch && { bestEpoch }) },
      version: 'test',
    }),
    saveModel: async (model) => {
      events.push('saved');
      saved.push(model);
    },
    ...ports,
  };
  return { job, ports: all, saved, events };
}

/** Trains and gives the settings that were saved. */
export function settingsOf(
  engine: Engine,
  { job, ports }: ReturnType<typeof trainingOn>,
): Promise<DetectorSettings> {
  return trainAndCalibrate(engine, job, ports, ({ settings }) => settings);
}

export const sources = ({ calibrationScores }: DetectorSettings) =>
  calibrationScores.map(({ source, path }) => `${source} ${path}`);

export interface TrainedSession {
  readonly engine: Engine;
  readonly teacher: SafetensorsFile;
  /** The model that was saved, and as it is read. */
  readonly bytes: Uint8Array;
  readonly file: DetectorFile;
}

/** A model that was trained on three images and calibrated on the other five. */
export async function trainedSession(): Promise<TrainedSession> {
  registerBackbone(tinyTeacher);
  const engine = await Engine.open();
  const teacher = await randomWeights(engine, tinyTeacher);
  const first = trainingOn(teacher, { samples: { train, heldOut, test: [...goodTest, ...badTest] } });
  await settingsOf(engine, first);
  const bytes = first.saved[0] as Uint8Array;
  return { engine, teacher, bytes, file: await readDetector(bytes, 'model') };
}
