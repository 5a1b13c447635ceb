/** Pictures of a prediction for those who ask for one. */
import { decodeImage, encodePng, encodeWebp } from '#platform';
import type { Prediction } from '../detector/detector.ts';
import type { Scale } from '../eval/marks.ts';
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
  /** The detector's. */
  readonly scale: Scale | null;
}

/** The heat map over the image, the longer side as long as given at most. */
async function overlay({ bytes, prediction, width, height, scale }: Pictured, side: number) {
  const factor = Math.min(1, side / Math.max(width, height));
  const [w, h] = [width, height].map((length) => Math.max(1, Math.round(length * factor))) as [
    number,
    number,
  ];
  const image = await decodingBudget.run(3 * width * height, () => decodeImage(bytes, 'the image'));
  return heatPicture(resizeBilinear(image, w, h), { ...prediction, scale: scale?.map ?? null });
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
  const { prediction, scale } = pictured;
  if (kind === 'mask') return encodePng(maskPicture(prediction));
  if (kind === 'overlay') return encodePng(await overlay(pictured, overlaySide));
  return encodePng(colouredMap({ ...prediction, scale: scale?.map ?? null }));
}

/** A small picture for the live page. */
export async function thumbnailOf(pictured: Pictured): Promise<Uint8Array> {
  return encodeWebp(await overlay(pictured, thumbnailSide));
}
