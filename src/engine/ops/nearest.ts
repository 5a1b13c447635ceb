/** Nearest rows of a memory bank, and the score of an image by them. Inference only. */
import { type Dispatch, threads } from '../dispatch.ts';
import { need, type Tape } from '../graph/tape.ts';
import { channelQuads, positions, type Tensor } from '../graph/tensor.ts';
import type { Operation } from './operation.ts';
import { scratch } from './scratch.ts';

/** Patches and rows that a workgroup of `nearest.find` compares at a time. */
const tile = { patches: 32, rows: 16 } as const;
/** Workgroups that keep a large GPU busy. */
const enoughWorkgroups = 512;

function checkBank(patches: Tensor, bank: Tensor): void {
  if (bank.shape.length !== 2 || bank.layout !== 'channels' || patches.layout !== 'channels')
    throw new Error('patches [N,H,W,C] and a bank [M,C] are needed');
  if (bank.shape[1] !== patches.shape.at(-1))
    throw new Error(`patches have ${patches.shape.at(-1)} channels, the bank has ${bank.shape[1]}`);
}

/** Partial results of `nearest.find`: of each range of rows the least squared distance of every patch. */
function find(
  { patches, bank }: { readonly patches: Tensor; readonly bank: Tensor },
  best: { readonly value: Tensor; readonly row: Tensor },
  rowsPerRange: number,
): Dispatch {
  const [count, rows, quads] = [positions(patches), positions(bank), channelQuads(bank)];
  return {
    kernel: { module: 'nearest', entry: 'find' },
    bindings: { patches, bank, best_value: best.value, best_row: best.row },
    uniforms: { patches: count, rows, quads, rows_per_range: rowsPerRange },
    workgroups: [Math.ceil(count / tile.patches), Math.ceil(rows / rowsPerRange), 1],
    writes: ['best_value', 'best_row'],
    flops: 12 * count * rows * quads,
  };
}

const nearestDefinition: Operation = {
  name: 'nearest_rows',
  infer(inputs) {
    const patches = need(inputs, 'patches');
    checkBank(patches, need(inputs, 'bank'));
    const shape = patches.shape.slice(0, -1);
    return { distance: { shape, layout: 'dense' }, row: { shape, layout: 'dense' } };
  },
  lower({ inputs, outputs }) {
    const [patches, bank] = [need(inputs, 'patches'), need(inputs, 'bank')];
    const count = positions(patches);
    const rows = positions(bank);
    const across = Math.ceil(count / tile.patches);
    const rowTiles = Math.ceil(rows / tile.rows);
    const wanted = Math.min(Math.max(Math.ceil(enoughWorkgroups / across), 1), rowTiles);
    const rowsPerRange = Math.ceil(rowTiles / wanted) * tile.rows;
    const ranges = Math.ceil(rows / rowsPerRange);
    const value = scratch('nearest_rows.best_value', [ranges, count]);
    const row = scratch('nearest_rows.best_row', [ranges, count]);
    return [
      find({ patches, bank }, { value, row }, rowsPerRange),
      {
        kernel: { module: 'nearest', entry: 'merge' },
        bindings: {
          best_value: value,
          best_row: row,
          distance: need(outputs, 'distance'),
          row: need(outputs, 'row'),
        },
        uniforms: { patches: count, ranges },
        workgroups: threads(count),
        writes: ['distance', 'row'],
      },
    ];
  },
};

/**
 * The nearest row of a bank for every patch, by Euclidean distance; of equal rows the first.
 *
 * @param patches [N,H,W,C]
 * @param bank [M,C], `channels`
 * @returns distance [N,H,W], and row [N,H,W], whole numbers
 */
export function nearestRows(tape: Tape, patches: Tensor, bank: Tensor): { distance: Tensor; row: Tensor } {
  const { distance, row } = tape.record(nearestDefinition, { patches, bank }, {});
  return { distance: distance as Tensor, row: row as Tensor };
}

