/**
 * What calls of the library take as images and files: one way from every kind of source to the project's
 * images. The same file gives the same bytes in Node and in browsers, in whatever form it comes.
 */
import { decodeImage, decodeResized, drawnPixels, loadResized, localPath, readBytes } from '#platform';
import { InvalidArgumentError, InvalidImageError, UnreadableError } from '../base/errors.ts';
import { bandsOf, type ImageBands } from '../image/bands.ts';
import { checkImage, type Image, type ImageInput, kindOf } from '../image/image.ts';
import { resizeBicubic } from '../image/resize.ts';
import { fetchBytes } from '../platform/fetch_bytes.ts';
import { withBands } from './image_files.ts';
import { reading } from './unreadable.ts';

/**
 * A file: its bytes, or where they are. A text is a path in Node and an address in browsers; texts that begin
 * with http:, https:, data:, blob: or file: are addresses everywhere.
 */
export type FileSource = Uint8Array | ArrayBuffer | Blob | URL | string;

/** What a page can draw. Its pixels are taken when the call is made. */
export type DrawnSource =
  | ImageBitmap
  | OffscreenCanvas
  | HTMLCanvasElement
  | HTMLImageElement
  | HTMLVideoElement
  | VideoFrame;

/**
 * What calls of the library take as an image: pixels as they are, a file, or in browsers what a page can
 * draw.
 */
export type ImageSource = ImageInput | FileSource | DrawnSource;

const expected =
  'expected { width, height, channels, data }, a Blob or File, the bytes of an image file, a path or URL, ' +
  'or in browsers a canvas, bitmap, image, video or video frame';

function isText(kind: string, value: unknown): value is string | URL {
  return kind === 'String' || kind === 'URL' || typeof value === 'string';
}

/** Whether a value is a file or the place of one, by its class's name: other realms have the same names. */
function isFile(value: unknown): value is FileSource {
  const kind = kindOf(value);
  return ['Uint8Array', 'ArrayBuffer', 'Blob', 'File'].includes(kind) || isText(kind, value);
}

/** The name that a source has of itself: of a file, or its place. */
export function nameOfSource(source: unknown): string | undefined {
  if (kindOf(source) === 'File') return (source as File).name || undefined;
  if (!isText(kindOf(source), source)) return undefined;
  const text = String(source);
  // The data of a picture are no name.
  return /^(data|blob):/i.test(text) ? undefined : text;
}

/** What messages call a source: its number, and its name or its kind and size. */
function labelOf(source: unknown, what: string): string {
  const name = nameOfSource(source);
  if (name !== undefined) return `${what} (${name})`;
  const kind = kindOf(source);
  if (kind === 'Blob') return `${what} (a Blob of ${(source as Blob).size} bytes)`;
  if (kind === 'Uint8Array' || kind === 'ArrayBuffer')
    return `${what} (${kind} of ${(source as ArrayBuffer).byteLength} bytes)`;
  return what;
}

/**
 * The bytes of a file.
 *
 * @param what names it in errors
 * @throws UnreadableError where it cannot be read, is empty, or the web does not give it;
 *   InvalidArgumentError on what is no file
 */
export async function fileBytes(
  source: FileSource,
  what: string,
  signal?: AbortSignal,
): Promise<Uint8Array<ArrayBufferLike>> {
  const kind = kindOf(source);
  const bytes = async () => {
    if (isText(kind, source)) {
      const path = localPath(source);
      return path === undefined ? fetchBytes(String(source), signal) : readBytes(path);
    }
    if (kind === 'Blob' || kind === 'File') return new Uint8Array(await (source as Blob).arrayBuffer());
    if (kind === 'ArrayBuffer') return new Uint8Array(source as ArrayBuffer);
    if (kind === 'Uint8Array') return source as Uint8Array;
    throw new InvalidArgumentError(
      `${what}: expected the bytes of a file as Uint8Array, ArrayBuffer or Blob, or its path or URL, ` +
        `not ${kind}`,
    );
  };
  try {
    return await bytes();
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof InvalidArgumentError) throw error;
    const named = new Error(`${what}: ${(error as Error).message}`, { cause: error });
    throw new UnreadableError(nameOfSource(source) ?? what, named);
  }
}

