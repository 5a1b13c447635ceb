/**
 * Foreground masks (method, 3.11): where on a good image the product is, so that synthetic anomalies lie on
 * the product. They are found on the native image: grey, Gaussian of sigma 8 with 8-bit results after each
 * axis, threshold. Then they are resized by src = floor(x * in / out).
 */

import { decimal } from '../base/decimal.ts';
import { InvalidArgumentError } from '../base/errors.ts';
import type { Image } from '../image/image.ts';
import type { Format } from './dataset.ts';

export type ForegroundRule =
  | { readonly kind: 'none' }
  | { readonly kind: 'threshold'; readonly threshold: number; readonly dark: boolean }
  | { readonly kind: 'otsu'; readonly dark: boolean }
  | { readonly kind: 'disc' }
  | { readonly kind: 'rectangle' }
  | { readonly kind: 'folder'; readonly path: string };

const bright = (threshold: number): ForegroundRule => ({ kind: 'threshold', threshold, dark: false });
const dark = (threshold: number): ForegroundRule => ({ kind: 'threshold', threshold, dark: true });
const disc: ForegroundRule = { kind: 'disc' };
const rectangle: ForegroundRule = { kind: 'rectangle' };

function named(rule: ForegroundRule, names: string): [string, ForegroundRule][] {
  return names.split(' ').map((name) => [name, rule]);
}

// The authors' rules; 'cable' has a disc of its own (their list misspells it, and it gets the last bottle's).
const visaRules = new Map([
  ...named(bright(150), 'candle cashew chewinggum fryum macaroni1 macaroni2 pcb1'),
  ...named(bright(100), 'pcb2 pcb3 pipe_fryum'),
  ...named(bright(50), 'pcb4'),
  ...named(dark(100), 'capsules'),
]);
const rules: Partial<Record<Format, ReadonlyMap<string, ForegroundRule>>> = {
  mvtec: new Map([
    ...named(bright(0), 'carpet grid leather tile wood transistor'),
    ...named(dark(150), 'capsule screw zipper'),
    ...named(bright(50), 'hazelnut metal_nut pill toothbrush'),
    ...named(disc, 'bottle cable'),
  ]),
  visa: visaRules,
  mvtec3d: new Map([
    ...named(bright(50), 'bagel cable_gland carrot cookie dowel peach potato rope'),
    ...named(rectangle, 'foam tire'),
  ]),
};

/** The authors' rule for a category of the known data sets; for others everything is foreground. */
export function foregroundRuleFor(format: Format, category: string): ForegroundRule {
  const known = rules[format] && (rules[format].get(category) ?? visaRules.get(category));
  return known ?? { kind: 'none' };
}

export const foregroundHelp =
  'auto, none, otsu-bright, otsu-dark, threshold:T, threshold-dark:T (T 0 to 255), disc, rectangle or ' +
  'folder:PATH';

/**
 * Reads a rule from text; undefined for 'auto'.
 *
 * @throws Error listing the rules
 */
export function parseForeground(text: string): ForegroundRule | undefined {
  const [kind, value] = [
    text.replace(/:.*$/, ''),
    text.includes(':') ? text.slice(text.indexOf(':') + 1) : undefined,
  ];
  if (kind === 'threshold' || kind === 'threshold-dark') {
    const threshold = decimal(value ?? '');
    if (threshold >= 0 && threshold <= 255)
      return { kind: 'threshold', threshold, dark: kind === 'threshold-dark' };
  } else if (kind === 'folder') {
    if (value) return { kind, path: value };
  } else if (value === undefined) {
    if (kind === 'auto') return undefined;
    if (kind === 'none' || kind === 'disc' || kind === 'rectangle') return { kind };
    if (kind === 'otsu-bright' || kind === 'otsu-dark') return { kind: 'otsu', dark: kind === 'otsu-dark' };
  }
  throw new InvalidArgumentError(`foreground rule '${text}' is not known; there are ${foregroundHelp}`);
}

export function describeForeground(rule: ForegroundRule): string {
  if (rule.kind === 'threshold') return `${rule.dark ? 'threshold-dark' : 'threshold'}:${rule.threshold}`;
  if (rule.kind === 'otsu') return `otsu-${rule.dark ? 'dark' : 'bright'}`;
  return rule.kind === 'folder' ? `folder:${rule.path}` : rule.kind;
}

/** Pillow's 8-bit grey. */
export function grey({ width, height, channels, data }: Image): Uint8Array {
  if (channels === 1) return data;
  const result = new Uint8Array(width * height);
  for (let i = 0; i < result.length; i++) {
    const [r, g, b] = [data[3 * i] as number, data[3 * i + 1] as number, data[3 * i + 2] as number];
    result[i] = (19595 * r + 38470 * g + 7471 * b + 32768) >> 16;
  }
  return result;
}

