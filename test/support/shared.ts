/** Where shared data lies; tests that need it skip with a clear message where it is absent. */
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { readSafetensors } from '../../src/weights/safetensors.ts';
import { GoldenSet } from './golden.ts';

export const sharedDir = resolve(process.env.SHARED_DIR ?? '../shared');
export const goldenDir = resolve(process.env.GOLDEN_DIR ?? join(sharedDir, 'golden'));

/** A golden file, or undefined (with a message) where the folder is absent. */
export function goldenSet(name: 'ops' | 'models' | 'metrics'): GoldenSet | undefined {
  const path = join(goldenDir, `${name}.safetensors`);
  if (!existsSync(path)) {
    console.warn(`skipped: ${path} is absent (set GOLDEN_DIR to the golden tensors)`);
    return undefined;
  }
  return new GoldenSet(readSafetensors(readFileSync(path), path));
}
