/** Placement of images (storage textures): a texture serves every image that fits into it, one after the other. */
import { boundTensor, type Dispatch } from './select.ts';
import { byteLength, type Tensor } from './tensor.ts';

/** The format of every image: one quad per texel. */
export const imageFormat = 'rgba32float';

export interface TextureSize {
  readonly width: number;
  readonly height: number;
}

export interface ImagePlacement {
  /** Index into `textures` by image. */
  readonly textureOf: ReadonlyMap<Tensor, number>;
  readonly textures: readonly TextureSize[];
}

/** Width and height of an image in quads (texels). */
export function imageSize(image: Tensor): TextureSize {
  const [height, floats] = image.shape as [number, number];
  return { width: floats / 4, height };
}

/**
 * @param dispatches in order of execution
 * @param persistent images that other programs' runs must find again: each gets a texture of its own
 */
export function placeImages(dispatches: readonly Dispatch[], persistent: ReadonlySet<Tensor>): ImagePlacement {
  const lives = new Map<Tensor, { first: number; last: number }>();
  dispatches.forEach((dispatch, index) => {
    for (const binding of Object.values(dispatch.bindings)) {
      const tensor = boundTensor(binding);
      if (tensor?.layout !== 'image') continue;
      const life = lives.get(tensor);
      if (life) life.last = index;
      else lives.set(tensor, { first: index, last: index });
    }
  });
  for (const [tensor, life] of lives) if (persistent.has(tensor)) Object.assign(life, { first: -1, last: Infinity });
  const textures: (TextureSize & { busy: { first: number; last: number }[] })[] = [];
  const textureOf = new Map<Tensor, number>();
  for (const [tensor, life] of [...lives].sort(([a], [b]) => byteLength(b) - byteLength(a))) {
    const { width, height } = imageSize(tensor);
    let index = textures.findIndex(
      (texture) =>
        texture.width >= width &&
        texture.height >= height &&
        texture.busy.every((other) => other.last < life.first || life.last < other.first),
    );
    if (index < 0) index = textures.push({ width, height, busy: [] }) - 1;
    textures[index]?.busy.push(life);
    textureOf.set(tensor, index);
  }
  return { textureOf, textures: textures.map(({ width, height }) => ({ width, height })) };
}
