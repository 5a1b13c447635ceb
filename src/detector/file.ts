/** The one-file model: weights, pre-processing, thresholds, calibration, settings and versions in a safetensors file. */
import { imagenetDeviation, imagenetMean } from '../data/image.ts';
import type { Tiling } from '../data/tiles.ts';
import type { ParameterStore } from '../engine/parameters.ts';
import type { Calibration } from '../eval/thresholds.ts';
import { type BackboneName, backboneNamed } from '../model/backbone.ts';
import { checkImageSize, groups, type Mode } from '../model/detector.ts';
import { storeParameters } from '../model/initialize.ts';
import { type SafetensorsFile, writeSafetensors } from '../weights/safetensors.ts';

export const formatVersion = 'aand-webgpu/1';

/** The raw score of one image of the calibration. */
export interface CalibrationScore {
  readonly score: number;
  readonly anomalous: boolean;
  readonly path?: string;
  /** `test`, `held-out`, `train` or `calibrate`. */
  readonly source?: string;
}

export interface DetectorSettings {
  readonly backbone: BackboneName;
  readonly mode: Mode;
  readonly imageSize: number;
  readonly mean: readonly number[];
  readonly deviation: readonly number[];
  readonly image: Calibration;
  readonly pixel: Calibration;
  /** Tiles that images are cut into; absent for whole images. */
  readonly tiling?: Tiling;
  /** Every raw score that is known, so that the threshold can be drawn anew without the images. */
  readonly calibrationScores: readonly CalibrationScore[];
  /** How it was trained. */
  readonly training: Readonly<Record<string, unknown>>;
  readonly version: string;
}

export function newSettings(
  values: Omit<DetectorSettings, 'mean' | 'deviation' | 'version'> & { version: string },
): DetectorSettings {
  return { ...values, mean: imagenetMean, deviation: imagenetDeviation };
}

/** The whole detector as a file. */
export async function writeDetector(
  store: ParameterStore,
  settings: DetectorSettings,
): Promise<Uint8Array<ArrayBuffer>> {
  const tensors = await storeParameters(store, [groups.teacher, groups.amplification, groups.student]);
  return writeSafetensors(tensors, { format: formatVersion, detector: JSON.stringify(settings) });
}

/** Settings of a detector file; throws an Error where it is none. */
export function readSettings(file: SafetensorsFile, what: string): DetectorSettings {
  if (file.metadata.format !== formatVersion || !file.metadata.detector)
    throw new Error(
      `${what}: not a detector of this program (format '${file.metadata.format ?? 'none'}', needed '${formatVersion}')`,
    );
  const settings = JSON.parse(file.metadata.detector) as DetectorSettings;
  backboneNamed(settings.backbone);
  checkImageSize(settings.imageSize);
  return settings;
}
