/**
 * The use case of a fine-tuning: a trained model goes on learning for a moment on images that a person called
 * good, so that it stops complaining about them.
 */

import type { DetectorFile } from '../detector/file.ts';
import { writeDetector } from '../detector/file.ts';
import type { DetectorSettings } from '../detector/settings.ts';
import type { Engine } from '../engine/runtime/engine.ts';
import type { Image } from '../image/image.ts';
import { backboneNamed } from '../model/backbones.ts';
import { proceduralTextures } from '../synthetic/procedural_textures.ts';
import { trainDetector } from '../train/train_detector.ts';
import type { Progress } from '../train/trainer.ts';

// A tenth of training's rate: the student should bend, not start over.
const rate = 0.0005;
const epochs = 4;
const mostPerBatch = 8;

/** What a detector is trained further with. */
export interface FineTuneOptions {
  /** The settings that the new model gets, with a threshold that was drawn anew. */
  readonly settings: DetectorSettings;
  /** Images to learn, resized to the model's image size. */
  readonly marked: readonly Image[];
  /** Good images that it should not forget, resized too. */
  readonly remembered: readonly Image[];
  readonly signal?: AbortSignal | undefined;
  /** Told after every batch how far the training is. */
  readonly onProgress?: ((progress: Progress) => void) | undefined;
}

/**
 * What was marked makes up half of the images, for it is what the model shall learn.
 *
 * @param file the model
 * @returns the bytes of the model with its new weights
 * @throws Error on images of another size, or without any; Interrupted; OutOfMemoryError; DeviceLostError
 */
export async function fineTune(
  engine: Engine,
  file: DetectorFile,
  { settings, marked, remembered, signal, onProgress }: FineTuneOptions,
): Promise<Uint8Array<ArrayBuffer>> {
  if (!marked.length) throw new Error('fine-tuning: there are no marked images to learn from');
  const repeats = Math.max(1, Math.round(remembered.length / marked.length));
  const images = [...marked.flatMap((image) => Array.from({ length: repeats }, () => image)), ...remembered];
  const { store } = await trainDetector({
    engine,
    backbone: backboneNamed(settings.backbone),
    mode: settings.mode,
    teacher: file,
    teacherName: 'the open model',
    start: file,
    images,
    textures: proceduralTextures(),
    imageSize: settings.imageSize,
    batch: Math.min(mostPerBatch, images.length),
    epochs: [1, epochs],
    seed: 0,
    baseRate: rate,
    signal,
    onProgress,
  });
  try {
    return await writeDetector(store, settings);
  } finally {
    store.destroy();
  }
}
