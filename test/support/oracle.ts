/** Float64 references, slow and obvious: plain loops over NHWC arrays. The judges of the kernels. */

export interface Array64 {
  readonly shape: readonly number[];
  readonly data: Float64Array;
}

export function array(shape: readonly number[], values?: ArrayLike<number>): Array64 {
  const data = new Float64Array(shape.reduce((product, size) => product * size, 1));
  if (values) for (let i = 0; i < data.length; i++) data[i] = values[i] as number;
  return { shape, data };
}

const at = (a: Array64, ...index: number[]) =>
  index.reduce((position, value, axis) => position * (a.shape[axis] as number) + value, 0);

export interface Geometry {
  readonly stride: number;
  readonly padding: number;
  readonly dilation: number;
}

/** Calls back for every (output pixel, tap) pair that meets the image. */
function forTaps(
  x: Array64,
  w: Array64,
  y: Array64,
  { stride, padding, dilation }: Geometry,
  visit: (n: number, oy: number, ox: number, i: number, j: number, iy: number, ix: number) => void,
): void {
  const [batch, height, width] = x.shape as [number, number, number];
  const [kh, kw] = w.shape as [number, number];
  const [, oh, ow] = y.shape as [number, number, number];
  for (let n = 0; n < batch; n++)
    for (let oy = 0; oy < oh; oy++)
      for (let ox = 0; ox < ow; ox++)
        for (let i = 0; i < kh; i++)
          for (let j = 0; j < kw; j++) {
            const iy = oy * stride - padding + i * dilation;
            const ix = ox * stride - padding + j * dilation;
            if (iy >= 0 && ix >= 0 && iy < height && ix < width) visit(n, oy, ox, i, j, iy, ix);
          }
}

/** x [N,H,W,Ci], w [kh,kw,Ci,Co] -> [N,OH,OW,Co]. */
export function conv2d(x: Array64, w: Array64, g: Geometry): Array64 {
  const [n, h, width, ci] = x.shape as [number, number, number, number];
  const [kh, kw, , co] = w.shape as [number, number, number, number];
  const size = (extent: number, k: number) =>
    Math.floor((extent + 2 * g.padding - g.dilation * (k - 1) - 1) / g.stride) + 1;
  const y = array([n, size(h, kh), size(width, kw), co]);
  forTaps(x, w, y, g, (b, oy, ox, i, j, iy, ix) => {
    for (let c = 0; c < ci; c++)
      for (let o = 0; o < co; o++)
        y.data[at(y, b, oy, ox, o)]! += x.data[at(x, b, iy, ix, c)]! * w.data[at(w, i, j, c, o)]!;
  });
  return y;
}

/** Gradients of sum(y * dy). */
export function conv2dGradients(
  x: Array64,
  w: Array64,
  dy: Array64,
  g: Geometry,
): { dx: Array64; dw: Array64 } {
  const dx = array(x.shape);
  const dw = array(w.shape);
  const [, , ci, co] = w.shape as [number, number, number, number];
  forTaps(x, w, dy, g, (b, oy, ox, i, j, iy, ix) => {
    for (let c = 0; c < ci; c++)
      for (let o = 0; o < co; o++) {
        const upstream = dy.data[at(dy, b, oy, ox, o)]!;
        dx.data[at(x, b, iy, ix, c)]! += upstream * w.data[at(w, i, j, c, o)]!;
        dw.data[at(w, i, j, c, o)]! += upstream * x.data[at(x, b, iy, ix, c)]!;
      }
  });
  return { dx, dw };
}

/** Batch norm over the last dimension with batch statistics. */
export function batchNorm(x: Array64, weight: Array64, bias: Array64, epsilon: number): Array64 {
  const channels = x.shape.at(-1) as number;
  const count = x.data.length / channels;
  const y = array(x.shape);
  for (let c = 0; c < channels; c++) {
    let mean = 0;
    for (let p = 0; p < count; p++) mean += x.data[p * channels + c]! / count;
    let variance = 0;
    for (let p = 0; p < count; p++) variance += (x.data[p * channels + c]! - mean) ** 2 / count;
    for (let p = 0; p < count; p++)
      y.data[p * channels + c] =
        ((x.data[p * channels + c]! - mean) / Math.sqrt(variance + epsilon)) * weight.data[c]! +
        bias.data[c]!;
  }
  return y;
}

export function relu(x: Array64): Array64 {
  return array(
    x.shape,
    x.data.map((value) => Math.max(value, 0)),
  );
}

export function add(a: Array64, b: Array64): Array64 {
  return array(
    a.shape,
    a.data.map((value, i) => value + b.data[i % b.data.length]!),
  );
}

