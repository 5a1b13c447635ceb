/** The images of a kept training, decoded, with where synthetic anomalies may fall on them. */
import { decodeImage } from '#platform';
import type { Sample } from '../src/data/dataset.ts';
import { foreground, foregroundRuleFor, parseForeground } from '../src/data/foreground.ts';
import { type RegionOfInterest, regionPixels } from '../src/data/region.ts';
import { both } from '../src/data/training_images.ts';
import type { Image } from '../src/image/image.ts';
import { resizeBicubic } from '../src/image/resize.ts';
import { imageBytes, type TrainingRecord } from './kept.ts';

export interface Loaded {
  readonly sample: Sample;
  readonly image: Image;
  readonly mask: Uint8Array;
}

/** A rule by its name; 'auto' means no foreground here, for nobody knows the product. */
function ruleOf(text: string) {
  return parseForeground(text) ?? foregroundRuleFor('folder', '');
}

/** Where synthetic anomalies may fall on an image. */
export function foregroundOf(
  image: Image,
  rule: string,
  region: RegionOfInterest | undefined,
  size: number,
): Uint8Array {
  return both(foreground(image, ruleOf(rule), size), region && regionPixels(region, size, size));
}

export async function load(record: TrainingRecord, kind: 'good' | 'bad', rule: string): Promise<Loaded[]> {
  const { imageSize: size, region } = record.job;
  const loaded: Loaded[] = [];
  for (const [i, name] of record[kind].entries()) {
    const image = await decodeImage(await imageBytes(record, kind, i), name);
    loaded.push({
      sample: { path: name, stem: name, defect: kind },
      image: resizeBicubic(image, size, size),
      mask: foregroundOf(image, rule, region, size),
    });
  }
  return loaded;
}
