/** Tests that take minutes: kills, mutations, soak. Each has a command of its own in package.json. */
import { defineConfig } from 'vitest/config';
import { weslPlugin } from './scripts/wesl-plugin.ts';

export default defineConfig({
  plugins: [weslPlugin()],
  test: {
    include: ['test/long/**/*.test.ts'],
    testTimeout: 3_600_000,
    hookTimeout: 600_000,
    fileParallelism: false,
    pool: 'forks',
  },
});
