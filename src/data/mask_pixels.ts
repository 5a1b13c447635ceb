/**
 * What the pixels of a mask file mean. Masks come as 0 and 255, as 0 and 1, as class numbers, as colours on
 * black, as black on white, or in the alpha channel. One rule covers them all: a pixel is defective where its
 * distance from the background is above a limit.
 */

import { rangeOf } from '../base/lists.ts';
import type { Stored } from '../image/stored.ts';

export type MaskChannel = 'colour' | 'alpha';

/** How the masks of a data set are read. Values are 0 to 255; those of 16 bits are divided by 257. */
export interface MaskEncoding {
  readonly channel: MaskChannel;
  /** [red, green, blue], or [alpha]. */
  readonly background: readonly number[];
  /**
   * A pixel is defective where its distance from the background, the largest of its channels', is above this.
   */
  readonly limit: number;
}

/** White on black. */
export const plainEncoding: MaskEncoding = { channel: 'colour', background: [0, 0, 0], limit: 127.5 };
/** Class numbers: everything but 0 is a defect. */
export const classEncoding: MaskEncoding = { ...plainEncoding, limit: 0 };

/** Values of a channel by how often they occur, as distances from a background. */
export interface Levels {
  /** Rising, 0 to 255. */
  readonly values: readonly number[];
  /** Pixels of each value. */
  readonly counts: readonly number[];
  /** Pixels between the lowest and the highest value. */
  readonly between: number;
  /**
   * Those of them that lie in areas of one value (classes), not at soft edges or in the noise of a JPEG file
   * (shades).
   */
  readonly flat: number;
}

export interface ChannelEvidence {
  /** The most frequent value at the border, 0 to 255 per channel. */
  readonly border: readonly number[];
  /** Distances from black, or from no alpha. */
  readonly levels: Levels;
  /** Distances from `border`, where it is not black, and the border and most of the area have it. */
  readonly fromBorder?: Levels;
}

/** What one mask file shows. */
export interface MaskEvidence {
  readonly width: number;
  readonly height: number;
  /** Some of its pixels are not grey. */
  readonly coloured: boolean;
  readonly colour: ChannelEvidence;
  /** Where the file has it. */
  readonly alpha?: ChannelEvidence;
  /** Alpha shows the defect, and the colours of visible pixels do not (all are black, or none is). */
  readonly alphaTells: boolean;
}

/** Shares of the border and of the area that a colour other than black needs to count as the background. */
const borderShare = 0.75;
const areaShare = 0.5;
const colouredFrom = 48;

interface Layout {
  /** Index of the first channel, how many count, channels of a pixel. */
  readonly first: number;
  readonly count: number;
  readonly step: number;
}

function layoutOf({ channels }: Stored, channel: MaskChannel): Layout | undefined {
  const colours = channels < 3 ? 1 : 3;
  if (channel === 'colour') return { first: 0, count: colours, step: channels };
  return channels > colours ? { first: colours, count: 1, step: channels } : undefined;
}

/** Stored values of a 16-bit file per value of an 8-bit one. */
function scaleOf({ data }: Stored): number {
  return data instanceof Uint16Array ? 257 : 1;
}

/**
 * Distance of each pixel from the background, in stored values; undefined where the file lacks the channel.
 */
function distances(
  pixels: Stored,
  channel: MaskChannel,
  background: readonly number[],
): Uint8Array | Uint16Array | undefined {
  const layout = layoutOf(pixels, channel);
  if (!layout) return undefined;
  const { first, count, step } = layout;
  const { data } = pixels;
  const from = background.map((value) => Math.round(value * scaleOf(pixels)));
  if (step === 1 && !from[0]) return data;
  const total = pixels.width * pixels.height;
  const result = data instanceof Uint16Array ? new Uint16Array(total) : new Uint8Array(total);
  for (let c = 0; c < count; c++) {
    const background = from[c] as number;
    for (let i = 0, at = first + c; i < total; i++, at += step) {
      const distance = Math.abs((data[at] as number) - background);
      if (distance > (result[i] as number)) result[i] = distance;
    }
  }
  return result;
}

/**
 * Counts the pixels between two values, and those of them that have at least three neighbours of their own
 * value. At a soft edge a pixel may have two.
 */
function countBetween(
  values: Uint8Array | Uint16Array,
  width: number,
  height: number,
  low: number,
  high: number,
) {
  let between = 0;
  let flat = 0;
  for (let y = 1; y < height - 1; y++)
    for (let x = 1; x < width - 1; x++) {
      const i = y * width + x;
      const value = values[i] as number;
      if (value === low || value === high) continue;
      between++;
      const horizontal = (values[i - 1] === value ? 1 : 0) + (values[i + 1] === value ? 1 : 0);
      const vertical = (values[i - width] === value ? 1 : 0) + (values[i + width] === value ? 1 : 0);
      if (horizontal + vertical > 2) flat++;
    }
  return { between, flat };
}