export function concat(parts: readonly Array64[]): Array64 {
  const widths = parts.map((part) => part.shape.at(-1) as number);
  const total = widths.reduce((sum, width) => sum + width, 0);
  const first = parts[0] as Array64;
  const y = array([...first.shape.slice(0, -1), total]);
  const count = y.data.length / total;
  for (let p = 0; p < count; p++) {
    let offset = 0;
    parts.forEach((part, k) => {
      const width = widths[k] as number;
      for (let c = 0; c < width; c++) y.data[p * total + offset + c] = part.data[p * width + c]!;
      offset += width;
    });
  }
  return y;
}

export function maxPool2d(x: Array64, kernel: number, stride: number, padding: number): Array64 {
  const [n, h, width, c] = x.shape as [number, number, number, number];
  const size = (extent: number) => Math.floor((extent + 2 * padding - kernel) / stride) + 1;
  const y = array([n, size(h), size(width), c]);
  y.data.fill(Number.NEGATIVE_INFINITY);
  forTaps(
    x,
    array([kernel, kernel, c, c]),
    y,
    { stride, padding, dilation: 1 },
    (b, oy, ox, _i, _j, iy, ix) => {
      for (let o = 0; o < c; o++) {
        const index = at(y, b, oy, ox, o);
        y.data[index] = Math.max(y.data[index]!, x.data[at(x, b, iy, ix, o)]!);
      }
    },
  );
  return y;
}

/** [N,H,W,C] -> [N,1,1,C]. */
export function globalAveragePool(x: Array64): Array64 {
  const [n, h, w, c] = x.shape as [number, number, number, number];
  const y = array([n, 1, 1, c]);
  for (let i = 0; i < x.data.length; i++)
    y.data[Math.floor(i / (h * w * c)) * c + (i % c)]! += x.data[i]! / (h * w);
  return y;
}

/** Logits [N,1,1,C] and class indices [N] -> losses [N]. */
export function crossEntropy(logits: Array64, labels: Array64): Array64 {
  const classes = logits.shape[3] as number;
  const y = array(labels.shape);
  for (let n = 0; n < y.data.length; n++) {
    const row = logits.data.slice(n * classes, (n + 1) * classes);
    y.data[n] = Math.log(row.reduce((sum, value) => sum + Math.exp(value), 0)) - row[labels.data[n]!]!;
  }
  return y;
}

export function l2Normalize(x: Array64, epsilon: number): Array64 {
  const width = x.shape.at(-1) as number;
  const y = array(x.shape);
  for (let row = 0; row < x.data.length; row += width) {
    const values = x.data.subarray(row, row + width);
    const norm = Math.max(Math.hypot(...values), epsilon);
    y.data.set(
      values.map((value) => value / norm),
      row,
    );
  }
  return y;
}

export function softmaxGate(cosines: Array64, temperature: number): Array64 {
  const items = cosines.shape.at(-1) as number;
  const y = array(cosines.shape.slice(0, -1));
  for (let p = 0; p < y.data.length; p++) {
    const e = [...cosines.data.subarray(p * items, (p + 1) * items)].map((value) =>
      Math.exp(value / temperature),
    );
    const total = e.reduce((sum, value) => sum + value, 0);
    y.data[p] = e.slice(items / 2).reduce((sum, value) => sum + value, 0) / total;
  }
  return y;
}

export function gatedResidual(x: Array64, r: Array64, gate: Array64): Array64 {
  const channels = x.shape.at(-1) as number;
  return array(
    x.shape,
    x.data.map((value, i) => value * (1 + gate.data[Math.floor(i / channels)]! * Math.tanh(r.data[i]!))),
  );
}

function cosine(a: Float64Array, b: Float64Array, epsilon: number): number {
  let dot = 0;
  for (let i = 0; i < a.length; i++) dot += a[i]! * b[i]!;
  return dot / (Math.max(Math.hypot(...a), epsilon) * Math.max(Math.hypot(...b), epsilon));
}

/** Map [N,H,W] and flattened distances [N]. */
export function cosineDistance(a: Array64, b: Array64, epsilon: number): { map: Array64; flat: Array64 } {
  const [n, h, w, c] = a.shape as [number, number, number, number];
  const map = array([n, h, w]);
  const flat = array([n]);
  const rows = (x: Array64, i: number, width: number) => x.data.subarray(i * width, (i + 1) * width);
  for (let p = 0; p < map.data.length; p++) map.data[p] = 1 - cosine(rows(a, p, c), rows(b, p, c), epsilon);
  for (let i = 0; i < n; i++)
    flat.data[i] = 1 - cosine(rows(a, i, h * w * c), rows(b, i, h * w * c), epsilon);
  return { map, flat };
}

