/** What only a release needs: `npm run test:full`. The quick part of each subject is in test/. */
import { defineConfig } from 'vitest/config';
import { kernelsPlugin } from './scripts/kernels/plugin.ts';

export default defineConfig({
  plugins: [kernelsPlugin()],
  test: {
    include: ['test/full/**/*.test.ts'],
    testTimeout: 600_000,
    hookTimeout: 600_000,
    maxWorkers: 2,
    pool: 'forks',
  },
});
