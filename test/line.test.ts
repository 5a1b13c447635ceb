/** What the page's line view decides without a browser: when something lies still, names, counts, the log. */
import { describe, expect, test } from 'vitest';
import { counted, type Judged, logLines, pictureName, stampOf } from '../app/judged.ts';
import { LineLog } from '../app/line_log.ts';
import { difference, Stillness, stillnessSize } from '../app/stillness.ts';

const cells = stillnessSize.width * stillnessSize.height;

/** A grey picture with a part: a square of `side` values at `x`. */
function scene(x?: number, { background = 100, part = 200, side = 6, noise = 0 } = {}): Uint8Array {
  const picture = new Uint8Array(cells).map((_, i) => background + ((i * 7919) % (noise + 1)));
  if (x !== undefined)
    for (let row = 4; row < 4 + side; row++)
      picture.fill(part, row * stillnessSize.width + x, row * stillnessSize.width + x + side);
  return picture;
}

/** Shows pictures ten times a second; the moments, in pictures, at which a judgement is asked for. */
function judgedAt(stillness: Stillness, pictures: readonly Uint8Array[], start = 0): number[] {
  return pictures.flatMap((picture, i) => (stillness.add(picture, 100 * (start + i)) ? [start + i] : []));
}
const repeat = (picture: () => Uint8Array, count: number) => Array.from({ length: count }, picture);

describe('stillness', () => {
  test('the difference is that of the values that differ most', () => {
    expect(difference(scene(), scene())).toBe(0);
    expect(difference(scene(), scene(3))).toBe(100);
    // 3 of 12 values differ by 80.
    const other = scene();
    for (const i of [0, 1, 2]) other[i] = 180;
    expect(difference(scene(), other)).toBe(20);
  });

  test('a part is judged once, 400 ms after it came to rest; what lay there at the start is not', () => {
    const stillness = new Stillness();
    expect(judgedAt(stillness, repeat(scene, 20))).toEqual([]);
    const comes = [scene(2), scene(6), scene(10)];
    expect(judgedAt(stillness, [...comes, ...repeat(() => scene(10), 20)], 20)).toEqual([26]);
  });

  test('the next part is judged too, in the same place, and noise is no movement', () => {
    const stillness = new Stillness();
    const noisy = (x?: number) => () => scene(x, { noise: 5 });
    const stream = [
      ...repeat(scene, 5),
      ...repeat(noisy(10), 10),
      scene(20, { side: 12 }),
      ...repeat(noisy(10), 10),
    ];
    expect(judgedAt(stillness, stream)).toHaveLength(2);
  });

  test('the empty place is not judged where it is known, nor when its light creeps', () => {
    const stillness = new Stillness();
    const cycle = (light: number) => [
      ...repeat(() => scene(undefined, { background: light }), 6),
      scene(2, { background: light }),
      ...repeat(() => scene(10, { background: light }), 6),
      scene(18, { background: light }),
    ];
    judgedAt(stillness, [scene(), scene()]);
    stillness.setEmpty(scene());
    const lights = Array.from({ length: 12 }, (_, i) => 100 + 4 * i);
    expect(judgedAt(stillness, lights.flatMap(cycle), 2)).toHaveLength(lights.length);
    const blind = new Stillness();
    // Without that knowledge each empty place that comes to rest after a part counts as well.
    expect(judgedAt(blind, lights.flatMap(cycle)).length).toBeGreaterThan(lights.length);
  });
});

const frame = (number: number, anomalous: boolean | null, score: number | null = 0.25): Judged => ({
  number,
  time: new Date(2026, 10, 27, 8, 5, 3, 7),
  result: {
    score: 1.5,
    map: new Float32Array(1),
    width: 1,
    height: 1,
    milliseconds: { decode: 0, detect: 1 },
  },
  score,
  anomalous,
});

