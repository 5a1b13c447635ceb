/** A detector file as ONNX, from an 8-bit image of any size to score, label, map and mask. */
import { regionPixels } from '../data/region.ts';
import { detectorStore, readDetector } from '../detector/file.ts';
import { Tape } from '../engine/graph/tape.ts';
import type { Engine } from '../engine/runtime/engine.ts';
import { backboneNamed } from '../model/backbones.ts';
import { needStudent } from '../model/method.ts';
import { detect, methodNamed } from '../model/methods.ts';
import { exportOnnx } from './onnx.ts';
import { postprocess, preprocess, type ResizeForm } from './processing.ts';

/**
 * @param bytes a `model.safetensors` of `aand train`
 * @param what its name, for error messages
 * @param batch images per run: shapes are static
 * @param resize how the graph resizes the image; `products` where it is absent
 * @returns the bytes of an .onnx file: input `image` uint8 [batch, height, width, 3]; outputs `anomaly_map`
 *   and `raw_score` (raw), `pred_score` (0.5 = at the threshold), `pred_label`, `pred_mask` where the
 *   detector has a threshold; its metadata holds the settings. Outside of a region of interest the map is 0
 */
export async function exportDetector(
  engine: Engine,
  bytes: Uint8Array,
  what: string,
  options: { readonly batch: number; readonly version: string; readonly resize?: ResizeForm },
): Promise<Uint8Array> {
  const file = await readDetector(bytes, what);
  const { settings } = file;
  if (settings.tiling)
    throw new Error(`${what}: this detector cuts images into tiles, which an ONNX graph cannot do here`);
  needStudent(methodNamed(settings.mode), `${what}: ONNX has no operation for the nearest row of a bank`);
  const backbone = backboneNamed(settings.backbone);
  const store = detectorStore(engine, file, what);
  try {
    const tape = new Tape(store.set);
    const { imageSize, region } = settings;
    const images = tape.input('images', [options.batch, imageSize, imageSize, 3], 'channels');
    const { map, score } = detect(tape, images, backbone, settings.mode);
    const metadata = { detector: JSON.stringify(settings) };
    return await exportOnnx(tape, store, {
      name: `${settings.mode}-${settings.backbone}`,
      version: options.version,
      outputs: { anomaly_map: map, raw_score: score },
      metadata,
      inspected: region && regionPixels(region, imageSize, imageSize),
      surround: {
        before: (graph) => preprocess(graph, options.batch, settings, options.resize ?? 'products'),
        after: (graph) => postprocess(graph, options.batch, settings),
      },
    });
  } finally {
    store.destroy();
  }
}
