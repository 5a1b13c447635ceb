/** Learning rate and optimiser of both stages. */

import { adamStep } from '../engine/ops/adam.ts';
import type { RunInputs } from '../engine/runtime/program.ts';

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

/** Learning rate of both stages; RD4AD's constant rate in mode rd (method, 3.17). */
export const defaultRate = 0.005;

/** Optimiser settings of both stages. */
export const adamDefaults = { betas: [0.5, 0.999], epsilon: 1e-8 } as const;

/** The optimiser's input of a step, counted from 1. */
export function stepInput(step: number, learningRate: number): RunInputs {
  return { step: adamStep(step, { ...adamDefaults, learningRate }) };
}
