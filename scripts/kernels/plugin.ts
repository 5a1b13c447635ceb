/** Vite plugin: `kernels/generated.ts` is as new as the kernels, also while Vite watches them. */
import type { Plugin } from 'vitest/config';
import { generateKernels } from './generate.ts';

export function kernelsPlugin(): Plugin {
  generateKernels();
  return {
    name: 'kernels',
    configureServer({ watcher }) {
      watcher.add('kernels');
      watcher.on('all', (_event, path) => {
        if (path.endsWith('.wesl')) generateKernels();
      });
    },
  };
}
