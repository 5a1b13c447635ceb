/** The golden tensors, and data that cannot be committed: tests that need it skip and say what is absent. */
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { GoldenSet } from '../../bench/support/golden.ts';
import { readSafetensors } from '../../src/weights/safetensors.ts';

/** Data whose licence keeps it out of the repository. SHARED_DIR names another folder. */
export const sharedDir = resolve(process.env.SHARED_DIR ?? '../shared');

/** The golden tensors of this repository. GOLDEN_DIR names a folder with another set of the same form. */
export const goldenDir = resolve(process.env.GOLDEN_DIR ?? 'test/golden');

/** @throws where the folder lacks the file: no test runs without its reference */
export function goldenSet(name: 'ops' | 'models' | 'metrics'): GoldenSet {
  const path = join(goldenDir, `${name}.safetensors`);
  if (!existsSync(path)) {
    throw new Error(
      `${path} is missing. Unset GOLDEN_DIR, or set it to a folder that holds the golden tensors.`,
    );
  }
  return new GoldenSet(readSafetensors(readFileSync(path), path));
}
