/** Memory of long use (`npm run test:soak`): it may rise at first, while caches fill, and then it is flat. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Soak, type SoakKind, slope } from '../support/soak.ts';

let soak: Soak;
const lines: string[] = [];
beforeAll(async () => {
  soak = await Soak.prepare();
});
afterAll(() => {
  soak[Symbol.dispose]();
  const head = ['use', 'operations', 'start MB', 'end MB', 'highest MB', 'slope, MB per 100'];
  console.log([row(head), row(head.map(() => '---')), ...lines].join('\n'));
});

function row(cells: readonly (string | number)[]): string {
  return `| ${cells.join(' | ')} |`;
}

describe('memory is flat over', () => {
  // MB per 100 operations that the second half may rise by. Before, a prediction kept its map, an engine 200
  // to 400, a batch size 8000.
  test.each<[SoakKind, number, number, number]>([
    ['predictions', 2000, 20, 1],
    ['detectors', 200, 4, 10],
    ['engines', 200, 4, 30],
    ['empty engines', 200, 4, 5],
    ['batch sizes', 50, 1, 40],
  ])('%s: %i operations', async (kind, operations, every, most) => {
    const result = await soak.run(kind, operations, every, 1_200_000);
    const { megabytes } = result;
    const rise = slope(result, every);
    const [start, end] = [megabytes[0] as number, megabytes.at(-1) as number];
    const figures = [start, end, Math.max(...megabytes)].map((value) => value.toFixed(0));
    lines.push(row([kind, operations, ...figures, rise.toFixed(2)]));
    expect(megabytes).toHaveLength(operations / every);
    expect(result.scores).toBe(kind === 'empty engines' ? 0 : 1);
    expect(rise).toBeLessThan(most);
  });
});