const sigma = 8;
const radius = 4 * sigma;

/** Weights of the Gaussian, centre first. */
const gaussian = (() => {
  const raw = Array.from({ length: radius + 1 }, (_, i) => Math.exp(-(i * i) / (2 * sigma * sigma)));
  const sum = raw.reduce((total, weight, i) => total + (i ? 2 * weight : weight), 0);
  return Float64Array.from(raw, (weight) => weight / sum);
})();

/** Half-sample reflection (d c b a | a b c d | d c b a) of any distance. */
function reflect(i: number, size: number): number {
  const period = 2 * size;
  const at = ((i % period) + period) % period;
  return at < size ? at : period - 1 - at;
}

function blurAxis(source: Uint8Array, count: number, size: number, line: number, step: number): Uint8Array {
  const result = new Uint8Array(source.length);
  const row = new Float64Array(size + 2 * radius);
  for (let i = 0; i < count; i++) {
    for (let x = -radius; x < size + radius; x++)
      row[x + radius] = source[i * line + reflect(x, size) * step] as number;
    for (let x = 0; x < size; x++) {
      let sum = (row[x + radius] as number) * (gaussian[0] as number);
      for (let k = 1; k <= radius; k++)
        sum += ((row[x + radius - k] as number) + (row[x + radius + k] as number)) * (gaussian[k] as number);
      // The sum of exact values may end one bit below the true sum. scipy truncates in the type that it
      // keeps.
      result[i * line + x * step] = Math.trunc(sum + 1e-9);
    }
  }
  return result;
}

/** Gaussian sigma 8 along columns, then rows, 8 bits after each. */
export function blur(values: Uint8Array, width: number, height: number): Uint8Array {
  return blurAxis(blurAxis(values, width, height, 1, width), height, width, width, 1);
}

/** Otsu's threshold: above it is the bright class. */
export function otsuThreshold(values: Uint8Array): number {
  const counts = new Float64Array(256);
  for (const value of values) counts[value] = (counts[value] as number) + 1;
  const total = values.length;
  const sum = counts.reduce((all, count, value) => all + count * value, 0);
  let [below, belowSum, best, threshold] = [0, 0, -1, 0];
  for (let value = 0; value < 256; value++) {
    below += counts[value] as number;
    belowSum += value * (counts[value] as number);
    if (!below || below === total) continue;
    const difference = belowSum / below - (sum - belowSum) / (total - below);
    const variance = below * (total - below) * difference * difference;
    if (variance > best) [best, threshold] = [variance, value];
  }
  return threshold;
}

/** 0/1 at native size, by every rule but 'folder'. */
function nativeMask(image: Image, rule: Exclude<ForegroundRule, { kind: 'folder' }>): Uint8Array {
  const { width, height } = image;
  const mask = new Uint8Array(width * height);
  if (rule.kind === 'none') return mask.fill(1);
  if (rule.kind === 'disc' || rule.kind === 'rectangle') {
    const [cx, cy] = [Math.floor(width / 2), Math.floor(height / 2)];
    const r = Math.trunc(0.45 * height);
    const [halfWidth, halfHeight] = [Math.trunc(0.35 * width), Math.trunc(0.35 * height)];
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++) {
        const [dx, dy] = [Math.abs(x - cx), Math.abs(y - cy)];
        const inside =
          rule.kind === 'disc' ? dx * dx + dy * dy <= r * r : dx <= halfWidth && dy <= halfHeight;
        mask[y * width + x] = inside ? 1 : 0;
      }
    return mask;
  }
  const blurred = blur(grey(image), width, height);
  const threshold = rule.kind === 'otsu' ? otsuThreshold(blurred) : rule.threshold;
  for (let i = 0; i < mask.length; i++) mask[i] = (blurred[i] as number) > threshold !== rule.dark ? 1 : 0;
  return mask;
}

/** 0/1 values of one channel at another size: src = floor(x * in / out). */
export function resizeForeground(mask: Uint8Array, width: number, height: number, size: number): Uint8Array {
  const result = new Uint8Array(size * size);
  for (let y = 0; y < size; y++) {
    const row = Math.floor((y * height) / size) * width;
    for (let x = 0; x < size; x++) result[y * size + x] = mask[row + Math.floor((x * width) / size)] ? 1 : 0;
  }
  return result;
}

/**
 * The foreground of a good image, 0/1 [size, size].
 *
 * @param image at native size
 * @param own the user's mask of this image for the rule 'folder'; missing ones count as everything
 */
export function foreground(image: Image, rule: ForegroundRule, size: number, own?: Image): Uint8Array {
  if (rule.kind !== 'folder')
    return resizeForeground(nativeMask(image, rule), image.width, image.height, size);
  if (!own) return new Uint8Array(size * size).fill(1);
  return resizeForeground(grey(own), own.width, own.height, size);
}
