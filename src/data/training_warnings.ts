/** Training sets that teach little. The warnings say what to expect before hours are spent. */
import type { Image } from '../image/image.ts';

const few = 3;
// Levels out of 255: how far the noise of a camera, or of JPEG, moves one colour, and one view.
const colourNoise = 2;
const viewNoise = 1;

/** Whether all pixels have one colour, up to noise. */
function isOneColour({ channels, data }: Image): boolean {
  for (let c = 0; c < channels; c++) {
    let [least, most] = [255, 0];
    for (let i = c; i < data.length; i += channels) {
      const value = data[i] as number;
      if (value < least) least = value;
      if (value > most) most = value;
      if (most - least > colourNoise) return false;
    }
  }
  return true;
}

/** Whether two images of one size differ by less than noise on average. */
function isSameView(a: Image, b: Image): boolean {
  if (a.data.length !== b.data.length) return false;
  let sum = 0;
  const most = viewNoise * a.data.length;
  for (let i = 0; i < a.data.length; i++) {
    sum += Math.abs((a.data[i] as number) - (b.data[i] as number));
    if (sum > most) return false;
  }
  return true;
}

/** How many of the images look different from each other, counted up to one above `most`. */
function different(images: readonly Image[], most: number): number {
  const kept: Image[] = [];
  for (const image of images) {
    if (kept.some((other) => isSameView(other, image))) continue;
    kept.push(image);
    if (kept.length > most) break;
  }
  return kept.length;
}

const expectation =
  'the model learns nothing of how good parts vary, so expect false alarms on most of them; some dozens ' +
  'of photographs of different parts are usual';

/**
 * Warnings about a training set, each with what to expect; empty where it is fit.
 *
 * @param images good images as they are trained on
 * @param paths the file of each image; tiles of one photograph have the same
 */
export function trainingSetWarnings(images: readonly Image[], paths?: readonly string[]): string[] {
  if (!images.length) return [];
  const photographs = paths ? new Set(paths).size : images.length;
  const plain = [...images.keys()].filter((i) => isOneColour(images[i] as Image));
  if (plain.length === images.length)
    return [
      photographs === 1
        ? 'the only training image is one colour: the model can learn nothing from it, and its verdicts ' +
          'mean nothing'
        : `all ${photographs} training images are one colour: the model can learn nothing from them, and ` +
          'its verdicts mean nothing',
    ];
  const warnings: string[] = [];
  // A tile of a plain background is no fault.
  if (plain.length && photographs === images.length) {
    const first = paths?.[plain[0] as number] ?? `number ${(plain[0] as number) + 1}`;
    warnings.push(
      `${plain.length} of ${photographs} training images ${plain.length === 1 ? 'is' : 'are'} one ` +
        `colour (the first is ${first}): the model takes such pictures for good parts; remove them where ` +
        'the camera failed',
    );
  }
  const views = different(images, few);
  if (photographs <= few)
    warnings.push(
      `there ${photographs === 1 ? 'is' : 'are'} only ${photographs} training ` +
        `image${photographs === 1 ? '' : 's'}: ${expectation}`,
    );
  else if (views <= few)
    warnings.push(
      `the ${photographs} training images show only ` +
        `${views === 1 ? 'one picture' : `${views} different pictures`}: ${expectation}`,
    );
  return warnings;
}
