/** Where images and models come from in browsers: what a page can draw, and the web. */
import { InvalidImageError, UnsupportedError } from '../../base/errors.ts';
import { kindOf } from '../../image/image.ts';
import { fetchBytes } from '../fetch_bytes.ts';
import type { SourcePlatform } from '../platform.ts';

/** Undefined: a page has no paths, and a text without a scheme is an address beside the page. */
export const localPath: SourcePlatform['localPath'] = () => undefined;

interface Drawn {
  readonly width: number;
  readonly height: number;
  /** Why there is nothing to see, where that is so. */
  readonly empty: string | undefined;
}

function sized(width: number, height: number, empty: string): Drawn {
  return { width, height, empty: width && height ? undefined : empty };
}

const closed = 'it is closed';
const noPixels = 'it has no pixels';

/** What can be drawn, by the name of its class: other realms have the same names. */
const kinds: Readonly<Record<string, (value: never) => Drawn>> = {
  ImageBitmap: ({ width, height }: ImageBitmap) => sized(width, height, closed),
  OffscreenCanvas: ({ width, height }: OffscreenCanvas) => sized(width, height, noPixels),
  HTMLCanvasElement: ({ width, height }: HTMLCanvasElement) => sized(width, height, noPixels),
  VideoFrame: ({ displayWidth, displayHeight }: VideoFrame) => sized(displayWidth, displayHeight, closed),
  HTMLImageElement({ naturalWidth, naturalHeight, complete }: HTMLImageElement) {
    const empty = 'it is not loaded, or broken: await its decode() first';
    return sized(complete ? naturalWidth : 0, naturalHeight, empty);
  },
  HTMLVideoElement({ videoWidth, videoHeight, readyState }: HTMLVideoElement) {
    const empty = 'it shows no picture yet: await its play() first';
    return sized(readyState < HTMLMediaElement.HAVE_CURRENT_DATA ? 0 : videoWidth, videoHeight, empty);
  },
};

/**
 * The pixels of what a page can draw, as they are now. The browser has converted them to sRGB, and multiplied
 * colours by alpha: values of opaque pixels without a profile stay as they are.
 *
 * @param what names it in errors
 * @throws InvalidImageError where it shows nothing, or pixels that the page may not read
 */
export const drawnPixels: SourcePlatform['drawnPixels'] = (value, what) => {
  const kind = kindOf(value);
  const measure = Object.hasOwn(kinds, kind) ? kinds[kind] : undefined;
  if (!measure) return undefined;
  const { width, height, empty } = measure(value as never);
  if (empty) throw new InvalidImageError(`${what} is ${kind} without a picture: ${empty}`);
  const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
  if (!context) throw new UnsupportedError('this browser offers no 2-D canvas');
  try {
    context.drawImage(value as CanvasImageSource, 0, 0, width, height);
    return { width, height, channels: 4, data: context.getImageData(0, 0, width, height).data };
  } catch (error) {
    if ((error as Error).name !== 'SecurityError') throw error;
    throw new InvalidImageError(
      `${what} is ${kind} of another site, whose pixels a page may not read: that site must allow it ` +
        '(CORS), and the element needs crossorigin="anonymous" before its address is set',
      { cause: error },
    );
  }
};

// The build puts in their place where a teacher lies, seen from the built file. Each is a text by itself, so
// that bundlers see the file that an address means, and copy it.
declare const TEACHER_RESNET18: string;
declare const TEACHER_RESNET18_HALF: string;

const packaged: Readonly<Record<string, () => URL>> = {
  'teacher_resnet18.safetensors': () => new URL(TEACHER_RESNET18, import.meta.url),
  'teacher_resnet18_half.safetensors': () => new URL(TEACHER_RESNET18_HALF, import.meta.url),
};

/** The bytes of a file in this package's folder `weights`, which lies beside the library on its host. */
export const packagedWeights: SourcePlatform['packagedWeights'] = async (file) => {
  const address = packaged[file]?.();
  if (!address) throw new UnsupportedError(`this build of the library knows no address of ${file}`);
  try {
    return await fetchBytes(address.href);
  } catch (error) {
    throw new Error(
      `the teacher that comes with this package is not where it should be: ${(error as Error).message}. ` +
        'A bundler may have moved the library: give the address of the file as `teacher` ' +
        '(docs/library.md, "The teacher in browsers")',
      { cause: error },
    );
  }
};
