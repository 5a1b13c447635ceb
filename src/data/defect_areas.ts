/** The defects of an image one by one, each with the area from which on it counts as found whole. */

import { decodeMask, readBytes } from '#platform';
import { InvalidDatasetError } from '../base/errors.ts';
import { resizeNearest } from '../image/resize.ts';
import type { Stored } from '../image/stored.ts';
import { masksOf, type Sample } from './dataset.ts';
import { classEncoding, defectivePixels } from './mask_pixels.ts';
import type { SaturationRule } from './saturation.ts';

/** A defect in a map's pixels. */
export interface DefectArea {
  /** Indices into the map, rising; at least one. */
  readonly pixels: Uint32Array;
  /** So many of them are as good as all: above 0, at most their number. */
  readonly saturation: number;
}

/** The value of what a mask marks, 1 to 255: the number of its kind of defect. */
function kindValue({ data, channels }: Stored): number {
  let most = 0;
  for (let at = 0; at < data.length; at += channels) most = Math.max(most, data[at] as number);
  return data instanceof Uint16Array ? Math.round(most / 257) : most;
}

function saturationOf(rule: SaturationRule, pixels: number, perMaskPixel: number): number {
  const asked = rule.relative ? rule.threshold * pixels : rule.threshold * perMaskPixel;
  return Math.min(pixels, asked);
}

/**
 * One area per mask of the sample; those that have no pixel at the map's size are left out.
 *
 * @returns undefined where the data set has no rules of saturation
 * @throws Error naming the mask, where its value has no rule
 */
export async function loadDefectAreas(
  sample: Pick<Sample, 'maskPath' | 'moreMasks' | 'saturation'>,
  width: number,
  height: number,
): Promise<DefectArea[] | undefined> {
  const { saturation: rules } = sample;
  if (!rules) return undefined;
  const areas: DefectArea[] = [];
  for (const path of masksOf(sample)) {
    const stored = await decodeMask(await readBytes(path), path);
    const value = kindValue(stored);
    if (!value) continue;
    const rule = rules.find((each) => each.value === value);
    if (!rule)
      throw new InvalidDatasetError(
        `${path}: its value ${value} is no kind of defect in defects_config.json, which has ` +
          rules.map((each) => each.value).join(', '),
      );
    const whole = { ...stored, channels: 1, data: defectivePixels(stored, classEncoding) } as const;
    const { data } = resizeNearest(whole, width, height);
    const pixels = Uint32Array.from(data.keys()).filter((i) => data[i]);
    if (!pixels.length) continue;
    const perMaskPixel = (width * height) / (stored.width * stored.height);
    areas.push({ pixels, saturation: saturationOf(rule, pixels.length, perMaskPixel) });
  }
  return areas;
}