const rangesDefinition: Operation<{ readonly rowsPerRange: number }> = {
  name: 'nearest_in_ranges',
  infer(inputs, { rowsPerRange }) {
    const [patches, bank] = [need(inputs, 'patches'), need(inputs, 'bank')];
    checkBank(patches, bank);
    if (!Number.isInteger(rowsPerRange) || rowsPerRange < 1 || positions(bank) % rowsPerRange)
      throw new Error(`a bank of ${positions(bank)} rows has no ranges of ${rowsPerRange} rows`);
    const ranges = positions(bank) / rowsPerRange;
    return { squared: { shape: [ranges, ...patches.shape.slice(0, -1)], layout: 'dense' } };
  },
  lower({ inputs, outputs, attributes: { rowsPerRange } }) {
    const squared = need(outputs, 'squared');
    const row = scratch('nearest_in_ranges.row', squared.shape);
    const [patches, bank] = [need(inputs, 'patches'), need(inputs, 'bank')];
    return [find({ patches, bank }, { value: squared, row }, rowsPerRange)];
  },
};

/**
 * The squared distance of every patch from the nearest row of each range of a bank, such as the rows of one
 * image.
 *
 * @param patches [N,H,W,C]
 * @param bank [M,C], `channels`
 * @param rowsPerRange a divisor of M
 * @returns [M / rowsPerRange, N,H,W]
 */
export function nearestInRanges(tape: Tape, patches: Tensor, bank: Tensor, rowsPerRange: number): Tensor {
  return tape.record(rangesDefinition, { patches, bank }, { rowsPerRange }).squared as Tensor;
}

/** Neighbours that `bank_score.weigh` can hold. */
const mostNeighbours = 64;

const bankScoreDefinition: Operation<{ readonly neighbours: number }> = {
  name: 'bank_score',
  words: ['row'],
  infer(inputs, { neighbours }) {
    const [patches, bank] = [need(inputs, 'patches'), need(inputs, 'bank')];
    checkBank(patches, bank);
    if (neighbours < 1 || neighbours > Math.min(positions(bank), mostNeighbours))
      throw new Error(
        `${neighbours} neighbours are outside of 1..${Math.min(positions(bank), mostNeighbours)}`,
      );
    return { score: { shape: [patches.shape[0] as number], layout: 'dense' } };
  },
  lower({ inputs, outputs, attributes: { neighbours } }) {
    const [patches, bank] = [need(inputs, 'patches'), need(inputs, 'bank')];
    const [distance, row] = [need(inputs, 'distance'), need(inputs, 'row')];
    const images = patches.shape[0] as number;
    const count = positions(patches) / images;
    const rows = positions(bank);
    const quads = channelQuads(bank);
    const peaks = scratch('bank_score.peaks', [images, 2]);
    const fromRow = scratch('bank_score.from_row', [images, rows]);
    return [
      {
        kernel: { module: 'bank_score', entry: 'peak' },
        bindings: { distance, row, peaks },
        uniforms: { count },
        workgroups: [images, 1, 1],
        writes: ['peaks'],
      },
      {
        kernel: { module: 'bank_score', entry: 'distances' },
        bindings: { bank, peaks, from_row: fromRow },
        uniforms: { rows, quads, total: images * rows },
        workgroups: threads(images * rows),
        writes: ['from_row'],
        flops: 12 * images * rows * quads,
      },
      {
        kernel: { module: 'bank_score', entry: 'weigh' },
        bindings: { patches, bank, distance, peaks, from_row: fromRow, score: need(outputs, 'score') },
        uniforms: { rows, quads, neighbours },
        workgroups: [images, 1, 1],
        writes: ['score'],
      },
    ];
  },
};

/**
 * The score of each image (Roth et al., 2022, https://arxiv.org/abs/2106.08265, equation 7): the largest
 * distance d of a patch from the bank, times 1 - exp(d) / sum of exp(d_i), where d_i are the distances of
 * that patch from the rows nearest to its row, that row among them.
 *
 * @param patches [N,H,W,C]
 * @param bank [M,C], `channels`
 * @param nearest what {@link nearestRows} gave
 * @param neighbours how many rows, 1 to 64 and at most M; with one the score is d
 * @returns [N]
 */
export function bankScore(
  tape: Tape,
  patches: Tensor,
  bank: Tensor,
  nearest: { readonly distance: Tensor; readonly row: Tensor },
  neighbours: number,
): Tensor {
  const inputs = { patches, bank, distance: nearest.distance, row: nearest.row };
  return tape.record(bankScoreDefinition, inputs, { neighbours }).score as Tensor;
}
