/** sharp, loaded when the first image is. */
import { createRequire } from 'node:module';
import type { Sharp, SharpInput, SharpOptions } from 'sharp';
import { missingPackage } from './optional_package.ts';

let loaded: typeof import('sharp').default | undefined;

/** Loaded through `require`: its ES module is written with import attributes, which Node 20.9 cannot read. */
function load(): typeof import('sharp').default {
  try {
    return createRequire(import.meta.url)('sharp') as typeof import('sharp').default;
  } catch (error) {
    throw missingPackage('sharp', 'reading and writing images in Node', error);
  }
}

/**
 * An image as sharp sees it.
 *
 * @throws MissingPackageError where sharp is not installed
 */
export function sharp(input: SharpInput, options?: SharpOptions): Sharp {
  loaded ??= load();
  return loaded(input, options);
}
