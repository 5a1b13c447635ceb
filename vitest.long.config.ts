/** Tests that take minutes: kills, mutations, soak. Each has a command of its own in package.json. */
import { defineConfig } from 'vitest/config';
import { kernelsPlugin } from './scripts/kernels/plugin.ts';

export default defineConfig({
  plugins: [kernelsPlugin()],
  test: {
    include: ['test/long/**/*.test.ts'],
    testTimeout: 3_600_000,
    hookTimeout: 600_000,
    fileParallelism: false,
    pool: 'forks',
  },
});
