/** The detector's anomaly map and image score (method, 3.13) in three dispatches; inference only. */
import { scoreMapGaussian, scoreMapLimits, scoreMapTile } from '../../../kernels/sizes.ts';
import { variantOf, workgroupsFor } from '../device/families.ts';
import { need, type Tape } from '../graph/tape.ts';
import { channelQuads, type Tensor } from '../graph/tensor.ts';
import type { Operation } from './operation.ts';
import { gaussianNorm } from './resample.ts';
import { scratch } from './scratch.ts';

type ScoreAttributes = { readonly size: number };

const levels = [0, 1, 2] as const;
const { sigma } = scoreMapGaussian;

const scoreMapDefinition: Operation<ScoreAttributes> = {
  name: 'score_map',
  infer(inputs, { size }) {
    if (size % scoreMapTile.height || size > scoreMapLimits.row)
      throw new Error(
        `the map size ${size} is not a multiple of ${scoreMapTile.height} of at most ${scoreMapLimits.row}`,
      );
    for (const level of levels) {
      const teacher = need(inputs, `teacher${level}`);
      if (`${teacher.shape}` !== `${need(inputs, `student${level}`).shape}`)
        throw new Error(`teacher and student differ in shape at level ${level}`);
      if (teacher.shape[1] !== teacher.shape[2]) throw new Error('the feature maps must be square');
    }
    const sides = levels.map((level) => need(inputs, `teacher${level}`).shape[1] as number);
    if (sides.reduce((sum, side) => sum + side, 0) > scoreMapLimits.levels)
      throw new Error(
        `feature maps of ${sides.join(', ')} are together longer than ${scoreMapLimits.levels}`,
      );
    const batch = need(inputs, 'teacher0').shape[0] as number;
    return {
      map: { shape: [batch, size, size], layout: 'dense' },
      score: { shape: [batch], layout: 'dense' },
    };
  },
  half: ({ inputs }) => ({ inputs: Object.keys(inputs), outputs: [], alike: true }),
  lower(node, { profile, target }) {
    const { scoreMap: kernels } = profile.kernels;
    const { size } = node.attributes;
    const features = levels.map((level) => need(node.inputs, `teacher${level}`));
    const batch = (features[0] as Tensor).shape[0] as number;
    const side = features.map((tensor) => tensor.shape[1] as number);
    const positions = side.reduce((sum, s) => sum + batch * s * s, 0);
    const score = need(node.outputs, 'score');
    const distances = scratch('score_map.distances', [positions]);
    const rows = scratch('score_map.rows', [batch, size, size]);
    const { norm } = gaussianNorm(sigma);
    const uniforms: Record<string, number> = { batch, size, positions, epsilon: 1e-8, sigma, norm };
    for (const level of levels) {
      uniforms[`side${level}`] = side[level] as number;
      uniforms[`quads${level}`] = channelQuads(features[level] as Tensor);
    }
    const channels = features.map(channelQuads).reduce((a, b) => Math.min(a, b));
    const problem = { rows: positions, rowsPerImage: positions / batch, channelQuads: channels };
    const distancesKernel = kernels.distances(problem, target);
    const smoothing = { size, levels: side.reduce((sum, s) => sum + s, 0) };
    const rowsKernel = kernels.rows(smoothing, target);
    const columnsKernel = kernels.columns(smoothing, target);
    return [
      {
        kernel: variantOf(distancesKernel, { half: features[0]?.half ?? false }),
        bindings: { ...node.inputs, distances, score },
        uniforms,
        workgroups: workgroupsFor(distancesKernel, positions),
        writes: ['distances', 'score'],
      },
      {
        kernel: variantOf(rowsKernel),
        bindings: { distances, rows },
        uniforms,
        workgroups: rowsKernel.grid(size, batch),
        writes: ['rows'],
        flops: batch * size * size * 2 * 33,
      },
      {
        kernel: variantOf(columnsKernel),
        bindings: { rows, map: need(node.outputs, 'map'), score },
        uniforms,
        workgroups: columnsKernel.grid(size, batch),
        writes: ['map', 'score'],
        flops: batch * size * size * 2 * 33,
      },
    ];
  },
};

/**
 * The anomaly map of a teacher's and a student's features: cosine distances of three levels, brought to the
 * image's size, added and blurred (docs/method.md).
 *
 * @param teacher three feature maps [N,n,n,C], finest first
 * @param student their reconstructions, same shapes
 * @param size side of the map in pixels, a multiple of 16
 * @returns map [N,size,size], score [N] = its maximum, at least 0
 */
export function scoreMap(tape: Tape, teacher: readonly Tensor[], student: readonly Tensor[], size: number) {
  const inputs: Record<string, Tensor | undefined> = {};
  for (const level of levels) {
    inputs[`teacher${level}`] = teacher[level];
    inputs[`student${level}`] = student[level];
  }
  const { map, score } = tape.record(scoreMapDefinition, inputs, { size });
  return { map: map as Tensor, score: score as Tensor };
}
