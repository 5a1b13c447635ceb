/** Files in browsers: there is no file system, only scratch files that are blobs. */
import { UnsupportedError } from '../../base/errors.ts';
import type { FilePlatform, ScratchFile } from '../platform.ts';

/** Takes the place of every function that needs a file system. */
export function noFiles(): never {
  throw new UnsupportedError('browsers have no file system: pass the data itself');
}

export const readBytes: FilePlatform['readBytes'] = noFiles;
export const writeBytes: FilePlatform['writeBytes'] = noFiles;
export const exists: FilePlatform['exists'] = noFiles;
export const listFolder: FilePlatform['listFolder'] = noFiles;
export const readFolder: FilePlatform['readFolder'] = noFiles;
export const realPath: FilePlatform['realPath'] = noFiles;
export const resultFinder: FilePlatform['resultFinder'] = noFiles;
export const packageRoot: FilePlatform['packageRoot'] = noFiles;

/** A scratch file of blobs. Browsers keep blobs on disk when they are many. */
export async function openScratchFile(): Promise<ScratchFile> {
  const parts: { start: number; blob: Blob }[] = [];
  let end = 0;
  return {
    async append(bytes) {
      parts.push({ start: end, blob: new Blob([bytes as Uint8Array<ArrayBuffer>]) });
      end += bytes.length;
    },
    async read(offset, length) {
      const part = parts.find(({ start, blob }) => start <= offset && offset + length <= start + blob.size);
      if (!part) throw new Error(`nothing was kept at byte ${offset}`);
      const slice = part.blob.slice(offset - part.start, offset - part.start + length);
      return new Uint8Array(await slice.arrayBuffer());
    },
    async close() {
      parts.length = 0;
    },
  };
}
