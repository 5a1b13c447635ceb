/**
 * What the rest of the program asks of the platform that it runs on. `node.ts` and `browser.ts` satisfy
 * {@link Platform}, which `contract.ts` checks when the project is compiled. The conditions of `imports` in
 * package.json choose one of them as `#platform`. Another platform is one more file and a condition.
 */
import type { ImageBands } from '../image/bands.ts';
import type { CanvasPixels, Image, ImageFacts, ImageInput } from '../image/image.ts';
import type { Stored } from '../image/stored.ts';
import type { Toggles } from './toggles.ts';

export interface GpuPlatform {
  /**
   * Opens WebGPU with toggles, which browsers do not take: the object is then that without them.
   *
   * @throws NoAdapterError where the browser has none; MissingPackageError where Node lacks its package
   */
  openGpu(toggles: Toggles): Promise<{ readonly gpu: GPU }>;
  /** What to do where WebGPU offers no adapter. */
  readonly adapterAdvice: string;
  /** Lets this thread sleep between turns of its event loop while `waiting()` holds. */
  restWhile(waiting: () => boolean): void;
  /** Resolves after a turn of the event loop, in which the device tells what is done. */
  nextTurn(): Promise<void>;
}

export interface ImagePlatform {
  /**
   * Decodes an image file (PNG, JPEG, BMP, WebP, TIFF) to 8-bit RGB, or to grey: the values that Pillow
   * gives. EXIF rotation is applied, profiles are not. Alpha is left out. Of 16 bits the upper 8 remain. CMYK
   * becomes RGB without a profile.
   *
   * @param path names the file in errors
   * @throws Error naming the file and what is wrong with it
   */
  decodeImage(bytes: Uint8Array, path: string, channels?: 1 | 3): Promise<Image>;
  /**
   * Decodes a mask file with all its channels as stored. Alpha and 16 bits are kept, because the defect may
   * be drawn in them.
   *
   * @throws Error naming the file and what is wrong with it
   */
  decodeMask(bytes: Uint8Array, path: string): Promise<Stored>;
  /** Width and height of an image file after EXIF rotation, from its header. */
  imageSize(bytes: Uint8Array, path: string): Promise<{ readonly width: number; readonly height: number }>;
  /** What an image file is. It is decoded once, so that one that cannot be decoded is an error. */
  inspectImage(bytes: Uint8Array, path: string): Promise<ImageFacts>;
  /** Encodes 8-bit pixels as PNG. */
  encodePng(image: ImageInput): Promise<Uint8Array>;
  /** Encodes 8-bit pixels as lossy WebP, small enough to lie in a page. */
  encodeWebp(image: Image): Promise<Uint8Array>;
  /**
   * Bytes that an image file takes when it is decoded to RGB as a whole.
   *
   * @throws Error naming a file that cannot be read, or that is too large for that
   */
  decodedBytes(path: string): Promise<number>;
  /**
   * Opens an image file of any size for reading from top to bottom.
   *
   * @throws Error naming the file
   */
  openBands(path: string): Promise<ImageBands>;
  /**
   * Width and height of an image file of any size after EXIF rotation, from its header.
   *
   * @throws Error naming the file
   */
  imageFileSize(path: string): Promise<{ readonly width: number; readonly height: number }>;
  /** A small picture of an image file of any size, `side` x `side` pixels. */
  overview(path: string, side: number): Promise<Image>;
}

/** Where images, models and weights come from. */
export interface SourcePlatform {
  /**
   * The path of a file that a text or a URL means; undefined where it is an address of the web, which `fetch`
   * reads.
   */
  localPath(address: string | URL): string | undefined;
  /**
   * The pixels of something that the platform draws (a canvas, a bitmap, a video), as they are now. Undefined
   * where a value is nothing of that kind.
   *
   * @param what names it in errors
   * @throws InvalidImageError where it shows nothing, or pixels that may not be read
   */
  drawnPixels(value: unknown, what: string): CanvasPixels | undefined;
  /**
   * The bytes of a file in this package's folder `weights`.
   *
   * @param file its name, such as `teacher_resnet18.safetensors`
   * @throws Error naming the file or its address
   */
  packagedWeights(file: string): Promise<Uint8Array>;
}

/** An image as the network sees it, and the size that it had. */
export interface ResizedImage {
  readonly image: Image;
  readonly width: number;
  readonly height: number;
}

/** What lies in a folder. */
export interface FolderEntry {
  readonly name: string;
  /** A folder, or a link to one. */
  readonly folder: boolean;
  readonly link: boolean;
}

export interface WriteOptions {
  /** Whether the file must survive a power failure from now on. Default true; costs a wait for the disk. */
  readonly durable?: boolean;
  /** Fail with code EEXIST where the file exists already, instead of replacing it. Default false. */
  readonly exclusive?: boolean;
}

/** Tells results of this program from files of the user. */
export interface ResultFinder {
  /**
   * Whether the record of a file's folder, or of one above it, says that the file is a result as it is now.
   */
  isResult(path: string): Promise<boolean>;
}

/** Bytes that are kept until the file is closed, or the process ends. */
export interface ScratchFile {
  append(bytes: Uint8Array): Promise<void>;
  read(offset: number, length: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

export interface FilePlatform {
  /**
   * A file's bytes.
   *
   * @throws Error naming the file and why it cannot be read: missing, no permission, no regular file, empty
   */
  readBytes(path: string): Promise<Uint8Array>;
  /**
   * Writes a file whole or not at all, with the folders above it.
   *
   * @throws Error naming the file, its size and the cause; its `code` is the system's
   */
  writeBytes(path: string, data: Uint8Array | string, options?: WriteOptions): Promise<void>;
  /** What a path is, links followed; everything that is no folder counts as a file. Undefined: nothing. */
  exists(path: string): Promise<'file' | 'folder' | undefined>;
  /** Names in a folder, sorted; folders end with '/'. Empty where the folder does not exist. */
  listFolder(path: string): Promise<string[]>;
  /** As {@link listFolder}, with what each name is, in the order of the system. */
  readFolder(path: string): Promise<FolderEntry[]>;
  /** The path of a file or folder without links, `.` and `..`; an absolute path where it does not exist. */
  realPath(path: string): Promise<string>;
  resultFinder(): ResultFinder;
  /** Opens an empty temporary file. */
  openScratchFile(): Promise<ScratchFile>;
  /** The folder of this package. */
  packageRoot(): string;
}

/** Texts that are kept for later processes. Each can be made again. */
export interface CachePlatform {
  /** What was kept under a name (letters, digits and `_.,=-`); undefined where there is nothing. */
  keptText(name: string): string | undefined;
  keepText(name: string, text: string): Promise<void>;
}

export interface ThreadPlatform {
  /**
   * Decodes an image file and resizes it to size x size as the network sees it, beside the thread that feeds
   * the GPU. Images that are being decoded share a bound of memory.
   *
   * @throws Error naming a file that cannot be read, or that is too large to be decoded as a whole
   */
  loadResized(path: string, size: number): Promise<Image>;
  /**
   * As {@link loadResized}, for the bytes of an image file.
   *
   * @param name names the file in errors
   * @param signal an image whose decoding has not begun is not decoded any more
   * @returns the resized image, and the size that it had (after EXIF rotation)
   */
  decodeResized(bytes: Uint8Array, name: string, size: number, signal?: AbortSignal): Promise<ResizedImage>;
}

export interface Platform
  extends GpuPlatform,
    ImagePlatform,
    SourcePlatform,
    FilePlatform,
    CachePlatform,
    ThreadPlatform {}
