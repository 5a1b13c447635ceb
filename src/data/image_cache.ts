/**
 * Images by index, more than memory holds. Those that were used last are kept; the others are loaded again.
 */
import type { Image } from '../image/image.ts';

/** Images that a training draws from. */
export interface ImageSource {
  readonly length: number;
  image(index: number): Image | Promise<Image>;
}

/** Images in memory. */
export function imageSource(images: readonly Image[]): ImageSource {
  return { length: images.length, image: (index) => images[index] as Image };
}

/** All images of a source, in order, one at a time. */
export async function* allImages(source: ImageSource): AsyncGenerator<Image, void, undefined> {
  for (let i = 0; i < source.length; i++) yield await source.image(i);
}

export class ImageCache implements ImageSource {
  readonly length: number;
  readonly #load: (index: number) => Promise<Image>;
  readonly #limit: number;
  // A Map keeps the order of insertion: the first one was used longest ago.
  readonly #kept = new Map<number, Promise<Image>>();
  readonly #sizes = new Map<number, number>();
  #bytes = 0;

  /** @param limit bytes of pixels that stay in memory */
  constructor(length: number, load: (index: number) => Promise<Image>, limit: number) {
    this.length = length;
    this.#load = load;
    this.#limit = limit;
  }

  /** Bytes of pixels in memory. */
  get bytes(): number {
    return this.#bytes;
  }

  image(index: number): Promise<Image> {
    const kept = this.#kept.get(index);
    const image = kept ?? this.#load(index);
    this.#kept.delete(index);
    this.#kept.set(index, image);
    if (!kept)
      image.then(
        ({ data }) => this.#keep(index, data.length),
        () => this.#kept.delete(index),
      );
    return image;
  }

  #keep(index: number, bytes: number): void {
    this.#sizes.set(index, bytes);
    this.#bytes += bytes;
    for (const oldest of this.#kept.keys()) {
      if (this.#bytes <= this.#limit) return;
      // An image that is being loaded has no size yet.
      const size = this.#sizes.get(oldest);
      if (size === undefined) continue;
      this.#kept.delete(oldest);
      this.#sizes.delete(oldest);
      this.#bytes -= size;
    }
  }
}
