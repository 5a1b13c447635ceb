/**
 * The user's cache folder: tunings, linked kernels, the driver's code, downloads. All of it can be made
 * again.
 */
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { removeStaleTemporaries, writeBytes } from './write.ts';

/** The user's folder for what this package can make again. */
export function cacheFolder(environment: NodeJS.ProcessEnv = process.env): string {
  return join(environment.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'aand-webgpu');
}

let tidied: Promise<number> | undefined;

function keptPath(name: string): string {
  return join(cacheFolder(), 'kernels', `${name}.json`);
}

/**
 * What was kept under a name (letters, digits and `_.,=-`) for later processes; undefined where there is
 * nothing.
 */
export function keptText(name: string): string | undefined {
  try {
    // Read synchronously: the file is small, and a turn of the event loop would take longer.
    return readFileSync(keptPath(name), 'utf8');
  } catch {
    return undefined;
  }
}

/** Keeps a text in the user's cache folder. It is not durable: it can be made again. */
export async function keepText(name: string, text: string): Promise<void> {
  const path = keptPath(name);
  // Once per process: removes what an earlier process left when it was killed.
  tidied ??= removeStaleTemporaries(dirname(path));
  await tidied;
  await writeBytes(path, text, { durable: false });
}
