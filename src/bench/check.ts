/** Samples of a convolution's result in float64: the bench's check that what it timed is right. */
import type { ConvolutionCase } from './case.ts';

const sampleCount = 200;

/** Largest absolute error over 200 elements spread over the result. */
export function sampledError(
  c: ConvolutionCase,
  inputs: { readonly x: Float32Array; readonly w: Float32Array; readonly dy: Float32Array },
  outputShape: readonly number[],
  result: Float32Array,
): number {
  let worst = 0;
  for (let sample = 0; sample < sampleCount; sample++) {
    const index = Math.floor(((sample + 0.5) / sampleCount) * result.length);
    const expected = element(c, inputs, outputShape, index);
    worst = Math.max(worst, Math.abs(expected - (result[index] as number)));
  }
  return worst;
}

function element(
  { direction, x, w, stride, padding }: ConvolutionCase,
  values: { readonly x: Float32Array; readonly w: Float32Array; readonly dy: Float32Array },
  [, outputHeight, outputWidth]: readonly number[],
  index: number,
): number {
  const [batch, height, width, ci] = x;
  const [kernelHeight, kernelWidth, , co] = w;
  const [oh, ow] = [outputHeight as number, outputWidth as number];
  const weight = (i: number, j: number, c: number, o: number) =>
    values.w[((i * kernelWidth + j) * ci + c) * co + o] as number;
  const input = (n: number, y: number, z: number, c: number) =>
    y < 0 || z < 0 || y >= height || z >= width
      ? 0
      : (values.x[((n * height + y) * width + z) * ci + c] as number);
  const upstream = (n: number, y: number, z: number, o: number) =>
    y < 0 || z < 0 || y >= oh || z >= ow ? 0 : (values.dy[((n * oh + y) * ow + z) * co + o] as number);
  let sum = 0;
  if (direction === 'weight-gradient') {
    const o = index % co;
    const c = Math.floor(index / co) % ci;
    const j = Math.floor(index / (co * ci)) % kernelWidth;
    const i = Math.floor(index / (co * ci * kernelWidth));
    for (let n = 0; n < batch; n++)
      for (let y = 0; y < oh; y++)
        for (let z = 0; z < ow; z++)
          sum += input(n, y * stride + i - padding, z * stride + j - padding, c) * upstream(n, y, z, o);
    return sum;
  }
  const channels = direction === 'forward' ? co : ci;
  const [gridHeight, gridWidth] = direction === 'forward' ? [oh, ow] : [height, width];
  const channel = index % channels;
  const z = Math.floor(index / channels) % gridWidth;
  const y = Math.floor(index / (channels * gridWidth)) % gridHeight;
  const n = Math.floor(index / (channels * gridWidth * gridHeight));
  for (let i = 0; i < kernelHeight; i++)
    for (let j = 0; j < kernelWidth; j++)
      if (direction === 'forward')
        for (let c = 0; c < ci; c++)
          sum += input(n, y * stride + i - padding, z * stride + j - padding, c) * weight(i, j, c, channel);
      else if ((y + padding - i) % stride === 0 && (z + padding - j) % stride === 0)
        for (let o = 0; o < co; o++)
          sum +=
            upstream(n, (y + padding - i) / stride, (z + padding - j) / stride, o) * weight(i, j, channel, o);
  return sum;
}

export function largestDifference(a: Float32Array, b: Float32Array): number {
  if (a.length !== b.length) throw new Error(`${a.length} values against ${b.length}`);
  return a.reduce((worst, value, i) => Math.max(worst, Math.abs(value - (b[i] as number))), 0);
}
