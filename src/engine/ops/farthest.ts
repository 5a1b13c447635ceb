/** A step of the greedy k-center choice: which row lies farthest from those that are chosen. */
import { threads } from '../dispatch.ts';
import { need, type Tape } from '../graph/tape.ts';
import { channelQuads, positions, type Tensor } from '../graph/tensor.ts';
import type { Operation } from './operation.ts';
import { scratch } from './scratch.ts';

const farthestDefinition: Operation = {
  name: 'farthest_row',
  infer(inputs) {
    const [rows, center, nearest] = ['rows', 'center', 'nearest'].map((name) => need(inputs, name)) as [
      Tensor,
      Tensor,
      Tensor,
    ];
    if (rows.shape.length !== 2 || rows.layout !== 'channels' || center.layout !== 'channels')
      throw new Error('rows [P,C] and a center [C] are needed');
    if (center.shape[0] !== rows.shape[1] || nearest.shape[0] !== rows.shape[0])
      throw new Error('rows, center and nearest do not fit');
    return { value: { shape: [1], layout: 'dense' }, index: { shape: [1], layout: 'dense' } };
  },
  overwrites: ({ inputs }) => ({ tensors: [need(inputs, 'nearest')] }),
  lower({ inputs, outputs }) {
    const rows = need(inputs, 'rows');
    const count = positions(rows);
    const quads = channelQuads(rows);
    const parts = Math.ceil(count / 64);
    const partials = {
      partial_value: scratch('farthest_row.partial_value', [parts]),
      partial_row: scratch('farthest_row.partial_row', [parts]),
    };
    return [
      {
        kernel: { module: 'farthest', entry: 'update' },
        bindings: { rows, center: need(inputs, 'center'), nearest: need(inputs, 'nearest'), ...partials },
        uniforms: { count, quads, parts },
        workgroups: threads(count),
        writes: ['nearest', 'partial_value', 'partial_row'],
        flops: 12 * count * quads,
      },
      {
        kernel: { module: 'farthest', entry: 'pick' },
        bindings: { ...partials, value: need(outputs, 'value'), index: need(outputs, 'index') },
        uniforms: { parts },
        workgroups: [1, 1, 1],
        writes: ['value', 'index'],
      },
    ];
  },
};

/**
 * Takes a chosen row into account, and finds the row that lies farthest from all chosen ones; of equal ones
 * the first.
 *
 * @param rows [P,C], `channels`
 * @param center the row that was chosen last, [C], `channels`
 * @param nearest a parameter [P], dense: squared distance of each row from the chosen ones; it is overwritten
 * @returns value [1], the squared distance, and index [1], a whole number
 */
export function farthestRow(
  tape: Tape,
  rows: Tensor,
  center: Tensor,
  nearest: Tensor,
): { value: Tensor; index: Tensor } {
  const { value, index } = tape.record(farthestDefinition, { rows, center, nearest }, {});
  return { value: value as Tensor, index: index as Tensor };
}
