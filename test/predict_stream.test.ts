/** The order in which a stream of photographs is worked on, without a device. */
import { describe, expect, test } from 'vitest';
import { reading, UnreadableFiles } from '../src/data/unreadable.ts';
import type { Detector, Prediction } from '../src/detector/detector.ts';
import { type PredictOne, predictStream } from '../src/session/predict_stream.ts';

interface Photograph {
  readonly path: string;
}

const detector = (tiling?: object) => ({ settings: { tiling } }) as unknown as Detector;
const photographs = Array.from({ length: 7 }, (_, i): Photograph => ({ path: `${i}.png` }));
const turn = () => new Promise((resolve) => setTimeout(resolve));

/** Predictions that end when they are told to; `log` says what began and what ended. */
function manual() {
  const log: string[] = [];
  const waiting = new Map<string, { end: () => void; fail: (error: Error) => void }>();
  const predict: PredictOne<Photograph> = (_, { path }) => {
    log.push(`begin ${path}`);
    return new Promise<Prediction>((resolve, reject) => {
      const end = () => {
        log.push(`end ${path}`);
        resolve({ score: Number.parseInt(path, 10) } as Prediction);
      };
      waiting.set(path, { end, fail: reject });
    });
  };
  const of = (i: number) => waiting.get(`${i}.png`) as NonNullable<ReturnType<typeof waiting.get>>;
  return { log, predict, of };
}

const ports = () => ({ unreadable: new UnreadableFiles({ separate: true }) });

describe('a stream of predictions', () => {
  test('works on four photographs at once, never on five, and gives them in order', async () => {
    const { log, predict, of } = manual();
    const scores: number[] = [];
    const done = (async () => {
      for await (const { prediction } of predictStream(detector(), photographs, predict, ports()))
        scores.push(prediction.score);
    })();
    await turn();
    expect(log).toEqual([0, 1, 2, 3].map((i) => `begin ${i}.png`));
    // The second is ready first, and waits.
    of(1).end();
    await turn();
    expect(scores).toEqual([]);
    expect(log.slice(4)).toEqual(['end 1.png']);
    of(0).end();
    await turn();
    expect(scores).toEqual([0, 1]);
    expect(log.slice(6)).toEqual(['begin 4.png', 'begin 5.png']);
    for (const i of [2, 3, 4, 5, 6]) {
      of(i).end();
      await turn();
    }
    await done;
    expect(scores).toEqual([0, 1, 2, 3, 4, 5, 6]);
  });

  test('of a model with tiles works on one photograph at a time', async () => {
    const { log, predict, of } = manual();
    const stream = predictStream(
      detector({ size: 64, overlap: 0 }),
      photographs.slice(0, 2),
      predict,
      ports(),
    );
    const first = stream.next();
    await turn();
    expect(log).toEqual(['begin 0.png']);
    of(0).end();
    expect((await first).value?.index).toBe(0);
    const second = stream.next();
    await turn();
    of(1).end();
    expect((await second).value?.index).toBe(1);
    expect((await stream.next()).done).toBe(true);
  });

  test('gives a prediction although the next photograph does not come, and ends without it', async () => {
    const { predict, of } = manual();
    async function* camera() {
      yield photographs[0] as Photograph;
      await new Promise(() => {});
    }
    const stream = predictStream(detector(), camera(), predict, ports());
    const first = stream.next();
    await turn();
    of(0).end();
    expect((await first).value?.prediction.score).toBe(0);
    expect((await stream.return()).done).toBe(true);
  });

  test('tells errors in the order of the photographs', async () => {
    const { predict, of } = manual();
    const stream = predictStream(detector(), photographs, predict, ports());
    const first = stream.next();
    await turn();
    of(1).fail(new Error('the second failed'));
    await turn();
    of(0).end();
    expect((await first).value?.index).toBe(0);
    await expect(
      Promise.all([
        stream.next(),
        turn().then(() => {
          for (const i of [2, 3]) of(i).end();
        }),
      ]),
    ).rejects.toThrow('the second failed');
  });

  test('counts unreadable photographs in their order and reports progress', async () => {
    const done: number[] = [];
    const predict: PredictOne<Photograph> = async (_, { path }) => {
      if (path === '0.png') await turn();
      if (path < '2') return reading(path, () => Promise.reject(new Error('no such file')));
      return { score: 1 } as Prediction;
    };
    const given = [photographs[3], photographs[0], photographs[1], photographs[4]] as Photograph[];
    const told: string[] = [];
    const files = new UnreadableFiles({ separate: true, onFile: ({ path }) => told.push(path) });
    files.expect(40);
    const stream = predictStream(detector(), given, predict, {
      unreadable: files,
      onProgress: (count) => done.push(count),
    });
    const seen: number[] = [];
    for await (const { index } of stream) seen.push(index);
    expect(seen).toEqual([0, 3]);
    expect(told).toEqual(['0.png', '1.png']);
    expect(done).toEqual([1, 2, 3, 4]);
  });

  test('an error of the source comes after what it gave before', async () => {
    const { predict, of } = manual();
    async function* broken() {
      yield photographs[0] as Photograph;
      throw new Error('the folder is gone');
    }
    const stream = predictStream(detector(), broken(), predict, ports());
    const first = stream.next();
    await turn();
    of(0).end();
    expect((await first).value?.index).toBe(0);
    await expect(stream.next()).rejects.toThrow('the folder is gone');
  });

  test('who stops early waits for what is under way', async () => {
    const { log, predict, of } = manual();
    const stream = predictStream(detector(), photographs, predict, ports());
    const first = stream.next();
    await turn();
    of(0).end();
    await first;
    const stopped = stream.return().then(() => log.push('stopped'));
    await turn();
    expect(log.at(-1)).not.toBe('stopped');
    for (const i of [1, 2, 3]) of(i).end();
    await stopped;
    expect(log.slice(-2)).toEqual(['end 3.png', 'stopped']);
  });
});
