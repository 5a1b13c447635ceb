/**
 * Resizing. Bicubic is Pillow's, bit for bit (method, 3.2): antialiased, a = -0.5, fixed-point weights with
 * 22 bits, the horizontal pass first and rounded to 8 bits before the vertical one. Masks use Pillow's
 * nearest rule, textures plain bilinear.
 */
import type { Image } from './image.ts';

const precision = 22;

interface Taps {
  readonly first: Int32Array;
  readonly count: Int32Array;
  readonly weights: Int32Array;
  readonly stride: number;
}

function bicubic(x: number): number {
  const a = -0.5;
  const t = Math.abs(x);
  if (t < 1) return ((a + 2) * t - (a + 3)) * t * t + 1;
  if (t < 2) return (((t - 5) * t + 8) * t - 4) * a;
  return 0;
}

/** Fixed-point weights of every output coordinate of one axis. */
export function bicubicTaps(input: number, output: number): Taps {
  const scale = input / output;
  const filterScale = Math.max(scale, 1);
  const support = 2 * filterScale;
  const stride = Math.ceil(support) * 2 + 1;
  const first = new Int32Array(output);
  const count = new Int32Array(output);
  const weights = new Int32Array(output * stride);
  for (let x = 0; x < output; x++) {
    const centre = (x + 0.5) * scale;
    const start = Math.max(Math.trunc(centre - support + 0.5), 0);
    const end = Math.min(Math.trunc(centre + support + 0.5), input);
    const raw: number[] = [];
    let sum = 0;
    for (let i = start; i < end; i++) {
      const weight = bicubic((i - centre + 0.5) / filterScale);
      raw.push(weight);
      sum += weight;
    }
    raw.forEach((weight, i) => {
      const scaled = (weight / sum) * 2 ** precision;
      weights[x * stride + i] = Math.trunc(scaled + (scaled < 0 ? -0.5 : 0.5));
    });
    first[x] = start;
    count[x] = end - start;
  }
  return { first, count, weights, stride };
}

function clip(value: number): number {
  const shifted = value >> precision;
  return shifted < 0 ? 0 : Math.min(shifted, 255);
}

// Half a unit, so that the shift rounds.
const half = 1 << (precision - 1);

/** Rows of an image of 3 channels at another width: a weight is read once for its pixel. */
function resizeColourRows({ data, width, height }: Image, taps: Taps, to: number, target: Uint8Array): void {
  const { first, count, weights, stride } = taps;
  for (let y = 0, at = 0; y < height; y++)
    for (let x = 0; x < to; x++, at += 3) {
      let [red, green, blue] = [half, half, half];
      let from = (y * width + (first[x] as number)) * 3;
      const start = x * stride;
      const end = start + (count[x] as number);
      for (let i = start; i < end; i++, from += 3) {
        const weight = weights[i] as number;
        red = (red + (data[from] as number) * weight) | 0;
        green = (green + (data[from + 1] as number) * weight) | 0;
        blue = (blue + (data[from + 2] as number) * weight) | 0;
      }
      target[at] = clip(red);
      target[at + 1] = clip(green);
      target[at + 2] = clip(blue);
    }
}

function resizeGreyRows({ data, width, height }: Image, taps: Taps, to: number, target: Uint8Array): void {
  const { first, count, weights, stride } = taps;
  for (let y = 0; y < height; y++)
    for (let x = 0; x < to; x++) {
      let sum = half;
      const from = y * width + (first[x] as number);
      const n = count[x] as number;
      for (let i = 0; i < n; i++)
        sum = (sum + (data[from + i] as number) * (weights[x * stride + i] as number)) | 0;
      target[y * to + x] = clip(sum);
    }
}

/** Pillow's `Image.resize((width, height), BICUBIC)`. */
export function resizeBicubic(image: Image, width: number, height: number): Image {
  const { channels } = image;
  let source = image.data;
  if (width !== image.width) {
    const taps = bicubicTaps(image.width, width);
    const target = new Uint8Array(width * image.height * channels);
    if (channels === 3) resizeColourRows(image, taps, width, target);
    else resizeGreyRows(image, taps, width, target);
    source = target;
  }
  if (height !== image.height) {
    const taps = bicubicTaps(image.height, height);
    const row = width * channels;
    const target = new Uint8Array(row * height);
    const sums = new Int32Array(row);
    for (let y = 0; y < height; y++) {
      const n = taps.count[y] as number;
      sums.fill(half);
      // Line by line, in the order in which they lie in memory.
      for (let i = 0; i < n; i++) {
        const weight = taps.weights[y * taps.stride + i] as number;
        const base = ((taps.first[y] as number) + i) * row;
        for (let x = 0; x < row; x++)
          sums[x] = ((sums[x] as number) + (source[base + x] as number) * weight) | 0;
      }
      for (let x = 0; x < row; x++) target[y * row + x] = clip(sums[x] as number);
    }
    source = target;
  }
  return { width, height, channels, data: source };
}

/**
 * Source of each output coordinate, floor((x + 0.5) * input / output) as Pillow computes it: by adding the
 * step again and again, which falls below a whole number now and then where the product would meet it.
 */
function nearestSources(input: number, output: number): Int32Array {
  const step = input / output;
  let at = step * 0.5;
  return Int32Array.from({ length: output }, () => {
    const source = Math.min(Math.floor(at), input - 1);
    at += step;
    return source;
  });
}

/** Pillow's `Image.resize((width, height), NEAREST)`. */
export function resizeNearest(image: Image, width: number, height: number): Image {
  const { channels } = image;
  const data = new Uint8Array(width * height * channels);
  const columns = nearestSources(image.width, width);
  nearestSources(image.height, height).forEach((sy, y) => {
    for (let x = 0; x < width; x++)
      for (let c = 0; c < channels; c++)
        data[(y * width + x) * channels + c] = image.data[
          (sy * image.width + (columns[x] as number)) * channels + c
        ] as number;
  });
  return { width, height, channels, data };
}

/** Plain bilinear, half-pixel centres, no antialiasing; of a window of the image if one is given. */
export function resizeBilinear(
  image: Image,
  width: number,
  height: number,
  window = { x: 0, y: 0, width: image.width, height: image.height },
): Image {
  const { channels } = image;
  const data = new Uint8Array(width * height * channels);
  const limit = (value: number, low: number, high: number) => Math.min(Math.max(value, low), high);
  for (let y = 0; y < height; y++) {
    const sy = limit(((y + 0.5) * window.height) / height - 0.5, 0, window.height - 1) + window.y;
    const y0 = Math.floor(sy);
    const y1 = Math.min(y0 + 1, image.height - 1);
    const fy = sy - y0;
    for (let x = 0; x < width; x++) {
      const sx = limit(((x + 0.5) * window.width) / width - 0.5, 0, window.width - 1) + window.x;
      const x0 = Math.floor(sx);
      const x1 = Math.min(x0 + 1, image.width - 1);
      const fx = sx - x0;
      for (let c = 0; c < channels; c++) {
        const at = (row: number, column: number) =>
          image.data[(row * image.width + column) * channels + c] as number;
        const upper = at(y0, x0) * (1 - fx) + at(y0, x1) * fx;
        const lower = at(y1, x0) * (1 - fx) + at(y1, x1) * fx;
        data[(y * width + x) * channels + c] = Math.floor(upper * (1 - fy) + lower * fy + 0.5);
      }
    }
  }
  return { width, height, channels, data };
}
