/**
 * Linked kernels of earlier processes, where the platform keeps them: linking is a tenth of a start whose
 * driver finds its own code in a cache. An entry carries the build that wrote it; another build links anew
 * and writes over it.
 */
import { keepText, keptText } from '#platform';

// A hash of all that makes a kernel's text, which scripts/build.mjs puts in. Sources that run as they are
// have none, and keep nothing.
declare const KERNELS: string | undefined;
const ownBuild = typeof KERNELS === 'undefined' ? undefined : KERNELS;

interface Entry {
  readonly build: string;
  readonly code: string;
}

/** The WGSL that this build kept under a name; undefined where there is none, or a damaged one. */
export function keptKernel(name: string, build = ownBuild): string | undefined {
  const text = build && keptText(name);
  if (!text) return undefined;
  try {
    const entry = JSON.parse(text) as Entry;
    return entry.build === build && typeof entry.code === 'string' ? entry.code : undefined;
  } catch {
    return undefined;
  }
}

/** Keeps a kernel for later processes; where that is not possible they link it again. */
export async function keepKernel(name: string, code: string, build = ownBuild): Promise<void> {
  if (!build) return;
  const entry: Entry = { build, code };
  await keepText(name, JSON.stringify(entry)).catch(() => {});
}
