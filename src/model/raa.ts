/** Residual Anomaly Amplification, one per level (method, 3.4): gate, residual generator and their fusion. */

import type { Tape } from '../engine/graph/tape.ts';
import type { Tensor } from '../engine/graph/tensor.ts';
import { add, relu } from '../engine/ops/elementwise.ts';
import { gatedResidual, matchingGate } from '../engine/ops/gate.ts';
import type { Scope } from './scope.ts';

/** Normal and abnormal keys together: 2L with L = 50. */
export const keyCount = 100;

/**
 * Fixed 2-D sinusoidal encoding [n, n, d] (method, 3.4): the first half of the channels from x, the second
 * from y.
 */
export function positionalEncoding(d: number, n: number): Float32Array {
  const half = d / 2;
  const values = new Float32Array(n * n * d);
  for (let j = 0; j < half / 2; j++) {
    const frequency = Math.exp((-2 * j * Math.log(10000)) / half);
    for (let y = 0; y < n; y++)
      for (let x = 0; x < n; x++) {
        const base = (y * n + x) * d;
        values[base + 2 * j] = Math.sin(x * frequency);
        values[base + 2 * j + 1] = Math.cos(x * frequency);
        values[base + half + 2 * j] = Math.sin(y * frequency);
        values[base + half + 2 * j + 1] = Math.cos(y * frequency);
      }
  }
  return values;
}

/** Three 1x1 convolutions d -> h -> h -> d with bias, ReLU after the first two, h = min(2d, 1024). */
function perceptron(scope: Scope, x: Tensor): Tensor {
  const channels = x.shape[3] as number;
  const hidden = Math.min(2 * channels, 1024);
  const first = relu(scope.tape, scope.conv('0', x, hidden, 1, { bias: true }));
  const second = relu(scope.tape, scope.conv('2', first, hidden, 1, { bias: true }));
  return scope.conv('4', second, channels, 1, { bias: true });
}

function encoded(tape: Tape, features: Tensor): Tensor {
  const [, n, , d] = features.shape as [number, number, number, number];
  const values = positionalEncoding(d, n);
  return add(tape, features, tape.constant(`positions ${d}x${n}`, [1, n, n, d], 'channels', values));
}

/** The matching-guided gate of a level: [N,n,n] in (0, 1). */
export function gate(scope: Scope, features: Tensor): Tensor {
  const query = perceptron(scope.at('projs').at(0), encoded(scope.tape, features));
  return matchingGate(scope.tape, query, scope.keys('K_list.0', keyCount, features.shape[3] as number));
}

/** The attribute-scaling generator before its tanh: phi_2(F), no positional encoding. */
export function residual(scope: Scope, features: Tensor): Tensor {
  return perceptron(scope.at('projs2').at(0), features);
}

/** Amplified features A = F (1 + g tanh(phi_2 F)) with the soft gate, and the gate. */
export function amplify(scope: Scope, features: Tensor): { amplified: Tensor; gate: Tensor } {
  const g = gate(scope, features);
  return { amplified: gatedResidual(scope.tape, features, residual(scope, features), g), gate: g };
}
