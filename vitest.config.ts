import { fileURLToPath } from 'node:url';
import { configDefaults, defineConfig } from 'vitest/config';
import { kernelsPlugin } from './scripts/kernels/plugin.ts';

export default defineConfig({
  plugins: [kernelsPlugin()],
  // Examples import the package by its name, as its users do.
  resolve: {
    alias: { 'aand-webgpu/engine': fileURLToPath(new URL('src/engine/index.ts', import.meta.url)) },
  },
  test: {
    include: ['test/**/*.test.ts'],
    // npm run test:full, and tests of minutes with commands of their own (package.json, test:*).
    exclude: [...configDefaults.exclude, 'test/full/**', 'test/long/**'],
    testTimeout: 300_000,
    hookTimeout: 300_000,
    // Most files compile kernels, wait for a command or a browser: two at a time use two cores well.
    maxWorkers: 2,
    pool: 'forks',
  },
});
