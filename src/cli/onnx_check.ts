/** Runs an exported detector in ONNX Runtime beside the original: do they agree? */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { decodeImage, readBytes } from '#platform';
import { Detector } from '../detector/detector.ts';
import type { Engine } from '../engine/runtime/engine.ts';

interface Tensor {
  readonly data: ArrayLike<number>;
}

/** The part of ONNX Runtime's interface that is used here. */
interface Runtime {
  readonly Tensor: new (type: 'uint8', data: Uint8Array, dims: readonly number[]) => Tensor;
  readonly InferenceSession: {
    create(
      bytes: Uint8Array,
    ): Promise<{ run(feeds: Record<string, Tensor>): Promise<Record<string, Tensor>> }>;
  };
}

const packages = ['onnxruntime-node', 'onnxruntime-web'];

/** ONNX Runtime from where the user works, or from this package. */
async function loadRuntime(): Promise<{ runtime: Runtime; name: string }> {
  for (const from of [join(process.cwd(), 'x.js'), import.meta.url])
    for (const name of packages)
      try {
        return { runtime: createRequire(from)(name) as Runtime, name };
      } catch {
        // Not installed there: the next place.
      }
  throw new Error(`the check needs ONNX Runtime: npm install ${packages.join(' or ')}`);
}

export interface Agreement {
  readonly runtime: string;
  readonly images: number;
  /** Largest absolute differences of raw score and map. */
  readonly score: number;
  readonly map: number;
  /** Images whose verdict differs. */
  readonly labels: number;
}

/**
 * @param onnx an exported detector with batch 1
 * @param model the file that it was made from
 */
export async function compareWithRuntime(
  engine: Engine,
  onnx: Uint8Array,
  model: { readonly bytes: Uint8Array; readonly path: string },
  images: readonly string[],
  onProgress: (done: number, total: number) => void,
): Promise<Agreement> {
  const { runtime, name } = await loadRuntime();
  const session = await runtime.InferenceSession.create(onnx);
  await using detector = await Detector.open(engine, model.bytes, model.path);
  const result = { score: 0, map: 0, labels: 0 };
  for (const [i, path] of images.entries()) {
    const image = await decodeImage(await readBytes(path), path);
    const [ours] = await detector.predict([image]);
    if (!ours) throw new Error(`${path}: no prediction`);
    const feed = new runtime.Tensor('uint8', image.data, [1, image.height, image.width, 3]);
    const theirs = await session.run({ image: feed });
    const value = (key: string) => theirs[key]?.data as ArrayLike<number>;
    const map = value('anomaly_map');
    result.score = Math.max(result.score, Math.abs((value('raw_score')[0] as number) - ours.score));
    result.map = ours.map.reduce(
      (most, v, at) => Math.max(most, Math.abs(v - (map[at] as number))),
      result.map,
    );
    if (ours.anomalous !== null && Boolean(value('pred_label')[0]) !== ours.anomalous) result.labels++;
    onProgress(i + 1, images.length);
  }
  return { runtime: name, images: images.length, ...result };
}
