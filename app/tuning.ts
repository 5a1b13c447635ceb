/**
 * The tuner in the worker: its results stay on this device, by device and kernels, as those of `aand tune`
 * do.
 */

import type { Tuning } from '../src/engine/device/tuning.ts';
import type { Engine } from '../src/engine/runtime/engine.ts';
import { backbones } from '../src/model/backbones.ts';
import { tuneModel } from '../src/train/tune_model.ts';
import { readFile, writeFile } from './storage.ts';
import type { TuningProgress } from './types.ts';

const path = 'tuning.json';

/** Every tuning that was kept; none where the browser keeps nothing or the file is damaged. */
export async function readTunings(): Promise<Tuning[]> {
  try {
    const text = await readFile(path);
    return text ? (JSON.parse(new TextDecoder().decode(text)) as Tuning[]) : [];
  } catch {
    return [];
  }
}

export async function tuneDevice(
  engine: Engine,
  shape: { readonly imageSize: number; readonly batch: number },
  signal: AbortSignal,
  onProgress: (progress: TuningProgress) => void,
): Promise<void> {
  let [chosen, best] = [0, 0];
  await tuneModel({
    engine,
    backbone: backbones.resnet18,
    ...shape,
    known: await readTunings(),
    signal,
    keep: (tunings) => writeFile(path, JSON.stringify(tunings)),
    onEntry: (_, entry, done, total) => {
      chosen += entry.tableMilliseconds;
      best += entry.milliseconds;
      onProgress({ done, total, regret: chosen / best });
    },
  });
}
