/**
 * A whole detector in both browsers, and the golden operations in Firefox with the kernels of every GPU:
 * within the tolerances, and bit for bit as in Node on the same driver.
 */
import { describe, test } from 'vitest';
import {
  chromiumPath,
  firefoxPath,
  launchChromium,
  launchFirefox,
  lavapipeDriver,
  swiftShaderDriver,
} from '../../bench/support/browsers.ts';
import { compareGoldenModels } from '../../bench/support/golden_models.ts';
import { compareGoldenOps } from '../../bench/support/golden_ops.ts';
import { profiles } from '../../src/engine/device/profiles.ts';
import { useGoldenBrowsers } from '../support/browser_golden.ts';
import { goldenSet } from '../support/shared.ts';

const models = goldenSet('models');
const ops = goldenSet('ops');

describe('a whole detector', () => {
  const browsers = useGoldenBrowsers('models', (results) =>
    compareGoldenModels(models, results).filter(({ name }) => /^resnet18\/[^/]*$/.test(name)),
  );

  test.skipIf(!chromiumPath || !swiftShaderDriver)('Chromium on SwiftShader equals Node on SwiftShader', () =>
    browsers.compare(launchChromium, swiftShaderDriver as string, { minimal: false }),
  );

  test.skipIf(!firefoxPath || !lavapipeDriver)('Firefox on lavapipe equals Node on lavapipe', () =>
    browsers.compare(launchFirefox, lavapipeDriver as string, { minimal: true }),
  );
});

// Firefox has a WGSL compiler of its own, and here WebGPU's default limits without optional features.
describe('the golden operations in Firefox, at the default limits, with the kernels of', () => {
  const browsers = useGoldenBrowsers('ops', (results) => compareGoldenOps(ops, results));
  const gpus = profiles
    .filter(({ processor }) => processor === 'gpu')
    .map(({ name, title }) => [title, name]);

  test.skipIf(!firefoxPath || !lavapipeDriver).each(gpus)('%s', (_, profile) =>
    browsers.compare(launchFirefox, lavapipeDriver as string, { minimal: true, profile }),
  );
});
