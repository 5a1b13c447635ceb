import { configDefaults, defineConfig } from 'vitest/config';
import { weslPlugin } from './scripts/wesl-plugin.ts';

export default defineConfig({
  plugins: [weslPlugin()],
  test: {
    include: ['test/**/*.test.ts'],
    // npm run test:full, and tests of minutes with commands of their own (package.json, test:*).
    exclude: [...configDefaults.exclude, 'test/full/**', 'test/long/**'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // Software drivers use all cores already; parallel files would only distort each other's timeouts.
    fileParallelism: false,
    pool: 'forks',
  },
});
