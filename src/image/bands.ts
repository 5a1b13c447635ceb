/** Images that are read in bands of rows, because they may be larger than memory. */
import type { Image } from './image.ts';

/**
 * An image that is read from top to bottom, a band of rows at a time, so that it need not fit into memory.
 */
export interface ImageBands {
  readonly width: number;
  readonly height: number;
  /** The rows from `y` on, over the whole width; `y` never falls from call to call. */
  rows(y: number, height: number): Promise<Image>;
}

/** The bands of an image in memory. */
export function bandsOf(image: Image): ImageBands {
  const { width, height, channels, data } = image;
  return {
    width,
    height,
    rows: async (y, height) => ({
      width,
      height,
      channels,
      data: data.subarray(y * width * channels, (y + height) * width * channels),
    }),
  };
}
