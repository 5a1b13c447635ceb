/**
 * A naming scope over a tape: where parameters get their names, group and initial distribution (method, 3.7).
 */

import type { Initial } from '../engine/graph/parameter_set.ts';
import type { Tape } from '../engine/graph/tape.ts';
import type { Tensor } from '../engine/graph/tensor.ts';
import { batchNorm } from '../engine/ops/batch_norm.ts';
import { conv2d, convTranspose2d } from '../engine/ops/conv2d.ts';

export class Scope {
  readonly tape: Tape;
  readonly prefix: string;
  readonly group: string;
  /** Batch statistics in batch norm; otherwise running statistics. */
  readonly training: boolean;
  /** Share of a batch in new running statistics; batch norm's default where it is not given. */
  readonly momentum: number | undefined;

  constructor(tape: Tape, prefix: string, group: string, training: boolean, momentum?: number) {
    this.tape = tape;
    this.prefix = prefix;
    this.group = group;
    this.training = training;
    this.momentum = momentum;
  }

  /** A scope one name deeper. */
  at(name: string | number): Scope {
    return new Scope(this.tape, `${this.prefix}${name}.`, this.group, this.training, this.momentum);
  }

  #filter(name: string, shape: readonly [number, number, number, number], initial: Initial): Tensor {
    return this.tape.parameter(this.prefix + name, shape, 'filter', this.group, initial);
  }

  #vector(name: string, channels: number, initial: Initial): Tensor {
    return this.tape.parameter(this.prefix + name, [channels], 'channels', this.group, initial);
  }

  /** `NAME.weight` (and `NAME.bias`), kernel x kernel, N(0, 2 / fan_out). */
  conv(
    name: string,
    x: Tensor,
    channels: number,
    kernel: number,
    options: { stride?: number; padding?: number; bias?: boolean } = {},
  ): Tensor {
    const inputs = x.shape[3] as number;
    const deviation = Math.sqrt(2 / (channels * kernel * kernel));
    const w = this.#filter(`${name}.weight`, [kernel, kernel, inputs, channels], {
      kind: 'normal',
      deviation,
    });
    const bound = 1 / Math.sqrt(inputs * kernel * kernel);
    const b = options.bias ? this.#vector(`${name}.bias`, channels, { kind: 'uniform', bound }) : undefined;
    return conv2d(this.tape, x, w, b, options);
  }

  /** `NAME.weight` of a 2x2 stride-2 transposed convolution without bias, U(+-1/sqrt(4 out)). */
  convTranspose(name: string, x: Tensor, channels: number): Tensor {
    const bound = 1 / Math.sqrt(4 * channels);
    const w = this.#filter(`${name}.weight`, [2, 2, channels, x.shape[3] as number], {
      kind: 'uniform',
      bound,
    });
    return convTranspose2d(this.tape, x, w, { stride: 2 });
  }

  /** `NAME.weight`, `.bias`, `.running_mean`, `.running_var`; residual add and ReLU follow it. */
  norm(name: string, x: Tensor, options: { relu?: boolean; residual?: Tensor } = {}): Tensor {
    const channels = x.shape[3] as number;
    const vector = (part: string, value: number) =>
      this.#vector(`${name}.${part}`, channels, { kind: 'constant', value });
    return batchNorm(
      this.tape,
      x,
      {
        weight: vector('weight', 1),
        bias: vector('bias', 0),
        running_mean: vector('running_mean', 0),
        running_var: vector('running_var', 1),
      },
      {
        training: this.training,
        ...(this.momentum !== undefined && { momentum: this.momentum }),
        ...options,
      },
    );
  }

  /** Rows of keys, N(0, 1): [1, 1, items, channels]. */
  keys(name: string, items: number, channels: number): Tensor {
    return this.#filter(name, [1, 1, items, channels], { kind: 'normal', deviation: 1 });
  }
}
