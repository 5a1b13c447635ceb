/** What the tests of the passes share: a device with chosen rewrites, and a short way to record a tape. */
import type { LoweringContext } from '../../src/engine/device/context.ts';
import { mesaCpu } from '../../src/engine/device/mesa_cpu.ts';
import type { Rewrites } from '../../src/engine/device/profile.ts';
import type { Target } from '../../src/engine/device/target.ts';
import { ParameterSet } from '../../src/engine/graph/parameter_set.ts';
import { type Node, Tape } from '../../src/engine/graph/tape.ts';
import type { Tensor } from '../../src/engine/graph/tensor.ts';
import { batchNorm } from '../../src/engine/ops/batch_norm.ts';
import { type Pass, passContext } from '../../src/engine/passes/pass.ts';
import { planning } from './targets.ts';
/** What differs from a device that wants no rewrite. */
export type Differences = Partial<Target & Rewrites & { readonly splits: number }>;

export function device(own: Differences = {}): LoweringContext {
  const {
    winograd = false,
    textures = false,
    statistics = false,
    rowLengths = false,
    totals = false,
    splits,
    ...target
  } = own;
  const rewrites = { winograd, textures, statistics, rowLengths, totals };
  return planning({ profile: mesaCpu, target, force: { rewrites, ...(splits && { splits }) } });
}

export const target = device();

/** A tape, and short ways to record on it. */
export class Recorder {
  readonly tape: Tape;

  constructor(half = false) {
    this.tape = new Tape(new ParameterSet({ half }));
  }

  input(name = 'x', shape: readonly number[] = [1, 4, 4, 4]): Tensor {
    return this.tape.input(name, shape, 'channels');
  }

  /** Weights of a 1x1 convolution, or of another size. */
  weights(name = 'w', shape: readonly number[] = [1, 1, 4, 4]): Tensor {
    return this.tape.parameter(name, shape, 'filter', 'model');
  }

  vector(name: string): Tensor {
    return this.tape.parameter(name, [4], 'channels', 'model');
  }

  constant(name = 'c', batch = 1): Tensor {
    return this.tape.constant(name, [batch, 4, 4, 4], 'channels', new Float32Array(batch * 64));
  }

  norm(x: Tensor, options: { training?: boolean; relu?: boolean; residual?: Tensor } = {}): Tensor {
    const parameters = {
      weight: this.vector('weight'),
      bias: this.vector('bias'),
      running_mean: this.vector('mean'),
      running_var: this.vector('var'),
    };
    return batchNorm(this.tape, x, parameters, { training: false, ...options });
  }

  /** What a pass makes of the tape. */
  run(pass: Pass, outputs: readonly Tensor[], own: Differences = {}): Node[] {
    return pass.run(this.tape.nodes, passContext(this.tape, outputs, device(own)));
  }

  applies(pass: Pass, own: Differences = {}): boolean {
    return pass.applies(passContext(this.tape, [], device(own)));
  }
}

export const names = (nodes: readonly Node[]) => nodes.map(({ definition }) => definition.name);
