/** Heat maps for those who show them: colours, and outlines as shapes. */
import { describe, expect, test } from 'vitest';
import { type ColourMapName, colourMapNames, colourTable, jet } from '../src/eval/colour_maps.ts';
import { colourPixels, heatPixels, outlinesOf } from '../src/eval/heat_map.ts';

const scale = { map: { threshold: 2, min: 1, max: 5, rule: 'a test' } };

describe('colours', () => {
  const ends: Record<ColourMapName, string> = {
    jet: '0,0,128 130,255,126 128,0,0',
    turbo: '35,23,27 150,250,80 144,12,0',
    inferno: '0,0,4 188,55,84 252,255,164',
    viridis: '68,1,84 33,145,140 253,231,37',
  };
  test.each(colourMapNames)('%s begins, passes its middle and ends as published', (name) => {
    const table = colourTable(name);
    expect(table).toHaveLength(768);
    expect(
      [0, 127.5, 255]
        .map((at) => [...table.subarray(Math.round(at) * 3, Math.round(at) * 3 + 3)].join())
        .join(' '),
    ).toBe(ends[name]);
    expect(colourTable(name)).toBe(table);
  });

  test('the middle colour is the limit of a scale, and its ends are half a range away', () => {
    const { data } = heatPixels({ map: Float32Array.of(-9, 0, 2, 4, 9), width: 5, height: 1 }, scale);
    const at = (i: number) => [...data.subarray(i * 4, i * 4 + 4)];
    expect(at(2)).toEqual([...jet(128 / 255), 255]);
    expect([at(0), at(1)]).toEqual([
      [...jet(0), 255],
      [...jet(0), 255],
    ]);
    expect([at(3), at(4)]).toEqual([
      [...jet(1), 255],
      [...jet(1), 255],
    ]);
  });

  test('without a scale the map has its own range; all zeros are no division by zero', () => {
    const { data } = heatPixels({ map: Float32Array.of(0, 3), width: 2, height: 1 }, null, 'viridis');
    expect([...data]).toEqual([
      ...colourTable('viridis').subarray(0, 3),
      255,
      ...colourTable('viridis').subarray(765),
      255,
    ]);
    expect([...heatPixels({ map: new Float32Array(1), width: 1, height: 1 }, null).data]).toEqual([
      ...jet(0),
      255,
    ]);
  });

  test('what is not inspected is dark, whatever its value', () => {
    const input = { map: Float32Array.of(0, 3), width: 2, height: 1, inspected: Uint8Array.of(0, 1) };
    expect([...heatPixels(input, scale).data]).toEqual([12, 16, 20, 255, ...jet(191 / 255), 255]);
  });

  test('levels beyond 0 and 1 are cut', () => {
    expect([...colourPixels({ map: Float32Array.of(-3, 7) }, 'jet', (v) => v)]).toEqual([
      ...jet(0),
      255,
      ...jet(1),
      255,
    ]);
  });
});

/** A mask from rows of text, # for marked. */
function outlines(...rows: string[]) {
  const width = rows[0]?.length ?? 0;
  const mask = Uint8Array.from(rows.join(''), (letter) => (letter === '#' ? 1 : 0));
  return outlinesOf(mask, width, rows.length).map((outline) =>
    outline.map((corner) => corner.join()).join(' '),
  );
}

describe('outlines', () => {
  test.each<[string, string[], string[]]>([
    ['nothing', ['...', '...'], []],
    ['one pixel', ['...', '.#.'], ['2,1 2,2 1,2 1,1']],
    ['everything', ['###', '###'], ['3,0 3,2 0,2 0,0']],
    ['a form with a corner inside', ['##', '#.'], ['2,0 2,1 1,1 1,2 0,2 0,0']],
    ['two forms', ['#.#'], ['1,0 1,1 0,1 0,0', '3,0 3,1 2,1 2,0']],
    ['pixels that touch at a corner', ['#.', '.#'], ['1,0 1,1 0,1 0,0', '2,1 2,2 1,2 1,1']],
    ['the other corner', ['.#', '#.'], ['2,0 2,1 1,1 1,0', '1,1 1,2 0,2 0,1']],
    ['a hole, the other way round', ['###', '#.#', '###'], ['3,0 3,3 0,3 0,0', '2,2 2,1 1,1 1,2']],
  ])('of %s', (_, rows, expected) => {
    expect(outlines(...rows)).toEqual(expected);
  });

  test('enclose as much as is marked', () => {
    const rows = Array.from({ length: 23 }, (_, y) =>
      Array.from({ length: 31 }, (_, x) => ((x * 7 + y * 13 + x * y) % 5 < 3 ? '#' : '.')).join(''),
    );
    const area = outlinesOf(
      Uint8Array.from(rows.join(''), (letter) => (letter === '#' ? 1 : 0)),
      31,
      23,
    ).reduce((sum, outline) => {
      const shoelace = outline.map(([x, y], i) => {
        const [nextX, nextY] = outline[(i + 1) % outline.length] as readonly [number, number];
        return (x * nextY - nextX * y) / 2;
      });
      return sum + shoelace.reduce((a, b) => a + b, 0);
    }, 0);
    expect(area).toBe(rows.join('').replaceAll('.', '').length);
  });

  test('a mask of another size is refused', () => {
    expect(() => outlinesOf(new Uint8Array(5), 2, 3)).toThrow('a mask of 5 pixels is not 2 x 3 pixels large');
  });
});
