/** Training images to look at, each with its strangest spot outlined, and that spot enlarged beside it. */
import { crop } from '../data/tiles.ts';
import type { Image } from '../image/image.ts';
import { resizeBilinear } from '../image/resize.ts';
import { type Cell, contactSheet } from './contact_sheet.ts';

/** An image with the map that says where it is unlike the others. */
export interface StrangeImage {
  /** 8-bit RGB of any size. */
  readonly image: Image;
  /** What stands below the image, and below the enlarged spot. */
  readonly labels: readonly [string, string];
  /** [side, side]; the strangest spot has the largest value. */
  readonly map: Float32Array;
  readonly side: number;
}

const maskSide = 128;
/** Outlined is what has more than this share of the largest value. */
const outlined = 0.85;
/** Side of the enlarged spot, as a share of the image's longer side. */
const spot = 0.3;
const columns = 6;
const cellSide = 220;

function peakOf(map: Float32Array): number {
  return map.reduce((best, value, i) => (value > (map[best] as number) ? i : best), 0);
}

/** 0/1 [maskSide, maskSide]: where the map is near its largest value. */
function maskOf({ map, side }: StrangeImage): Uint8Array {
  const largest = map[peakOf(map)] as number;
  const grey = Uint8Array.from(map, (value) => (largest > 0 ? Math.max(0, (255 * value) / largest) : 0));
  const { data } = resizeBilinear({ width: side, height: side, channels: 1, data: grey }, maskSide, maskSide);
  return data.map((value) => (value > 255 * outlined ? 1 : 0));
}

/** The square around the strangest patch, inside of the image. */
function spotOf({ image, map, side }: StrangeImage): Image {
  const peak = peakOf(map);
  const { width, height } = image;
  const length = Math.max(1, Math.round(spot * Math.max(width, height)));
  const window = (middle: number, size: number) => {
    const used = Math.min(length, size);
    const start = Math.min(Math.max(Math.round(middle * size - used / 2), 0), size - used);
    return [start, used] as const;
  };
  const [x, across] = window(((peak % side) + 0.5) / side, width);
  const [y, down] = window((Math.floor(peak / side) + 0.5) / side, height);
  return crop(image, { x, y, width: across, height: down });
}

/** Draws the images row by row, two pictures each. */
export function suspectSheet(images: readonly StrangeImage[], title: string): Image {
  const cells = images.flatMap((strange): Cell[] => [
    {
      image: strange.image,
      label: strange.labels[0],
      mask: { values: maskOf(strange), side: maskSide },
    },
    { image: spotOf(strange), label: strange.labels[1] },
  ]);
  return contactSheet(cells, { columns, side: cellSide, title });
}
