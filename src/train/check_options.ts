/** What a training is given, checked before anything is allocated. */
import { checkImages, type Image } from '../image/image.ts';
import { checkImageSize } from '../model/detector.ts';
import type { TrainDetectorOptions } from './train_detector.ts';
import { checkLearningRate } from './trainer.ts';

export type CheckedOptions = Omit<TrainDetectorOptions, 'images'> & { readonly images: readonly Image[] };

function checkWhole(value: unknown, what: string, least: number): void {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < least)
    throw new Error(`${what} is ${value}, expected a whole number of at least ${least}`);
}

function checkForegrounds(foregrounds: unknown, images: number, size: number): void {
  if (!Array.isArray(foregrounds)) throw new Error('foregrounds: expected a list with one mask per image');
  if (foregrounds.length !== images)
    throw new Error(`${foregrounds.length} foregrounds for ${images} images`);
  foregrounds.forEach((mask: unknown, i) => {
    if (!(mask instanceof Uint8Array) || mask.length !== size * size)
      throw new Error(
        `foreground ${i + 1} of ${images}: expected a Uint8Array of ${size * size} values 0 or 1 (${size} x ${size})` +
          (mask instanceof Uint8Array ? `, it has ${mask.length}` : ''),
      );
  });
}

/** @throws Error that says what was expected and what was found */
export function checkOptions(o: TrainDetectorOptions): CheckedOptions {
  o.engine.check();
  checkImageSize(o.imageSize);
  const images = checkImages(o.images, 'training image');
  if (!images.length) throw new Error('there are no good images to learn from');
  images.forEach(({ width, height }, i) => {
    if (width !== o.imageSize || height !== o.imageSize)
      throw new Error(
        `training image ${i + 1} of ${images.length} has ${width} x ${height} pixels, expected ${o.imageSize} x ${o.imageSize}: ` +
          'images must be resized first (loadResized, preprocess)',
      );
  });
  if (o.foregrounds !== undefined) checkForegrounds(o.foregrounds, images.length, o.imageSize);
  checkWhole(o.batch, 'the batch', 1);
  if (!Array.isArray(o.epochs) || o.epochs.length !== 2)
    throw new Error('the epochs: expected two numbers, of stage I and of stage II');
  for (const [i, epochs] of o.epochs.entries())
    checkWhole(epochs, `the number of epochs of stage ${'I'.repeat(i + 1)}`, 0);
  if (typeof o.textures?.texture !== 'function' || !(o.textures.count > 0))
    throw new Error('there are no textures: expected a source of them, for instance proceduralTextures()');
  if (o.baseRate !== undefined) checkLearningRate(o.baseRate);
  return { ...o, images };
}
