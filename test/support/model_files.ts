/** Model files for tests: made without a training, and edited as a hostile program would. */

import { RandomStream } from '../../src/base/random.ts';
import { newSettings } from '../../src/detector/settings.ts';
import { elements } from '../../src/engine/graph/tensor.ts';
import { backbones } from '../../src/model/backbones.ts';
import { detectorParameters } from '../../src/model/methods.ts';
import { fromStored, storedShape, toStored } from '../../src/weights/names.ts';
import type { TensorToStore } from '../../src/weights/safetensors.ts';

export const calibration = { threshold: 1.5, min: 0, max: 3, rule: 'set by hand' } as const;

/** Valid settings of a resnet18 in mode rd at 32 pixels. */
export const settings = newSettings({
  backbone: 'resnet18',
  mode: 'rd',
  imageSize: 32,
  image: calibration,
  pixel: calibration,
  calibrationScores: [{ score: 1.25, anomalous: false, path: 'good/1.png', source: 'test' }],
  training: { seed: 0, category: 'washer', history: { stage1: [], stage2: [{ loss: 0.5 }] } },
  version: '0.1.0',
});

/** Random weights of the smallest detector that the product writes. */
export function randomDetector(seed = 0): Map<string, TensorToStore> {
  const tensors = new Map<string, TensorToStore>();
  for (const spec of detectorParameters(backbones.resnet18, 'rd').specs) {
    const random = new RandomStream(seed, spec.name);
    const bound = Math.sqrt(3 / (elements(spec.shape) / (spec.shape.at(-1) ?? 1) || 1));
    const values = Float32Array.from({ length: elements(spec.shape) }, () => {
      if (spec.shape.length === 1) return spec.name.endsWith('bias') || spec.name.endsWith('mean') ? 0 : 1;
      return bound * (2 * random.next() - 1);
    });
    tensors.set(spec.name, { shape: storedShape(spec), values: toStored(spec, fromStored(spec, values)) });
  }
  return tensors;
}

/** A safetensors file of this header text and data, whatever they are. */
export function rawFile(header: string, data = new Uint8Array()): Uint8Array<ArrayBuffer> {
  const text = new TextEncoder().encode(header);
  const file = new Uint8Array(8 + text.length + data.length);
  new DataView(file.buffer).setBigUint64(0, BigInt(text.length), true);
  file.set(text, 8);
  file.set(data, 8 + text.length);
  return file;
}
