/**
 * The learning rate of both stages: x0.2 from 80 % of the epochs on, and x0.2 again from 90 % (method, 3.9,
 * 3.12).
 */
export function learningRate(base: number, epoch: number, epochs: number): number {
  let rate = base;
  if (epoch >= Math.round(0.8 * epochs)) rate *= 0.2;
  if (epoch >= Math.round(0.9 * epochs)) rate *= 0.2;
  return rate;
}

/** Optimiser settings of both stages. */
export const adamDefaults = { betas: [0.5, 0.999], epsilon: 1e-8 } as const;
