/** The results of `aand tune` in the user's cache folder. */
import { join } from 'node:path';
import { exists, readBytes } from '#platform';
import type { Tuning } from '../engine/device/tuning.ts';
import { cacheFolder } from '../platform/node/cache.ts';
import { note } from './style.ts';

/** Where tunings are kept: the user's cache folder. */
export function tuningPath(): string {
  return join(cacheFolder(), 'tuning.json');
}

/** Every tuning that was kept; none where the file is missing or damaged. */
export async function readTunings(): Promise<Tuning[]> {
  const path = tuningPath();
  if ((await exists(path)) !== 'file') return [];
  try {
    return JSON.parse(new TextDecoder().decode(await readBytes(path))) as Tuning[];
  } catch {
    note(`${path} is damaged and left unused; aand tune writes it anew`);
    return [];
  }
}
