/**
 * What this adapter reaches at most: multiply-adds and copies, measured. The scale of every performance
 * figure.
 */

import { workgroupSize } from '../../../kernels/sizes.ts';
import type { KernelVariant } from '../dispatch.ts';
import { type Dispatch, groups, threads } from '../dispatch.ts';
import type { CopyRate, Peaks } from '../plan/forecast.ts';
import type { Engine } from './engine.ts';

/** What is measured: multiply-adds, and copies. */
export const peakKernels = {
  fma: { module: 'peak', entry: 'fma_peak' },
  copy: { module: 'peak', entry: 'copy_peak' },
} as const satisfies Record<string, KernelVariant>;

const copyBytes = 64 * 1024 * 1024;

/** Traffic of the smaller copies, in bytes: what fits into the caches of processors and GPUs. */
const smallCopies = [2 ** 18, 2 ** 20, 2 ** 22, 2 ** 24];

/** Commands of a submit beyond which a measurement takes long. */
const mostDispatches = 512;

/**
 * Measures for about a second in all, and for another one with copies.
 *
 * @param options `copies`: copies of several sizes too, by a kernel or the device itself, whichever is faster
 */
export async function measurePeaks(engine: Engine, options: { copies?: boolean } = {}): Promise<Peaks> {
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
    /** Seconds of one of so many repetitions, the best of five submits. */
    const time = async (encode: (encoder: GPUCommandEncoder, times: number) => void, repeat: number) => {
      const run = async (times: number) => {
        const encoder = device.createCommandEncoder();
        encode(encoder, times);
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
    const timeKernel = async (
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
      return time((encoder, times) => {
        const pass = encoder.beginComputePass();
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, bindGroup);
        for (let i = 0; i < times; i++) pass.dispatchWorkgroups(...grid);
        pass.end();
      }, repeat);
    };
    const { workgroups, rounds, copies } = engine.profile.treatment.peak;
    const fmaSeconds = await timeKernel(peakKernels.fma, [0, rounds], groups(workgroups), 1);
    const repeats = (bytes: number) => Math.min(mostDispatches, (copies * 2 * copyBytes) / bytes);
    const kernelRate = async (bytes: number) => {
      const quads = bytes / 2 / 16;
      const seconds = await timeKernel(peakKernels.copy, [quads, 0], threads(quads), repeats(bytes));
      return bytes / seconds / 1e9;
    };
    // A CPU driver copies several times as fast by itself as a kernel does there.
    const ownRate = async (bytes: number) => {
      const seconds = await time((encoder, times) => {
        for (let i = 0; i < times; i++) encoder.copyBufferToBuffer(input, 0, output, 0, bytes / 2);
      }, repeats(bytes));
      return bytes / seconds / 1e9;
    };
    const gbytesPerSecond = await kernelRate(2 * copyBytes);
    const rates: CopyRate[] = [];
    if (options.copies)
      for (const bytes of [...smallCopies, 2 * copyBytes])
        rates.push({ bytes, gbytesPerSecond: Math.max(await kernelRate(bytes), await ownRate(bytes)) });
    return {
      gflops: (workgroups * workgroupSize * rounds * 8 * 2 * 4 * 2) / fmaSeconds / 1e9,
      gbytesPerSecond,
      ...(options.copies && { copies: rates }),
    };
  } finally {
    for (const buffer of [input, output, uniforms]) buffer.destroy();
  }
}
