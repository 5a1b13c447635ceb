/** A small detector as a file, for tests of the server: random weights, 32 pixels. */
import { writeDetector } from '../../src/detector/file.ts';
import { newSettings } from '../../src/detector/settings.ts';
import type { Engine } from '../../src/engine/runtime/engine.ts';
import { initialize } from '../../src/engine/runtime/initialize.ts';
import { ParameterStore } from '../../src/engine/runtime/store.ts';
import { backbones } from '../../src/model/backbones.ts';
import { groups } from '../../src/model/groups.ts';
import { detectorParameters } from '../../src/model/methods.ts';

export const servedSide = 32;

/**
 * @param threshold of raw scores; null: none
 * @param remembered raw scores of good images that were held out
 */
export async function servedModelFile(
  engine: Engine,
  threshold: number | null,
  remembered: readonly number[] = [],
): Promise<Uint8Array> {
  const store = new ParameterStore(engine, detectorParameters(backbones.resnet18_half, 'rd'));
  initialize(store, Object.values(groups), 5);
  const calibration = threshold === null ? null : { threshold, min: 0, max: 2 * threshold, rule: 'a test' };
  const settings = newSettings({
    backbone: 'resnet18_half',
    mode: 'rd',
    imageSize: servedSide,
    image: calibration,
    pixel: calibration,
    calibrationScores: remembered.map((score) => ({ score, anomalous: false, source: 'held-out' })),
    training: {},
    version: '0',
  });
  const bytes = await writeDetector(store, settings);
  store.destroy();
  return bytes;
}
