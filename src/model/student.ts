/** What stage II trains: the one-class bottleneck embedding (method, 3.5) and the reverse decoder (3.6). */

import type { Tape } from '../engine/graph/tape.ts';
import type { Tensor } from '../engine/graph/tensor.ts';
import { concat } from '../engine/ops/concat.ts';
import { studentScope } from './groups.ts';
import { residualStage } from './residual.ts';
import type { Scope } from './scope.ts';
import { embeddingScale, type Teacher } from './teacher.ts';

/**
 * OCBE: three levels to one embedding.
 *
 * @param levels [N,n,n,c0], [N,n/2,n/2,c1], [N,n/4,n/4,c2]
 * @returns [N,n/8,n/8,2 c2]
 */
export function bottleneck(scope: Scope, levels: readonly Tensor[], teacher: Teacher): Tensor {
  const [fine, middle, coarse] = levels as [Tensor, Tensor, Tensor];
  const { student } = teacher;
  const [, { channels: c1 }, { channels: c2 }] = teacher.levels;
  const down = (conv: string, norm: string, x: Tensor, channels: number) =>
    scope.norm(norm, scope.conv(conv, x, channels, 3, { stride: 2, padding: 1 }), { relu: true });
  const u = down('conv2', 'bn2', down('conv1', 'bn1', fine, c1), c2);
  const v = down('conv3', 'bn3', middle, c2);
  const joined = concat(scope.tape, [u, v, coarse]);
  const planes = (embeddingScale * c2) / student.expansion;
  return residualStage(scope.at('bn_layer'), joined, student, planes, student.bottleneckBlocks, 'down');
}

/**
 * The reverse decoder.
 *
 * @param embedding [N,m,m,2 c2]
 * @returns reconstructions, finest first: [N,8m,8m,c0], [N,4m,4m,c1], [N,2m,2m,c2]
 */
export function decoder(scope: Scope, embedding: Tensor, { levels, student }: Teacher): Tensor[] {
  let x = embedding;
  return [...levels]
    .reverse()
    .map(({ channels }, index) => {
      const planes = channels / student.expansion;
      const blocks = student.blocks[index] as number;
      x = residualStage(scope.at(`layer${index + 1}`), x, student, planes, blocks, 'up');
      return x;
    })
    .reverse();
}

/** Bottleneck and decoder over the targets; `training`: with the statistics of the batch. */
export function reconstruct(tape: Tape, targets: readonly Tensor[], teacher: Teacher, training: boolean) {
  const embedding = bottleneck(studentScope(tape, 'bottleneck', training), targets, teacher);
  return { embedding, students: decoder(studentScope(tape, 'student', training), embedding, teacher) };
}
