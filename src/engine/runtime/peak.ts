/**
 * What this adapter reaches at most: multiply-adds and copies, measured. The scale of every performance
 * figure.
 */

import { workgroupSize } from '../../../kernels/sizes.ts';
import type { KernelVariant } from '../dispatch.ts';
import { type Dispatch, groups, threads } from '../dispatch.ts';
import type { Peaks } from '../plan/forecast.ts';
import type { Engine } from './engine.ts';

/** What is measured: multiply-adds, and copies. */
export const peakKernels = {
  fma: { module: 'peak', entry: 'fma_peak' },
  copy: { module: 'peak', entry: 'copy_peak' },
} as const satisfies Record<string, KernelVariant>;

const copyBytes = 64 * 1024 * 1024;

/** Measures for about a second in all. */
export async function measurePeaks(engine: Engine): Promise<Peaks> {
  const { device } = engine;
  const input = engine.createBuffer('peak input', copyBytes);
  const output = engine.createBuffer('peak output', copyBytes);
  const uniforms = engine.createBuffer(
    'peak uniforms',
    256,
    GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
  );
  // What is in new memory slows arithmetic down where it happens to be tiny numbers.
  const clearing = device.createCommandEncoder();
  clearing.clearBuffer(input);
  device.queue.submit([clearing.finish()]);
  try {
    const time = async (
      variant: KernelVariant,
      values: [number, number],
      grid: Dispatch['workgroups'],
      repeat: number,
    ) => {
      const { pipeline, layout } = await engine.pipeline(variant);
      engine.write(uniforms, 0, new Uint32Array(values));
      const bindGroup = device.createBindGroup({
        layout,
        entries: [
          { binding: 0, resource: { buffer: uniforms } },
          { binding: 1, resource: { buffer: input } },
          { binding: 2, resource: { buffer: output } },
        ],
      });
      const run = async (times: number) => {
        const encoder = device.createCommandEncoder();
        const pass = encoder.beginComputePass();
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, bindGroup);
        for (let i = 0; i < times; i++) pass.dispatchWorkgroups(...grid);
        pass.end();
        const started = performance.now();
        device.queue.submit([encoder.finish()]);
        await engine.guard(device.queue.onSubmittedWorkDone());
        return (performance.now() - started) / 1000 / times;
      };
      await run(1);
      let best = Number.POSITIVE_INFINITY;
      for (let i = 0; i < 5; i++) best = Math.min(best, await run(repeat));
      return best;
    };
    const { workgroups, rounds, copies } = engine.profile.treatment.peak;
    const fmaSeconds = await time(peakKernels.fma, [0, rounds], groups(workgroups), 1);
    const quads = copyBytes / 16;
    const copySeconds = await time(peakKernels.copy, [quads, 0], threads(quads), copies);
    return {
      gflops: (workgroups * workgroupSize * rounds * 8 * 2 * 4 * 2) / fmaSeconds / 1e9,
      gbytesPerSecond: (2 * copyBytes) / copySeconds / 1e9,
    };
  } finally {
    for (const buffer of [input, output, uniforms]) buffer.destroy();
  }
}