describe('judgements', () => {
  test('stamps sort as time does and are names of files; pictures say the verdict', () => {
    expect(stampOf(frame(1, true).time)).toBe('2026-11-27T08-05-03.007');
    expect(pictureName(frame(1, true, 0.71))).toBe('2026-11-27T08-05-03.007 NOK 0.710.png');
    expect(pictureName(frame(1, false))).toBe('2026-11-27T08-05-03.007 OK 0.250.png');
    expect(pictureName(frame(1, null, null))).toBe('2026-11-27T08-05-03.007 no limit 1.500.png');
  });

  test('what has no verdict counts as neither', () => {
    const counts = [true, false, false, null].reduce((sum, anomalous) => counted(sum, { anomalous }), {
      judged: 0,
      good: 0,
      bad: 0,
    });
    expect(counts).toEqual({ judged: 4, good: 2, bad: 1 });
  });

  test('lines of the log, with and without their head', () => {
    const lines = [{ frame: frame(3, true, 0.75), picture: 'a.png' }];
    const line = `${frame(3, true).time.toISOString()},3,1.5,0.75,anomalous,a.png\n`;
    expect(logLines(lines, true)).toBe(`time,number,raw_score,pred_score,pred_label,picture\n${line}`);
    expect(logLines(lines, false)).toBe(line);
    expect(logLines([{ frame: frame(1, null, null), picture: null }], false)).toMatch(/,1,1.5,,,\n$/);
  });
});

/** A folder as browsers give it, in memory; `full` lets nothing more in. */
function folder() {
  const files = new Map<string, string>();
  const state = { full: false };
  const handle = {
    name: 'shift',
    async getFileHandle(name: string) {
      return {
        getFile: async () => new Blob([files.get(name) ?? '']),
        async createWritable({ keepExistingData = false } = {}) {
          let text = keepExistingData ? (files.get(name) ?? '') : '';
          let at = 0;
          return {
            async seek(position: number) {
              at = position;
            },
            async write(data: string | Blob) {
              if (state.full) throw new Error('the disk is full');
              const added = typeof data === 'string' ? data : await data.text();
              text = text.slice(0, at) + added + text.slice(at + added.length);
            },
            async close() {
              files.set(name, text);
            },
          };
        },
      };
    },
  };
  return { files, state, handle: handle as unknown as FileSystemDirectoryHandle };
}

describe('the log', () => {
  const picture = () => Promise.resolve(new Blob(['pixels']));

  test('grows in the folder line by line after what was there before, pictures beside it', async () => {
    const { files, handle } = folder();
    const log = new LineLog((error) => {
      throw error;
    });
    log.add(frame(1, false), undefined);
    log.writeTo(handle);
    log.add(frame(2, true), picture());
    log.add(frame(3, false), undefined);
    await log.written();
    const [name, text] = [...files].find(([name]) => name.endsWith('.csv')) as [string, string];
    expect(name).toMatch(/^log 2\d{3}-/);
    expect(text).toBe(log.csv());
    expect(text.split('\n').map((line) => line.split(',')[1])).toEqual(['number', '1', '2', '3', undefined]);
    expect(files.get(pictureName(frame(2, true)))).toBe('pixels');
    expect(files.size).toBe(2);
  });

  test('a folder that takes nothing more is said once, and the log goes on in the tab', async () => {
    const { files, state, handle } = folder();
    const said: unknown[] = [];
    const log = new LineLog((error) => said.push((error as Error).message));
    log.writeTo(handle);
    log.add(frame(1, true), picture());
    await log.written();
    state.full = true;
    log.add(frame(2, true), picture());
    log.add(frame(3, true), picture());
    await log.written();
    expect(said).toEqual(['the disk is full']);
    expect(log.folder).toBeUndefined();
    expect(log.length).toBe(3);
    const written = [...files].find(([name]) => name.endsWith('.csv'))?.[1] ?? '';
    expect(log.csv().startsWith(written)).toBe(true);
    expect(written.trim().split('\n')).toHaveLength(2);
  });

  test('before the first judgement the folder gets a head alone', async () => {
    const { files, handle } = folder();
    const log = new LineLog(() => {});
    log.writeTo(handle);
    await log.written();
    expect([...files.values()]).toEqual(['time,number,raw_score,pred_score,pred_label,picture\n']);
  });
});
