/**
 * Another camera and another lamp: a moved, blurred, brighter, coloured or noisy copy of an image. All is
 * computed by +, -, *, / and square roots alone, so that copies have the same bytes everywhere.
 */

import type { RandomStream } from '../base/random.ts';
import type { Image } from './image.ts';

/** Where a pixel of a copy comes from: turned and mirrored about the middle of the image, then moved. */
export interface Placement {
  readonly cosine: number;
  readonly sine: number;
  readonly flip: 1 | -1;
  /** Pixels. */
  readonly x: number;
  readonly y: number;
}

/** What changes; what is left out stays. In this order: placement, blur, gains, contrast, offset, noise. */
export interface Change {
  readonly placement?: Placement | undefined;
  /** Standard deviation of a Gaussian, in pixels. */
  readonly blur?: number | undefined;
  /** Factors of red, green and blue; a grey image has green's. */
  readonly gains?: readonly [red: number, green: number, blue: number] | undefined;
  /** Factor of the distance from 128. */
  readonly contrast?: number | undefined;
  /** Added to every value, in steps of 8 bits. */
  readonly offset?: number | undefined;
  /** Standard deviation of what is added to each value by chance, in steps of 8 bits. */
  readonly noise?: number | undefined;
}

export const inPlace: Placement = { cosine: 1, sine: 0, flip: 1, x: 0, y: 0 };

function stays({ cosine, sine, flip, x, y }: Placement): boolean {
  return cosine === 1 && sine === 0 && flip === 1 && x === 0 && y === 0;
}

// Platforms round their sines and exponentials differently; these terms are exact for all that comes here.
const terms = 20;

/** Cosine and sine of at most half a turn. */
export function turned(degrees: number): Pick<Placement, 'cosine' | 'sine'> {
  const angle = (degrees * Math.PI) / 180;
  let [cosine, sine, power] = [1, 0, 1];
  for (let n = 1; n < 2 * terms; n++) {
    power *= angle / n;
    const signed = n % 4 < 2 ? power : -power;
    if (n % 2) sine += signed;
    else cosine += signed;
  }
  return { cosine, sine };
}

/** exp(-x) for x from 0 to 16. */
function decay(x: number): number {
  let [sum, power] = [1, 1];
  for (let n = 1; n < terms; n++) {
    power *= -x / 16 / n;
    sum += power;
  }
  for (let i = 0; i < 4; i++) sum *= sum;
  return sum;
}

/** The place in the original of each pixel of the copy; beyond the edge the edge itself. */
function eachOrigin(
  p: Placement,
  { width, height }: Pick<Image, 'width' | 'height'>,
  visit: (pixel: number, x: number, y: number) => void,
): void {
  const [middleX, middleY] = [(width - 1) / 2, (height - 1) / 2];
  for (let row = 0, pixel = 0; row < height; row++)
    for (let column = 0; column < width; column++, pixel++) {
      const [dx, dy] = [(column - middleX) * p.flip, row - middleY];
      visit(
        pixel,
        Math.min(width - 1, Math.max(0, p.cosine * dx - p.sine * dy + p.x + middleX)),
        Math.min(height - 1, Math.max(0, p.sine * dx + p.cosine * dy + p.y + middleY)),
      );
    }
}

/** Bilinear between the four pixels around each origin. */
function move(image: Image, placement: Placement): Float64Array {
  const { width, height, channels, data } = image;
  const values = new Float64Array(data.length);
  eachOrigin(placement, image, (pixel, x, y) => {
    const [left, top] = [Math.floor(x), Math.floor(y)];
    const [right, bottom] = [Math.min(width - 1, left + 1), Math.min(height - 1, top + 1)];
    const [u, w] = [x - left, y - top];
    const [topRow, bottomRow] = [top * width, bottom * width];
    for (let c = 0; c < channels; c++) {
      const at = (place: number) => data[place * channels + c] as number;
      const upper = at(topRow + left) * (1 - u) + at(topRow + right) * u;
      const lower = at(bottomRow + left) * (1 - u) + at(bottomRow + right) * u;
      values[pixel * channels + c] = upper * (1 - w) + lower * w;
    }
  });
  return values;
}

