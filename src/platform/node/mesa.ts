/**
 * Settings of Mesa's software driver, which it takes from the environment when it is loaded. Everything else
 * that is particular to it is in its profile (src/engine/device/mesa_cpu.ts).
 */
import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { cacheFolder } from './cache.ts';

/** What the driver takes by itself, however wide the processor's vectors are. */
const ownWidth = '256';

/** What LLVM needs to compute with sixteen floats at once. */
const wideFeatures = ['avx512f', 'avx512bw', 'avx512dq', 'avx512vl'];

function hasWideVectors(): boolean {
  try {
    const flags =
      readFileSync('/proc/cpuinfo', 'utf8')
        .match(/^flags\s*:.*$/m)?.[0]
        .split(/\s+/) ?? [];
    return wideFeatures.every((feature) => flags.includes(feature));
  } catch {
    return false;
  }
}

/**
 * Lets Mesa's software driver compute with vectors of 512 bits where the processor has them. That makes our
 * kernels 1.4 times as fast (docs/performance-log.md). A user's `LP_NATIVE_VECTOR_WIDTH` is left as it is;
 * 256 is the driver's own.
 *
 * Its cache on disk does not tell widths apart, and code of another width computes wrong values in half of
 * the lanes. So every width but the driver's own gets a folder of its own.
 *
 * @param environment changed in place; the driver sees changes of `process.env`, but not those of a worker
 *   thread's copy
 */
export function widenMesaVectors(environment: NodeJS.ProcessEnv, wide = hasWideVectors()): void {
  const width = environment.LP_NATIVE_VECTOR_WIDTH ?? (wide ? '512' : ownWidth);
  if (width === ownWidth) return;
  const folder = `mesa-${width}-bits`;
  const shared = environment.MESA_SHADER_CACHE_DIR;
  environment.LP_NATIVE_VECTOR_WIDTH = width;
  // A child of a process that came by here has the folder already.
  if (shared && basename(shared) === folder) return;
  environment.MESA_SHADER_CACHE_DIR = join(shared ?? cacheFolder(environment), folder);
}
