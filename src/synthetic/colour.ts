/**
 * 8-bit colour spaces with OpenCV's scalings, per pixel: what the brightness and hue operations need (method,
 * 3.10 b, d).
 */

export type Triple = [number, number, number];

export interface ColourSpace {
  readonly name: string;
  /** Index of the channel that carries the brightness. */
  readonly brightness: 0 | 1 | 2;
  /** RGB 0..255 to this space, every channel rounded to 8 bits (hue 0..179). */
  from(r: number, g: number, b: number): Triple;
  /** Back to RGB, rounded and clipped. */
  to(a: number, b: number, c: number): Triple;
}

export function clip8(value: number): number {
  return value <= 0 ? 0 : value >= 255 ? 255 : Math.round(value);
}

function clipped(r: number, g: number, b: number): Triple {
  return [clip8(r), clip8(g), clip8(b)];
}

const luma = (r: number, g: number, b: number) => 0.299 * r + 0.587 * g + 0.114 * b;

const yCrCb: ColourSpace = {
  name: 'YCrCb',
  brightness: 0,
  from(r, g, b) {
    const y = luma(r, g, b);
    return clipped(y, (r - y) * 0.713 + 128, (b - y) * 0.564 + 128);
  },
  to: (y, cr, cb) =>
    clipped(y + 1.403 * (cr - 128), y - 0.714 * (cr - 128) - 0.344 * (cb - 128), y + 1.773 * (cb - 128)),
};

const yuv: ColourSpace = {
  name: 'YUV',
  brightness: 0,
  from(r, g, b) {
    const y = luma(r, g, b);
    return clipped(y, 0.492 * (b - y) + 128, 0.877 * (r - y) + 128);
  },
  to: (y, u, v) =>
    clipped(y + 1.14 * (v - 128), y - 0.395 * (u - 128) - 0.581 * (v - 128), y + 2.032 * (u - 128)),
};

/** Hue in degrees [0, 360). */
function hueOf(r: number, g: number, b: number, max: number, range: number): number {
  if (range === 0) return 0;
  const h =
    max === r
      ? (60 * (g - b)) / range
      : max === g
        ? 120 + (60 * (b - r)) / range
        : 240 + (60 * (r - g)) / range;
  return h < 0 ? h + 360 : h;
}

function hue8(degrees: number): number {
  return Math.round(degrees / 2) % 180;
}

/** RGB in [0, 1] from hue and the two levels between which the channels move. */
function fromHue(degrees: number, low: number, high: number): Triple {
  const sector = degrees / 60;
  const channel = (offset: number) => {
    const k = (offset + sector) % 6;
    return low + (high - low) * Math.min(Math.max(Math.min(k, 4 - k), 0), 1);
  };
  return [channel(2), channel(0), channel(4)];
}

export const hsv: ColourSpace = {
  name: 'HSV',
  brightness: 2,
  from(r, g, b) {
    const max = Math.max(r, g, b);
    const range = max - Math.min(r, g, b);
    return [hue8(hueOf(r, g, b, max, range)), max === 0 ? 0 : clip8((255 * range) / max), max];
  },
  to(h, s, v) {
    const high = v / 255;
    const [r, g, b] = fromHue(h * 2, high * (1 - s / 255), high);
    return clipped(r * 255, g * 255, b * 255);
  },
};

const hls: ColourSpace = {
  name: 'HLS',
  brightness: 1,
  from(r, g, b) {
    const max = Math.max(r, g, b);
    const min = Math.min(r, g, b);
    const sum = max + min;
    const range = max - min;
    const saturation = range === 0 ? 0 : sum < 255 ? range / sum : range / (510 - sum);
    return [hue8(hueOf(r, g, b, max, range)), clip8(sum / 2), clip8(saturation * 255)];
  },
  to(h, l, s) {
    const lightness = l / 255;
    const spread = (1 - Math.abs(2 * lightness - 1)) * (s / 255) * 0.5;
    const [r, g, b] = fromHue(h * 2, lightness - spread, lightness + spread);
    return clipped(r * 255, g * 255, b * 255);
  },
};