function levelsOf(pixels: Stored, values: Uint8Array | Uint16Array): Levels {
  const scale = scaleOf(pixels);
  const histogram = new Uint32Array(scale === 1 ? 256 : 65536);
  for (let i = 0; i < values.length; i++) (histogram[values[i] as number] as number)++;
  const found = [...histogram.keys()].filter((value) => histogram[value]);
  const [low, high] = [found[0] as number, found.at(-1) as number];
  return {
    values: found.map((value) => value / scale),
    counts: found.map((value) => histogram[value] as number),
    ...(found.length < 3
      ? { between: 0, flat: 0 }
      : countBetween(values, pixels.width, pixels.height, low, high)),
  };
}

/** The most frequent value of a channel at the image's border, 0 to 255. */
function borderMode(pixels: Stored, { first, count, step }: Layout): number[] {
  const { width, height, data } = pixels;
  const counts = new Map<string, { count: number; at: number }>();
  const visit = (i: number) => {
    const key = data.subarray(i * step + first, i * step + first + count).join();
    const entry = counts.get(key);
    if (entry) entry.count++;
    else counts.set(key, { count: 1, at: i });
  };
  for (let x = 0; x < width; x++) {
    visit(x);
    visit((height - 1) * width + x);
  }
  for (let y = 1; y < height - 1; y++) {
    visit(y * width);
    visit(y * width + width - 1);
  }
  let best = { count: 0, at: 0 };
  for (const entry of counts.values()) if (entry.count > best.count) best = entry;
  const start = best.at * step + first;
  return [...data.subarray(start, start + count)].map((value) => value / scaleOf(pixels));
}

/** Shares of the border and of the area whose distance is at most a tolerance. */
function nearShares({ width, height }: Stored, values: Uint8Array | Uint16Array, tolerance: number) {
  let [border, area, edge] = [0, 0, 0];
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const near = (values[y * width + x] as number) <= tolerance ? 1 : 0;
      area += near;
      if (x && y && x < width - 1 && y < height - 1) continue;
      edge++;
      border += near;
    }
  return { border: border / edge, area: area / (width * height) };
}

function channelEvidence(pixels: Stored, channel: MaskChannel): ChannelEvidence | undefined {
  const layout = layoutOf(pixels, channel);
  const dark = layout && distances(pixels, channel, [0, 0, 0]);
  if (!dark) return undefined;
  const levels = levelsOf(pixels, dark);
  const border = borderMode(pixels, layout);
  if (Math.max(...border) === 0) return { border, levels };
  const values = distances(pixels, channel, border) as Uint8Array | Uint16Array;
  const own = levelsOf(pixels, values);
  // JPEG files differ a little from their background everywhere. Class numbers may differ by 1 alone.
  const tolerance = Math.min(16, (own.values.at(-1) as number) / 4);
  if (own.values.length < 2 || rangeOf(border).max <= tolerance) return { border, levels };
  const near = nearShares(pixels, values, tolerance * scaleOf(pixels));
  const surrounds = near.border >= borderShare && near.area > areaShare;
  return { border, levels, ...(surrounds && { fromBorder: own }) };
}

function isColoured({ channels, data }: Stored, scale: number): boolean {
  if (channels < 3) return false;
  const most = colouredFrom * scale;
  for (let i = 0; i < data.length; i += channels) {
    const [r, g, b] = [data[i] as number, data[i + 1] as number, data[i + 2] as number];
    if (Math.abs(r - g) > most || Math.abs(g - b) > most || Math.abs(b - r) > most) return true;
  }
  return false;
}

/** Whether the visible pixels are all black, or none of them is. Then their colours show no defect. */
function coloursTellNothing(pixels: Stored): boolean {
  const alpha = distances(pixels, 'alpha', [0]);
  const colour = distances(pixels, 'colour', [0, 0, 0]) as Uint8Array | Uint16Array;
  if (!alpha) return false;
  let [visible, black] = [0, 0];
  for (let i = 0; i < alpha.length; i++)
    if (alpha[i]) {
      visible++;
      if (!colour[i]) black++;
    }
  return black < 0.01 * visible || black > 0.99 * visible;
}

/** Looks at one mask file. */
export function maskEvidence(pixels: Stored): MaskEvidence {
  const { width, height } = pixels;
  const colour = channelEvidence(pixels, 'colour') as ChannelEvidence;
  const alpha = channelEvidence(pixels, 'alpha');
  return {
    width,
    height,
    coloured: isColoured(pixels, scaleOf(pixels)),
    colour,
    ...(alpha && { alpha }),
    alphaTells: alpha !== undefined && alpha.levels.values.length > 1 && coloursTellNothing(pixels),
  };
}

/** 0/1 of each pixel at the file's own size; a file without the encoding's channel marks nothing. */
export function defectivePixels(pixels: Stored, { channel, background, limit }: MaskEncoding): Uint8Array {
  const result = new Uint8Array(pixels.width * pixels.height);
  const values = distances(pixels, channel, background);
  if (!values) return result;
  const above = limit * scaleOf(pixels);
  for (let i = 0; i < result.length; i++) result[i] = (values[i] as number) > above ? 1 : 0;
  return result;
}
