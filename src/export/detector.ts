/** A detector file as ONNX: input `images` [N, 3, S, S], resized and normalised; outputs `map` [N, S, S] and `score` [N], raw. */
import { readSettings } from '../detector/file.ts';
import type { Engine } from '../engine/device.ts';
import { ParameterStore } from '../engine/parameters.ts';
import { Tape } from '../engine/tape.ts';
import { backboneNamed } from '../model/backbone.ts';
import { detect, detectorParameters, groups } from '../model/detector.ts';
import { loadParameters } from '../model/initialize.ts';
import { readSafetensors } from '../weights/safetensors.ts';
import { exportOnnx } from './onnx.ts';

/**
 * @param bytes a `model.safetensors` of `aand train`
 * @param what its name, for error messages
 * @param batch images per run: shapes are static
 * @returns the bytes of an .onnx file; its metadata holds the settings (mean, deviation, thresholds)
 */
export async function exportDetector(
  engine: Engine,
  bytes: Uint8Array,
  what: string,
  options: { readonly batch: number; readonly version: string },
): Promise<Uint8Array> {
  const file = readSafetensors(bytes, what);
  const settings = readSettings(file, what);
  const backbone = backboneNamed(settings.backbone);
  const store = new ParameterStore(engine, detectorParameters(backbone, settings.mode));
  try {
    loadParameters(store, [groups.teacher, groups.amplification, groups.student], file, what);
    const tape = new Tape(store.set);
    const { imageSize } = settings;
    const images = tape.input('images', [options.batch, imageSize, imageSize, 3], 'channels');
    const { map, score } = detect(tape, images, backbone, settings.mode);
    const metadata = { detector: JSON.stringify(settings) };
    return await exportOnnx(tape, store, {
      name: `${settings.mode}-${settings.backbone}`,
      version: options.version,
      outputs: { map, score },
      metadata,
    });
  } finally {
    store.destroy();
  }
}