export function topkMean(x: Array64, k: number): Array64 {
  const n = x.shape[0] as number;
  const per = x.data.length / n;
  return array(
    [n],
    Array.from({ length: n }, (_, i) => {
      const sorted = [...x.data.subarray(i * per, (i + 1) * per)].sort((p, q) => q - p);
      return sorted.slice(0, k).reduce((sum, value) => sum + value, 0) / k;
    }),
  );
}

export function focalLoss(gate: Array64, mask: Array64, alpha: number): Array64 {
  let sum = 0;
  gate.data.forEach((g, i) => {
    const m = mask.data[i]!;
    sum += -alpha * (1 - g) ** 2 * m * Math.log(g) - (1 - alpha) * g * g * (1 - m) * Math.log(1 - g);
  });
  return array([1], [sum / gate.data.length]);
}

/** Rows [R, C]; mean over pairs of max(0, t - s + margin). */
export function amplificationLoss(
  normal: Array64,
  abnormal: Array64,
  amplified: Array64,
  margin: number,
): Array64 {
  const width = normal.shape.at(-1) as number;
  const rows = (x: Array64) =>
    Array.from({ length: x.data.length / width }, (_, i) => x.data.subarray(i * width, (i + 1) * width));
  let sum = 0;
  const [n, f, a] = [rows(normal), rows(abnormal), rows(amplified)];
  for (const row of n)
    f.forEach((original, j) => {
      sum += Math.max(0, cosine(row, a[j] as Float64Array, 1e-8) - (cosine(row, original, 1e-8) - margin));
    });
  return array([1], [sum / (n.length * f.length)]);
}

export function upsampleBilinear(x: Array64, height: number, width: number): Array64 {
  const [n, h, w] = x.shape as [number, number, number];
  const y = array([n, height, width]);
  const axis = (position: number, input: number, output: number) => {
    const source = output > 1 ? (position * (input - 1)) / (output - 1) : 0;
    const low = Math.min(Math.floor(source), input - 1);
    return [low, Math.min(low + 1, input - 1), source - low] as const;
  };
  for (let b = 0; b < n; b++)
    for (let i = 0; i < height; i++)
      for (let j = 0; j < width; j++) {
        const [y0, y1, fy] = axis(i, h, height);
        const [x0, x1, fx] = axis(j, w, width);
        const value = (r: number, c: number) => x.data[at(x, b, r, c)]!;
        y.data[at(y, b, i, j)] =
          (value(y0, x0) * (1 - fx) + value(y0, x1) * fx) * (1 - fy) +
          (value(y1, x0) * (1 - fx) + value(y1, x1) * fx) * fy;
      }
  return y;
}

export function gaussianBlur(x: Array64, sigma: number): Array64 {
  const radius = Math.floor(4 * sigma + 0.5);
  const weights = Array.from({ length: 2 * radius + 1 }, (_, i) =>
    Math.exp(-0.5 * ((i - radius) / sigma) ** 2),
  );
  const total = weights.reduce((sum, value) => sum + value, 0);
  const reflect = (i: number, n: number) => {
    const r = ((i % (2 * n)) + 2 * n) % (2 * n);
    return r < n ? r : 2 * n - 1 - r;
  };
  const [n, h, w] = x.shape as [number, number, number];
  const pass = (input: Array64, vertical: boolean) => {
    const y = array(input.shape);
    for (let b = 0; b < n; b++)
      for (let i = 0; i < h; i++)
        for (let j = 0; j < w; j++)
          weights.forEach((weight, k) => {
            const source = vertical
              ? at(x, b, reflect(i + k - radius, h), j)
              : at(x, b, i, reflect(j + k - radius, w));
            y.data[at(x, b, i, j)]! += (weight / total) * input.data[source]!;
          });
    return y;
  };
  return pass(pass(x, true), false);
}

export function meanSquareError(a: Array64, b: Array64): Array64 {
  return array([1], [a.data.reduce((sum, value, i) => sum + (value - b.data[i]!) ** 2, 0) / a.data.length]);
}

/** Gradient of sum(f(x) * g) by central differences, one input value at a time. */
export function finiteDifferences(
  f: (x: Array64) => Array64,
  x: Array64,
  g: Float64Array,
  step = 1e-5,
): Float64Array {
  const objective = (point: Array64) => f(point).data.reduce((sum, value, i) => sum + value * g[i]!, 0);
  return Float64Array.from(x.data, (value, i) => {
    const shifted = (by: number) => {
      const data = new Float64Array(x.data);
      data[i] = value + by;
      return objective({ shape: x.shape, data });
    };
    return (shifted(step) - shifted(-step)) / (2 * step);
  });
}
