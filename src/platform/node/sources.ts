/** Where images and models come from in Node: files, and what its own `fetch` reaches. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { SourcePlatform } from '../platform.ts';
import { packageRoot } from './package_root.ts';
import { readBytes } from './read.ts';

const scheme = /^(https?|data|blob|file):/i;

/** The path that a text or a URL of a file means; undefined for addresses of the web. */
export function localPath(address: string | URL): string | undefined {
  const text = String(address);
  if (typeof address === 'string' && !scheme.test(text)) return text;
  return /^file:/i.test(text) ? fileURLToPath(text) : undefined;
}

/** Undefined: Node draws nothing. */
export const drawnPixels: SourcePlatform['drawnPixels'] = () => undefined;

/** The bytes of a file in this package's folder `weights`. */
export function packagedWeights(file: string): Promise<Uint8Array> {
  return readBytes(join(packageRoot(), 'weights', file));
}
