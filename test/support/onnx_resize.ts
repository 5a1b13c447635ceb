/** The pre-processing of an exported detector alone, and how far its pixels are from Pillow's. */
import { RandomStream } from '../../src/base/random.ts';
import { GraphBuilder } from '../../src/export/onnx.ts';
import { encodeOnnx } from '../../src/export/onnx_schema.ts';
import { preprocess, type ResizeForm } from '../../src/export/processing.ts';
import type { Image } from '../../src/image/image.ts';
import { resizeBicubic } from '../../src/image/resize.ts';
import { settings } from './model_files.ts';

const size = settings.imageSize;

/** The same size, larger, smaller by a little and by much, each way of an axis alone. */
export const resizedSizes = [
  [size, size],
  [17, 23],
  [200, 100],
  [size, 300],
  [513, 700],
] as const;

/** A picture with edges and noise. */
export function picture(width: number, height: number): Image {
  const random = new RandomStream('onnx', width, height);
  const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => {
    const x = Math.floor(i / 3) % width;
    return (x % 16 < 8 ? 200 : 0) + random.integer(0, 55);
  });
  return { width, height, channels: 3, data };
}

/** A graph from `image` to `images`, the network's input. */
export function preprocessing(form: ResizeForm): Uint8Array {
  const graph = new GraphBuilder();
  const inputs = preprocess(graph, 1, settings, form);
  const outputs = [{ name: 'images', shape: [1, 3, size, size] }];
  const { nodes, initializers } = graph;
  return encodeOnnx({ name: form, nodes, initializers, inputs, outputs, metadata: {} }, '1');
}

/** Pixels of the network's input that are not those of Pillow's resize, and the largest step between them. */
export function pixelDifference(image: Image, images: ArrayLike<number>): { count: number; most: number } {
  const expected = resizeBicubic(image, size, size).data;
  let [count, most] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    const [pixel, channel] = [Math.floor(i / 3), i % 3];
    const value = images[channel * size * size + pixel] as number;
    const [mean, deviation] = [settings.mean[channel] as number, settings.deviation[channel] as number];
    const step = Math.abs(Math.round(255 * (value * deviation + mean)) - (expected[i] as number));
    if (step) count++;
    most = Math.max(most, step);
  }
  return { count, most };
}
