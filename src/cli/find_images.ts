/** Image files below the paths that a user names, each real file once, and what of them cannot be read. */
import { join } from 'node:path';
import { Option } from 'commander';
import { exists, type FolderEntry, readFolder, realPath, resultFinder } from '#platform';
import { isHiddenName, isImagePath } from '../data/files.ts';
import { UnreadableFiles, type UnreadableOptions } from '../data/unreadable.ts';
import { note } from './style.ts';

/** `--strict` of the commands that skip what they cannot read. */
export const strictOption = () =>
  new Option(
    '--strict',
    'end with an error at the first file that cannot be read, before anything else is done; without it ' +
      'such files are named and left out, and the exit code is 1',
  );

/** Names each unreadable file on stderr. */
export function unreadableFiles(options: Omit<UnreadableOptions, 'onFile'> = {}): UnreadableFiles {
  return new UnreadableFiles({
    ...options,
    onFile: ({ path, reason }) => console.error(`cannot be read, left out: ${path}: ${reason}`),
  });
}

/** An image and the path of the user's that led to it. */
export interface FoundImage {
  readonly input: string;
  readonly path: string;
}

interface Linked {
  readonly path: string;
  readonly folder: boolean;
}

/**
 * Walks folders in depth; real ones before links, so that a file that is reached twice keeps its own name.
 */
class Walk {
  readonly #folders = new Set<string>();
  readonly #files = new Set<string>();
  #linked: Linked[] = [];
  #paths: string[] = [];
  /** What cannot be read, by path. */
  readonly failed = new Map<string, unknown>();

  /** The images of a path, sorted, without those of earlier paths. */
  async input(path: string): Promise<string[]> {
    this.#paths = [];
    try {
      const kind = await exists(path);
      if (!kind) throw new Error(`${path}: no such file or folder`);
      if (kind === 'file') this.#file(path, await realPath(path));
      else if (!(await this.#folder(path, await realPath(path))) && !this.failed.has(path))
        throw new Error(`${path} holds no images (png, jpg, bmp, webp or tif)`);
    } catch (error) {
      this.failed.set(path, error);
    }
    while (this.#linked.length) {
      const linked = this.#linked;
      this.#linked = [];
      for (const { path, folder } of linked) {
        const real = await realPath(path);
        if (folder) await this.#folder(path, real);
        else this.#file(path, real);
      }
    }
    return this.#paths.sort();
  }

  #file(path: string, real: string): void {
    if (this.#files.has(real)) return;
    this.#files.add(real);
    this.#paths.push(path);
  }

  /**
   * @param real the folder without links
   * @returns whether it holds anything that could be an image
   */
  async #folder(path: string, real: string): Promise<boolean> {
    if (this.#folders.has(real)) return true;
    this.#folders.add(real);
    let entries: FolderEntry[];
    try {
      entries = await readFolder(path);
    } catch (error) {
      this.failed.set(path, error);
      return false;
    }
    let found = false;
    for (const { name, folder, link } of entries) {
      if (isHiddenName(name)) continue;
      const inner = join(path, name);
      const image = isImagePath(name);
      if (link && (folder || image)) this.#linked.push({ path: inner, folder });
      else if (folder) {
        const inside = await this.#folder(inner, join(real, name));
        if (!inside && image && !this.failed.has(inner))
          this.failed.set(inner, new Error(`${inner}: a folder, not a file`));
        found ||= inside || image;
        continue;
      } else if (image) this.#file(inner, join(real, name));
      else continue;
      found = true;
    }
    return found;
  }
}

/** Results of earlier runs lie where the user put them, also among the photographs: they are none. */
async function withoutResults(
  inputs: readonly string[],
  found: readonly FoundImage[],
): Promise<FoundImage[]> {
  const { isResult } = resultFinder();
  const images: FoundImage[] = [];
  for (const image of found) if (!(await isResult(image.path))) images.push(image);
  const skipped = found.length - images.length;
  if (skipped) note(`${skipped} images are results that aand wrote; they are left out`);
  if (!images.length) throw new Error(`${inputs.join(', ')}: there is nothing but results that aand wrote`);
  return images;
}

/**
 * Image files below paths: folders in depth, links followed, hidden ones and results of this program left
 * out, sorted within each path. Each real folder and file counts once, however many links lead to it. A path
 * that is a file is taken whatever its name is.
 *
 * @param unreadable is told paths that do not exist or hold no images, and folders that cannot be listed
 * @throws Error where no images are left, or by the rules of `unreadable`
 */
export async function findImages(inputs: readonly string[], unreadable: UnreadableFiles): Promise<string[]> {
  return (await findImagesByInput(inputs, unreadable)).map(({ path }) => path);
}

/** As {@link findImages}, with the input that led to each. */
export async function findImagesByInput(
  inputs: readonly string[],
  unreadable: UnreadableFiles,
): Promise<FoundImage[]> {
  const walk = new Walk();
  const found: FoundImage[] = [];
  for (const input of inputs) for (const path of await walk.input(input)) found.push({ input, path });
  const [first] = walk.failed.values();
  if (!found.length && walk.failed.size === 1) throw first;
  unreadable.expect(found.length + walk.failed.size);
  for (const [path, error] of walk.failed) unreadable.add(path, error);
  if (!found.length) throw new Error(`there are no images to read: ${unreadable.summary}`);
  return withoutResults(inputs, found);
}
