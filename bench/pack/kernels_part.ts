/** Single kernels as share of the measured peak: convolutions of the models, and matrix products. */

import type { ConvolutionCase, Direction } from '../../src/bench/case.ts';
import { convolutionCase } from '../../src/bench/convolutions.ts';
import { runCase } from '../../src/bench/run.ts';
import { backbones } from '../../src/model/backbones.ts';
import { peakColumns, peakRows } from './adapter_part.ts';
import type { Part, PartContext, Row } from './part.ts';
import { modelConvolutions } from './shapes.ts';

/** A matrix product [rows, depth] x [depth, columns] as the convolution that the engine makes of it. */
function product(rows: number, depth: number, columns: number): Omit<ConvolutionCase, 'direction'> {
  const side = Math.sqrt(rows);
  return { x: [1, side, side, depth], w: [1, 1, depth, columns], stride: 1, padding: 0 };
}

type Engine = Parameters<typeof runCase>[0];

async function measured(
  context: PartContext,
  engine: Engine,
  c: Omit<ConvolutionCase, 'direction'>,
  direction: Direction,
): Promise<Omit<Row, 'name'> & { readonly milliseconds: number }> {
  const wrong: string[] = [];
  const peaks = {
    gflops: context.figure('adapter', peakRows.fma, peakColumns.fma) ?? Number.NaN,
    gbytesPerSecond: context.figure('adapter', peakRows.copy, peakColumns.copy) ?? Number.NaN,
  };
  const result = await runCase(engine, convolutionCase('kernel', c, direction, false), peaks, {
    runs: context.settings.quick ? 1 : 10,
    seconds: 0.2,
    onWrong: (message) => wrong.push(message),
  });
  return {
    passed: !wrong.length,
    milliseconds: result.median_ms,
    figures: {
      ms: result.median_ms,
      'GFLOP/s': result.gflops,
      'share of peak %': (100 * result.gflops) / peaks.gflops,
      'share of roofline %': 100 * result.share_of_roofline,
      'largest error': result.max_abs_error ?? 0,
      clock: result.timed_by,
      kernel: result.configuration,
    },
    ...(wrong.length && { note: wrong.join('; ') }),
  };
}

const withoutTime = ({ milliseconds: _, ...row }: Awaited<ReturnType<typeof measured>>) => row;

/** Every convolution of a model; and what they take together, as often as a detector has each. */
async function convolutions(
  context: PartContext,
  engine: Engine,
  name: 'resnet18' | 'wide_resnet50_2',
  batch: number,
  size: number,
  until: number,
): Promise<void> {
  const sum = { flops: 0, milliseconds: 0 };
  const all = modelConvolutions(backbones[name], batch, size);
  for (const shape of context.settings.quick ? all.slice(0, 3) : all) {
    if (context.secondsLeft < until) break;
    await context.attempt(`${name} batch ${batch}: ${shape.label} (${shape.count})`, async () => {
      const row = await measured(context, engine, shape, 'forward');
      sum.flops += shape.count * shape.flops;
      sum.milliseconds += shape.count * row.milliseconds;
      return withoutTime(row);
    });
  }
  const total = all.reduce((flops, shape) => flops + shape.count * shape.flops, 0);
  const peak = context.figure('adapter', peakRows.fma, peakColumns.fma) ?? Number.NaN;
  const gflops = sum.flops / sum.milliseconds / 1e6;
  context.keep({
    name: `${name} batch ${batch}: together`,
    passed: null,
    figures: { ms: sum.milliseconds, 'GFLOP/s': gflops, 'share of peak %': (100 * gflops) / peak },
    note: `${((100 * sum.flops) / total).toFixed(0)} % of the arithmetic of the detector's convolutions`,
  });
}

export const kernelsPart: Part = {
  name: 'kernels',
  title: 'Kernels',
  about:
    'Each result is compared with 200 samples in float64. In brackets: how often a detector has the ' +
    "convolution. Times are of the device's own clock where it has one, else of whole submits.",
  seconds: 70,
  async run(context) {
    const { quick } = context.settings;
    await context.withEngine({ tunings: context.tunings }, async (engine) => {
      const products: [number, number, number][] = quick
        ? [[256, 64, 64]]
        : [
            [4096, 1024, 1024],
            [4096, 4096, 4096],
          ];
      for (const [rows, depth, columns] of products)
        await context.attempt(`GEMM ${rows}x${depth}x${columns}`, async () =>
          withoutTime(await measured(context, engine, product(rows, depth, columns), 'forward')),
        );
      const budget = context.secondsLeft;
      if (quick) {
        await convolutions(context, engine, 'resnet18', 1, 64, 0);
      } else {
        await convolutions(context, engine, 'resnet18', 16, 256, 0.75 * budget);
        await convolutions(context, engine, 'wide_resnet50_2', 16, 256, 0.5 * budget);
        await convolutions(context, engine, 'resnet18', 1, 256, 0.4 * budget);
        await convolutions(context, engine, 'wide_resnet50_2', 1, 256, 0.25 * budget);
      }
      for (const direction of ['weight-gradient', 'data-gradient'] as const)
        for (const shape of modelConvolutions(backbones.resnet18, quick ? 1 : 16, quick ? 64 : 256).slice(
          0,
          quick ? 1 : 8,
        ))
          await context.attempt(`${direction}: ${shape.label}`, async () =>
            withoutTime(await measured(context, engine, shape, direction)),
          );
    });
  },
};
