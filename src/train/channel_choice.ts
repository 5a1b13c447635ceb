/**
 * Which channels of a wide teacher a narrow one learns. Detectors measure cosine distances between features,
 * so a choice is as good as it keeps them.
 */
import { RandomStream } from '../base/random.ts';

/** Features of some positions: [rows, width]. */
export interface FeatureRows {
  readonly width: number;
  readonly values: Float32Array;
}

/** Pairs of positions whose distances are compared. */
const comparedPairs = 8192;
/** Means of channels are a harder task than channels as they are: this much better they must keep distances. */
const clearly = 0.01;

const rowsOf = ({ width, values }: FeatureRows) => values.length / width;

/** So many channels, those with the most energy, as a matrix [width, count]. */
export function strongestChannels(squares: Float64Array, count: number): Float32Array {
  const channels = [...squares.keys()]
    .sort((a, b) => (squares[b] as number) - (squares[a] as number) || a - b)
    .slice(0, count)
    .sort((a, b) => a - b);
  return matrixOf(
    squares.length,
    channels.map((channel) => [channel]),
  );
}

/** A column per group: the mean of its channels. */
function matrixOf(width: number, groups: readonly (readonly number[])[]): Float32Array {
  const matrix = new Float32Array(width * groups.length);
  for (const [to, group] of groups.entries())
    for (const from of group) matrix[from * groups.length + to] = 1 / group.length;
  return matrix;
}

/** Correlations between channels, [width, width]; zero with one that never varies. */
function correlations(rows: FeatureRows): Float64Array {
  const { width, values } = rows;
  const count = rowsOf(rows);
  const normal = Float64Array.from(values);
  for (let c = 0; c < width; c++) {
    let [sum, squares] = [0, 0];
    for (let at = c; at < normal.length; at += width) sum += normal[at] as number;
    for (let at = c; at < normal.length; at += width) squares += ((normal[at] as number) - sum / count) ** 2;
    const scale = squares > 0 ? 1 / Math.sqrt(squares) : 0;
    for (let at = c; at < normal.length; at += width)
      normal[at] = ((normal[at] as number) - sum / count) * scale;
  }
  const found = new Float64Array(width * width);
  for (let row = 0; row < normal.length; row += width)
    for (let i = 0; i < width; i++) {
      const own = normal[row + i] as number;
      for (let j = i + 1; j < width; j++)
        found[i * width + j] = (found[i * width + j] as number) + own * (normal[row + j] as number);
    }
  return found;
}

/**
 * Means of channels that go together, as a matrix [width, count]: the most correlated two become one, then the
 * most correlated two of the others, until so many are left.
 *
 * @returns nothing where pairs do not suffice
 */
export function pairedChannels(rows: FeatureRows, count: number): Float32Array | undefined {
  const { width } = rows;
  const wanted = width - count;
  if (2 * wanted > width) return undefined;
  const found = correlations(rows);
  const pairs: [number, number][] = [];
  for (let i = 0; i < width; i++) for (let j = i + 1; j < width; j++) pairs.push([i, j]);
  const of = ([i, j]: readonly [number, number]) => found[i * width + j] as number;
  pairs.sort((a, b) => of(b) - of(a));
  const taken = new Set<number>();
  const groups: number[][] = [];
  for (const [i, j] of pairs) {
    if (groups.length === wanted) break;
    if (taken.has(i) || taken.has(j)) continue;
    taken.add(i).add(j);
    groups.push([i, j]);
  }
  for (let c = 0; c < width; c++) if (!taken.has(c)) groups.push([c]);
  groups.sort(([a = 0], [b = 0]) => a - b);
  return matrixOf(width, groups);
}

/** Features of some positions behind a matrix [width, count]. */
function behind(rows: FeatureRows, matrix: Float32Array): FeatureRows {
  const { width, values } = rows;
  const count = matrix.length / width;
  const learned = new Float32Array(rowsOf(rows) * count);
  for (let row = 0; row < rowsOf(rows); row++)
    for (let from = 0; from < width; from++) {
      const value = values[row * width + from] as number;
      if (value)
        for (let to = 0; to < count; to++)
          learned[row * count + to] =
            (learned[row * count + to] as number) + value * (matrix[from * count + to] as number);
    }
  return { width: count, values: learned };
}

/** 1 - cosine between positions, of pairs that are drawn alike for every width. */
function distances(rows: FeatureRows): Float64Array {
  const { width, values } = rows;
  const random = new RandomStream('compared positions');
  return Float64Array.from({ length: comparedPairs }, () => {
    const [a, b] = [random.integer(0, rowsOf(rows) - 1), random.integer(0, rowsOf(rows) - 1)];
    let [dot, first, second] = [0, 0, 0];
    for (let c = 0; c < width; c++) {
      const [x, y] = [values[a * width + c] as number, values[b * width + c] as number];
      dot += x * y;
      first += x * x;
      second += y * y;
    }
    return first && second ? 1 - dot / Math.sqrt(first * second) : 1;
  });
}

/** How well a matrix keeps cosine distances: the correlation of those before and behind it, -1 to 1. */
export function distancesKept(rows: FeatureRows, matrix: Float32Array): number {
  const both = new Float32Array(2 * comparedPairs);
  const [before, after] = [distances(rows), distances(behind(rows, matrix))];
  for (let i = 0; i < comparedPairs; i++) {
    both[2 * i] = before[i] as number;
    both[2 * i + 1] = after[i] as number;
  }
  return correlations({ width: 2, values: both })[1] as number;
}

/**
 * The channels that a narrow teacher learns, as a matrix [width, count]: the strongest as they are, or the
 * means of pairs where these keep distances clearly better.
 *
 * @param squares sums of squares per channel
 */
export function chooseChannels(rows: FeatureRows, squares: Float64Array, count: number): Float32Array {
  const strongest = strongestChannels(squares, count);
  const paired = pairedChannels(rows, count);
  if (!paired) return strongest;
  const better = distancesKept(rows, paired) - distancesKept(rows, strongest);
  return better > clearly ? paired : strongest;
}