/** An image of a call: its pixels, where they were there at once, or how its file is read. */
export interface TakenImage {
  /** What messages call it. */
  readonly label: string;
  /** What it calls itself. */
  readonly name: string | undefined;
  /** The image at its own size. */
  whole(signal?: AbortSignal): Promise<Image>;
  /** The image as the network sees it, side x side. */
  resized(side: number, signal?: AbortSignal): Promise<Image>;
  /** Works with the image band by band, for tiles. */
  bands<T>(work: (bands: ImageBands) => Promise<T>, signal?: AbortSignal): Promise<T>;
}

function inMemory(image: Image, label: string): TakenImage {
  return {
    label,
    name: undefined,
    whole: async () => image,
    resized: async (side) => resizeBicubic(image, side, side),
    bands: (work) => work(bandsOf(image)),
  };
}

/** Errors of reading a file begin with its number among the sources. */
async function numbered<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof UnreadableError)) throw error;
    throw new UnreadableError(error.path, new Error(`${what}: ${error.message}`, { cause: error.cause }));
  }
}

function inFile(source: FileSource, what: string): TakenImage {
  const label = labelOf(source, what);
  const path = isText(kindOf(source), source) ? localPath(source) : undefined;
  const bytes = (signal?: AbortSignal) => fileBytes(source, what, signal);
  const whole = async (signal?: AbortSignal) => decodeImage(await bytes(signal), label);
  const taken = { label, name: nameOfSource(source), whole };
  if (path === undefined)
    return {
      ...taken,
      resized: async (side, signal) => (await decodeResized(await bytes(signal), label, side)).image,
      bands: async (work, signal) => work(bandsOf(await whole(signal))),
    };
  return {
    ...taken,
    whole: () => numbered(what, () => reading(path, async () => decodeImage(await readBytes(path), path))),
    resized: (side) => numbered(what, () => reading(path, () => loadResized(path, side))),
    bands: (work) => numbered(what, () => withBands(path, work)),
  };
}

/**
 * Takes an image over from a caller. Pixels and what a page draws are checked and taken at once; files are
 * read when they are wanted.
 *
 * @param what names it in errors, such as `image 2 of 3`
 * @throws InvalidImageError that says what was expected and what was found
 */
export function takeImage(source: unknown, what: string): TakenImage {
  if (isFile(source)) {
    if (source === '') throw new InvalidImageError(`${what} is an empty text, no path or URL`);
    return inFile(source, what);
  }
  const drawn = drawnPixels(source, what);
  if (drawn) return inMemory(checkImage(drawn, `${what} (${kindOf(source)})`), what);
  if (typeof source !== 'object' || source === null || !('data' in source))
    throw new InvalidImageError(`${what} is ${kindOf(source)}, not an image: ${expected}`);
  const { colorSpace } = source as { readonly colorSpace?: unknown };
  if (kindOf(source) === 'ImageData' && colorSpace !== undefined && colorSpace !== 'srgb')
    throw new InvalidImageError(
      `${what} has colours of ${colorSpace}, which are other values than those that models learn: ask for ` +
        "getImageData(x, y, width, height, { colorSpace: 'srgb' })",
    );
  return inMemory(checkImage(source, what), what);
}

/**
 * Takes a list of images over, as {@link takeImage}.
 *
 * @param what one of them is called, such as `image`
 * @throws InvalidImageError naming the first that is none, by its place and the length of the list
 */
export function takeImages(sources: unknown, what = 'image'): TakenImage[] {
  if (!Array.isArray(sources))
    throw new InvalidImageError(`expected a list of images, not ${kindOf(sources)}`);
  return Array.from(sources, (source, i) => takeImage(source, `${what} ${i + 1} of ${sources.length}`));
}
