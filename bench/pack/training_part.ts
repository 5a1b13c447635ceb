/** Training steps of both stages. */

import type { BenchCase } from '../../src/bench/case.ts';
import { trainingCases } from '../../src/bench/models.ts';
import { runCase } from '../../src/bench/run.ts';
import { backbones } from '../../src/model/backbones.ts';
import { peakColumns, peakRows } from './adapter_part.ts';
import type { Part } from './part.ts';

export const trainingPart: Part = {
  name: 'training',
  title: 'Training steps',
  about:
    'Whole steps by the clock: inputs in, forward, backward and Adam, losses out. The goldens check them.',
  seconds: 40,
  async run(context) {
    const { quick } = context.settings;
    const cases: BenchCase[] = quick
      ? trainingCases(backbones.resnet18, 64, 2)
      : [...trainingCases(backbones.resnet18, 256), ...trainingCases(backbones.wide_resnet50_2, 256)];
    const peaks = {
      gflops: context.figure('adapter', peakRows.fma, peakColumns.fma) ?? Number.NaN,
      gbytesPerSecond: context.figure('adapter', peakRows.copy, peakColumns.copy) ?? Number.NaN,
    };
    await context.withEngine({ tunings: context.tunings }, async (engine) => {
      for (const benchCase of cases)
        await context.attempt(benchCase.name, async () => {
          const wrong: string[] = [];
          const result = await runCase(engine, { ...benchCase, long: true }, peaks, {
            runs: quick ? 1 : 5,
            seconds: quick ? 0.1 : 2,
            onWrong: (message) => wrong.push(message),
          });
          return {
            passed: !wrong.length,
            figures: {
              ms: result.median_ms,
              'spread %': 100 * result.spread,
              'GFLOP/s': result.gflops,
              'share of peak %': (100 * result.gflops) / peaks.gflops,
              'JavaScript ms': result.javascript_ms,
              dispatches: result.dispatches,
              MiB: (result.peak_bytes + result.weight_bytes) / 2 ** 20,
            },
            ...(wrong.length && { note: wrong.join('; ') }),
          };
        });
    });
  },
};
