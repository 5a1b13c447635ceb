/**
 * A whole detector in both browsers: within the tolerances, and bit for bit as in Node on the same driver.
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
import { useGoldenBrowsers } from '../support/browser_golden.ts';
import { goldenSet } from '../support/shared.ts';

const models = goldenSet('models');

describe('a whole detector', () => {
  const browsers = useGoldenBrowsers('models', (results) =>
    compareGoldenModels(models, results).filter(({ name }) => /^resnet18\/[^/]*$/.test(name)),
  );

  test.skipIf(!chromiumPath || !swiftShaderDriver)('Chromium on SwiftShader equals Node on SwiftShader', () =>
    browsers.compare(launchChromium, swiftShaderDriver as string, false),
  );

  test.skipIf(!firefoxPath || !lavapipeDriver)('Firefox on lavapipe equals Node on lavapipe', () =>
    browsers.compare(launchFirefox, lavapipeDriver as string, true),
  );
});