/** Half a normalised Gaussian: its middle and one side, three deviations long. */
function gaussian(sigma: number): Float64Array {
  const half = Float64Array.from({ length: Math.ceil(3 * sigma) + 1 }, (_, x) =>
    decay((x * x) / (2 * sigma * sigma)),
  );
  const sum = half.reduce((total, weight) => total + 2 * weight, -1);
  return half.map((weight) => weight / sum);
}

/** Blurs in place, along rows and then along columns; beyond the edge the edge itself. */
function blur(values: Float64Array, { width, height, channels }: Image, sigma: number): void {
  const weights = gaussian(sigma);
  const radius = weights.length - 1;
  const line = new Float64Array(Math.max(width, height) + 2 * radius);
  const along = (start: number, step: number, count: number) => {
    for (let i = 0; i < count + 2 * radius; i++)
      line[i] = values[start + Math.min(count - 1, Math.max(0, i - radius)) * step] as number;
    for (let i = 0; i < count; i++) {
      const middle = i + radius;
      let sum = (weights[0] as number) * (line[middle] as number);
      for (let k = 1; k <= radius; k++)
        sum += (weights[k] as number) * ((line[middle - k] as number) + (line[middle + k] as number));
      values[start + i * step] = sum;
    }
  };
  const row = width * channels;
  for (let y = 0; y < height; y++) for (let c = 0; c < channels; c++) along(y * row + c, channels, width);
  for (let x = 0; x < row; x++) along(x, row, height);
}

// The sum of four bytes of a random word: nearly normal, at most 3.45 deviations from its mean.
const fourBytesMean = 510;
const fourBytesDeviation = Math.sqrt((4 * (256 * 256 - 1)) / 12);

function nearlyNormal(random: RandomStream): number {
  const word = random.bits();
  const sum = (word & 255) + ((word >>> 8) & 255) + ((word >>> 16) & 255) + (word >>> 24);
  return (sum - fourBytesMean) / fourBytesDeviation;
}

/**
 * A changed copy of an image of any size.
 *
 * @param random draws the noise, a word per value; not used without noise
 * @returns the image itself where nothing changes
 */
export function changeImage(image: Image, change: Change, random: RandomStream): Image {
  const { placement = inPlace, blur: sigma = 0, contrast = 1, offset = 0, noise = 0 } = change;
  const gains = change.gains ?? [1, 1, 1];
  const { channels, data } = image;
  const still = stays(placement);
  const even = contrast === 1 && offset === 0 && noise === 0 && gains.every((gain) => gain === 1);
  if (still && sigma === 0 && even) return image;
  const values = still ? Float64Array.from(data) : move(image, placement);
  if (sigma > 0) blur(values, image, sigma);
  const copy = new Uint8Array(data.length);
  for (let i = 0; i < copy.length; i++) {
    const gain = gains[channels === 1 ? 1 : i % 3] as number;
    const lit = ((values[i] as number) * gain - 128) * contrast + 128 + offset;
    const value = noise > 0 ? lit + noise * nearlyNormal(random) : lit;
    copy[i] = Math.min(255, Math.max(0, Math.round(value)));
  }
  return { ...image, data: copy };
}

/**
 * A mask moved with its image: each pixel has the value of the nearest one that it comes from.
 *
 * @param mask [height, width]
 * @returns the mask itself where nothing moves
 */
export function moveMask(
  mask: Uint8Array,
  { width, height }: Pick<Image, 'width' | 'height'>,
  placement: Placement = inPlace,
): Uint8Array {
  if (stays(placement)) return mask;
  const moved = new Uint8Array(mask.length);
  eachOrigin(placement, { width, height }, (pixel, x, y) => {
    moved[pixel] = mask[Math.round(y) * width + Math.round(x)] as number;
  });
  return moved;
}
