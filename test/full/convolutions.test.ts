/** Every variant of Winograd's form, and batches on targets that choose other forms. */
import { afterAll, describe, test } from 'vitest';
import { amd } from '../../src/engine/device/amd.ts';
import { describeKernel } from '../../src/engine/device/families.ts';
import { gpu } from '../../src/engine/device/gpu.ts';
import { Engine } from '../../src/engine/runtime/engine.ts';
import { expectSameMaps, expectWinograd, winogradCases } from '../support/convolution_forms.ts';
import { convolutions, expectConvolution, largeTiles, reference } from '../support/convolutions.ts';
import { expectRuns, type RunsCase, runsCases, runsKernels, runsProfile } from '../support/half_runs.ts';

const engine = await Engine.open();
afterAll(() => engine.close());

describe("Winograd's form", () => {
  test.each(winogradCases)('%s: meets the reference', (_, c) => expectWinograd(engine, c));
});

describe('large tiles meet the reference, split or not', () => {
  test.each(
    largeTiles(engine.target).map((kernel) => [describeKernel(kernel), kernel] as const),
  )('%s', async (_, convolution) => {
    // Long texts compile for seconds; all shapes are tried with the small tiles of the same text.
    const few = ['odd channels', 'lines of whole blocks'];
    const { shared_columns, many_slices, interleaved } = convolution.conditions ?? {};
    const isFew = [shared_columns, many_slices, interleaved].includes(true);
    for (const [name, c] of Object.entries(convolutions).filter(([name]) => !isFew || few.includes(name)))
      for (const splits of [1, 3]) {
        const force = { convolution, splits, rewrites: { textures: false } };
        await expectConvolution(engine, c, reference(name, c), { force });
      }
  });
});

describe('sums of short runs in 16 bits are within the bound of their roundings', () => {
  test.each(
    runsKernels.map((kernel) => [describeKernel(kernel), kernel] as const),
  )('%s', async (_, kernel) => {
    for (const name of ['3x3', 'a transposed one'])
      await expectRuns(engine, runsCases[name] as RunsCase, kernel);
  });
});

describe("a detector's map of an image has the same bits whatever its batch", () => {
  test('in the compact form', () =>
    expectSameMaps(engine, { choices: {}, form: '', size: 256, compact: true }));

  // With few tiles, products of a real GPU's target are split.
  test('with split sums, as on a GPU', () => {
    const choices = { profile: gpu, target: { parallelism: 512 } };
    return expectSameMaps(engine, { choices, form: 'convolution_sum', size: 128, compact: true });
  });

  test('with interleaved ranges in batches, as on a card of many units', () => {
    const choices = { profile: amd, target: { architecture: 'rdna-3', parallelism: 768 } };
    return expectSameMaps(engine, { choices, form: [',turns', ',interleaved'], size: 128, compact: true });
  });

  test('with 16 bits, in short runs', () => {
    const choices = { profile: runsProfile, target: { parallelism: 64 } };
    return expectSameMaps(engine, { choices, form: ',half_runs', size: 128, compact: true, half: true });
  });
});