const linear = Float64Array.from({ length: 256 }, (_, v) => {
  const c = v / 255;
  return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
});

function companded(value: number): number {
  const c = Math.min(Math.max(value, 0), 1);
  return 255 * (c <= 0.0031308 ? 12.92 * c : 1.055 * c ** (1 / 2.4) - 0.055);
}

const whiteX = 0.950456;
const whiteZ = 1.088754;

function toXyz(r: number, g: number, b: number): Triple {
  const [lr, lg, lb] = [linear[r] as number, linear[g] as number, linear[b] as number];
  return [
    0.412453 * lr + 0.35758 * lg + 0.180423 * lb,
    0.212671 * lr + 0.71516 * lg + 0.072169 * lb,
    0.019334 * lr + 0.119193 * lg + 0.950227 * lb,
  ];
}

function fromXyz(x: number, y: number, z: number): Triple {
  return clipped(
    companded(3.240479 * x - 1.53715 * y - 0.498535 * z),
    companded(-0.969256 * x + 1.875991 * y + 0.041556 * z),
    companded(0.055648 * x - 0.204043 * y + 1.057311 * z),
  );
}

const lightnessOf = (y: number) => (y > 0.008856 ? 116 * Math.cbrt(y) - 16 : 903.3 * y);
const luminanceOf = (l: number) => (l > 8 ? ((l + 16) / 116) ** 3 : l / 903.3);

const lab: ColourSpace = {
  name: 'Lab',
  brightness: 0,
  from(r, g, b) {
    const [x, y, z] = toXyz(r, g, b);
    const f = (t: number) => (t > 0.008856 ? Math.cbrt(t) : 7.787 * t + 16 / 116);
    const fy = f(y);
    return clipped(
      (lightnessOf(y) * 255) / 100,
      500 * (f(x / whiteX) - fy) + 128,
      200 * (fy - f(z / whiteZ)) + 128,
    );
  },
  to(l, a, b) {
    const y = luminanceOf((l * 100) / 255);
    const f = (t: number) => (t > 0.206893 ? t ** 3 : (t - 16 / 116) / 7.787);
    const fy = y > 0.008856 ? Math.cbrt(y) : 7.787 * y + 16 / 116;
    return fromXyz(whiteX * f(fy + (a - 128) / 500), y, whiteZ * f(fy - (b - 128) / 200));
  },
};

const whiteU = (4 * whiteX) / (whiteX + 15 + 3 * whiteZ);
const whiteV = 9 / (whiteX + 15 + 3 * whiteZ);

const luv: ColourSpace = {
  name: 'Luv',
  brightness: 0,
  from(r, g, b) {
    const [x, y, z] = toXyz(r, g, b);
    const l = lightnessOf(y);
    const d = x + 15 * y + 3 * z;
    const u = d > 0 ? 13 * l * ((4 * x) / d - whiteU) : 0;
    const v = d > 0 ? 13 * l * ((9 * y) / d - whiteV) : 0;
    return clipped((l * 255) / 100, ((u + 134) * 255) / 354, ((v + 140) * 255) / 262);
  },
  to(l8, u8, v8) {
    const l = (l8 * 100) / 255;
    if (l === 0) return [0, 0, 0];
    const y = luminanceOf(l);
    const u = ((u8 * 354) / 255 - 134) / (13 * l) + whiteU;
    const v = ((v8 * 262) / 255 - 140) / (13 * l) + whiteV;
    if (v <= 0) return fromXyz(0, y, 0);
    return fromXyz((y * 9 * u) / (4 * v), y, (y * (12 - 3 * u - 20 * v)) / (4 * v));
  },
};

/** The spaces that the brightness operation chooses from, in the order of the method. */
export const brightnessSpaces: readonly ColourSpace[] = [yCrCb, hsv, hls, lab, luv, yuv];
