/** Pictures of a prediction for those who ask for one. */
import { decodeImage, encodePng, encodeWebp } from '#platform';
import type { Prediction } from '../detector/detector.ts';
import type { DetectorSettings } from '../detector/settings.ts';
import { colouredMap, heatPicture } from '../eval/panels.ts';
import { decodingBudget } from '../image/decoding_budget.ts';
import type { Image } from '../image/image.ts';
import { resizeBilinear } from '../image/resize.ts';
import type { PictureKind } from './schemas.ts';
import type { SizedPrediction } from './served_model.ts';

// Sides in pixels, of the longer one.
const overlaySide = 1024;
const thumbnailSide = 240;

/** What a picture is made of. */
export interface Pictured extends SizedPrediction {
  /** The image file. */
  readonly bytes: Uint8Array;
  readonly settings: Pick<DetectorSettings, 'pixel'>;
}

/** The heat map over the image, the longer side as long as given at most. */
async function overlay({ bytes, prediction, width, height, settings }: Pictured, side: number) {
  const scale = Math.min(1, side / Math.max(width, height));
  const [w, h] = [width, height].map((length) => Math.max(1, Math.round(length * scale))) as [number, number];
  const image = await decodingBudget.run(3 * width * height, () => decodeImage(bytes, 'the image'));
  return heatPicture(resizeBilinear(image, w, h), { ...prediction, ...settings });
}

function maskPicture({ mask, width, height }: Prediction): Image {
  const data = new Uint8Array(3 * width * height);
  mask?.forEach((value, i) => {
    data.fill(value ? 255 : 0, 3 * i, 3 * i + 3);
  });
  return { width, height, channels: 3, data };
}

/** A PNG of the kind that is asked for. */
export async function pngOf(kind: Exclude<PictureKind, 'none'>, pictured: Pictured): Promise<Uint8Array> {
  const { prediction, settings } = pictured;
  if (kind === 'mask') return encodePng(maskPicture(prediction));
  if (kind === 'overlay') return encodePng(await overlay(pictured, overlaySide));
  return encodePng(colouredMap({ ...prediction, ...settings }));
}

/** A small picture for the live page. */
export async function thumbnailOf(pictured: Pictured): Promise<Uint8Array> {
  return encodeWebp(await overlay(pictured, thumbnailSide));
}
