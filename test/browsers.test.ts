/**
 * The golden operations in both browsers: within the tolerances, and bit for bit as in Node on the same
 * driver.
 */
import { describe, test } from 'vitest';
import {
  chromiumPath,
  firefoxPath,
  launchChromium,
  launchFirefox,
  lavapipeDriver,
  swiftShaderDriver,
} from '../bench/support/browsers.ts';
import { compareGoldenOps } from '../bench/support/golden_ops.ts';
import { useGoldenBrowsers } from './support/browser_golden.ts';
import { goldenSet } from './support/shared.ts';

const ops = goldenSet('ops');

describe('the golden operations', () => {
  const browsers = useGoldenBrowsers('ops', (results) => compareGoldenOps(ops, results));

  test.skipIf(!chromiumPath || !swiftShaderDriver)('Chromium on SwiftShader equals Node on SwiftShader', () =>
    browsers.compare(launchChromium, swiftShaderDriver as string, { minimal: false }),
  );

  test.skipIf(!firefoxPath || !lavapipeDriver)('Firefox on lavapipe equals Node on lavapipe', () =>
    browsers.compare(launchFirefox, lavapipeDriver as string, { minimal: true }),
  );
});
