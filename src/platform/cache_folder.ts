/** The folder for what can be made again: tunings, linked kernels, the driver's code, downloads. */
import { homedir } from 'node:os';
import { join } from 'node:path';

export function cacheFolder(environment: NodeJS.ProcessEnv = process.env): string {
  return join(environment.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'aand-webgpu');
}
