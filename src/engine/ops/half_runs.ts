/**
 * Weights for products that are summed up in 16 bits over short runs, scaled so that no run leaves the range
 * of 16 bits whatever the activations are (kernels/half_runs.wesl). Recorded by the pass `half_runs`.
 */
import { groups } from '../dispatch.ts';
import { need } from '../graph/tape.ts';
import { physicalShape } from '../graph/tensor.ts';
import type { HalfRuns } from './fusion.ts';
import type { Operation } from './operation.ts';

/** Weights `w` in 16 bits; gives them scaled, and the inverse scale `unscale` [Co]. */
export const halfRunsDefinition: Operation<HalfRuns> = {
  name: 'half_runs',
  infer(inputs, { transposed }) {
    const { shape, layout } = need(inputs, 'w');
    return {
      w: { shape, layout },
      unscale: { shape: [shape[transposed ? 2 : 3] as number], layout: 'channels' },
    };
  },
  lower({ inputs, outputs, attributes: { transposed, oneRun } }) {
    const weights = need(inputs, 'w');
    const [height, width, rows, columns] = physicalShape(weights) as [number, number, number, number];
    const quads = columns / 4;
    return [
      {
        kernel: { module: 'half_runs', entry: 'scale_runs', conditions: { transposed } },
        bindings: { weights, output: need(outputs, 'w'), unscale: need(outputs, 'unscale') },
        uniforms: oneRun
          ? { lines: height, rows: width * rows, quads }
          : { lines: height * width, rows, quads },
        workgroups: groups(transposed ? rows / 4 : quads),
        writes: ['output', 'unscale'],
      },
    ];
  },
};
