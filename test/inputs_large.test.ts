/** Many files, large images, and signals that end a command while it reads. */
import { spawn, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { beforeAll, describe, expect, test } from 'vitest';
import { ByteBudget, mapAhead, mapConcurrently } from '../src/base/concurrently.ts';
import { append, rangeOf } from '../src/base/lists.ts';
import { RandomStream } from '../src/base/random.ts';
import { ImageCache } from '../src/data/image_cache.ts';
import { blendTiles, TileBlender, tileGrid } from '../src/data/tiles.ts';
import { largestBlob } from '../src/eval/blobs.ts';
import { maskOf } from '../src/eval/thresholds.ts';
import {
  decodedBytes,
  decodeImage,
  encodePng,
  loadResized,
  openBands,
  readBytes,
} from '../src/platform/node.ts';
import { bundle } from './support/bundle.ts';
import { useFolder } from './support/command.ts';
import { imageFolder, imageSet } from './support/image_set.ts';
import { picture } from './support/pictures.ts';

const folder = useFolder();

describe('many', () => {
  test('lists of 200,000 entries do not overflow the stack', () => {
    const count = 200_000;
    const numbers = Array.from({ length: count }, (_, i) => (i * 7919) % count);
    expect(rangeOf(numbers)).toEqual({ min: 0, max: count - 1 });
    const list = [-1];
    append(list, numbers);
    expect([list.length, list[1], list.at(-1)]).toEqual([count + 1, 0, numbers.at(-1)]);
    // As many separate marked pixels as a map can have.
    const side = 900;
    const map = Float32Array.from({ length: side * side }, (_, i) =>
      (i % side) % 2 === 0 && Math.floor(i / side) % 2 === 0 ? 1 : 0,
    );
    map[side * 2 + 1] = 1;
    const calibration = { threshold: 0.5, min: 0, max: 1, rule: '' };
    const marked = { map, mask: maskOf(map, calibration), width: side, height: side };
    expect(largestBlob(marked, calibration).box).toEqual([0, 2, 3, 1]);
  });

  test('no source spreads a list of unknown length into arguments', () => {
    const found = spawnSync('grep', ['-rnE', '(Math\\.(min|max)|\\.push)\\(\\.\\.\\.', 'src', 'app'], {
      encoding: 'utf8',
    }).stdout;
    // Short lists: channels of a colour, inputs of an operation, bytes of a name, entries of one query set.
    const short =
      /\.\.\.(background|border|(a|found|components)\.map)|torch_writer|plan\/parts\.ts|lists\.ts|bench_view|runtime\/profiler|kernels\/check/;
    expect(found.split('\n').filter((line) => line && !short.test(line))).toEqual([]);
  });

  test('work over a list: in order, so many at once, and no more after an error', async () => {
    const list = Array.from({ length: 40 }, (_, i) => i);
    let [now, most, begun] = [0, 0, 0];
    const work = async (item: number) => {
      begun++;
      most = Math.max(most, ++now);
      await new Promise((resolve) => setTimeout(resolve, (item * 7) % 5));
      now--;
      return 2 * item;
    };
    expect(await mapConcurrently(list, work)).toEqual(list.map((item) => 2 * item));
    expect(most).toBe(4);
    most = 0;
    const ahead: number[] = [];
    for await (const value of mapAhead(list, work, 6)) ahead.push(value);
    expect(ahead).toEqual(list.map((item) => 2 * item));
    expect(most).toBe(6);
    begun = 0;
    const failing = (item: number) => (item === 2 ? Promise.reject(new Error('two')) : work(item));
    await expect(mapConcurrently(list, failing)).rejects.toThrow('two');
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(begun).toBeLessThan(8);
  });

  test('images beyond a bound of bytes are loaded again, the last used are kept', async () => {
    const loads: number[] = [];
    const cache = new ImageCache(
      6,
      async (index) => {
        loads.push(index);
        if (index === 5) throw new Error('five');
        return picture(index, 10);
      },
      900,
    );
    for (const index of [0, 1, 2, 0, 3, 0, 1, 3]) {
      expect((await cache.image(index)).data).toEqual(picture(index, 10).data);
      expect(cache.bytes).toBeLessThanOrEqual(900);
    }
    // Three fit: 1 was used longest ago when 3 came, then 2.
    expect(loads).toEqual([0, 1, 2, 3, 1]);
    await expect(cache.image(5)).rejects.toThrow('five');
    await expect(cache.image(5)).rejects.toThrow('five');
    expect(loads).toEqual([0, 1, 2, 3, 1, 5, 5]);
  });

  test('a budget of bytes holds whatever is asked, and one larger than it works alone', async () => {
    const budget = new ByteBudget(100);
    let most = 0;
    const order: number[] = [];
    const sizes = [60, 60, 30, 250, 10, 90, 100, 5];
    await Promise.all(
      sizes.map((bytes, i) =>
        budget.run(bytes, async () => {
          order.push(i);
          const others = budget.used - bytes;
          most = Math.max(most, bytes > 100 ? others : budget.used);
          await new Promise((resolve) => setTimeout(resolve, 3));
        }),
      ),
    );
    expect(order).toEqual(sizes.map((_, i) => i));
    expect(most).toBeLessThanOrEqual(100);
    expect(budget.used).toBe(0);
    await expect(budget.run(70, () => Promise.reject(new Error('failed')))).rejects.toThrow('failed');
    expect(budget.used).toBe(0);
  });
});

describe('large images', () => {
  /** All rows of a file, some at a time. */
  async function readAll(path: string, bytes: number) {
    const bands = await openBands(path, 0, bytes);
    const data = new Uint8Array(bands.width * bands.height * 3);
    for (let y = 0; y < bands.height; y += 5) {
      const height = Math.min(8, bands.height - y);
      const band = await bands.rows(y, height);
      data.set(band.data, y * bands.width * 3);
    }
    return { width: bands.width, height: bands.height, data };
  }

  test('read in bands have the values of the whole, for every kind of file', async () => {
    let compared = 0;
    const differing: string[] = [];
    for (const { file: name } of imageSet().cases) {
      const path = join(imageFolder, name);
      const whole = await decodeImage(await readBytes(path), path).catch(() => undefined);
      if (!whole || /\.bmp$/.test(name)) continue;
      const { width, height, data } = whole;
      const found = await readAll(path, 10 * width * 3).catch((error: Error) => error.message);
      compared++;
      if (
        typeof found === 'string' ||
        Buffer.compare(found.data, data) ||
        found.width !== width ||
        found.height !== height
      )
        differing.push(`${name}: ${typeof found === 'string' ? found : 'other values'}`);
    }
    // These are refused with the reason; none has other values.
    const refused = /(cmyk|ycck).*CMYK: save it as 8-bit RGB|planar-tiled.*separate planes not supported/;
    expect(differing.filter((line) => !refused.test(line))).toEqual([]);
    expect(compared).toBeGreaterThan(100);
  });

  test('maps of tiles are blended as they come, and reduced by their largest values', () => {
    const image = { width: 300, height: 170 };
    const tiling = { size: 64, overlap: 16 };
    const tiles = tileGrid(image.width, image.height, tiling);
    const random = new RandomStream('maps');
    const maps = tiles.map(() => Float32Array.from({ length: 32 * 32 }, () => random.next()));
    const whole = blendTiles(image, tiling, maps, 32, 0.5);
    const blender = new TileBlender(image, tiling, 32, 0.5, 2000);
    for (const map of maps) blender.add(map);
    const reduced = blender.finish();
    // 150 x 85 values: by 3, to 50 x 29.
    expect([reduced.width, reduced.height]).toEqual([50, 29]);
    const expected = new Float32Array(50 * 29).fill(-1);
    whole.values.forEach((value, i) => {
      const at = Math.floor(Math.floor(i / 150) / 3) * 50 + Math.floor((i % 150) / 3);
      expected[at] = Math.max(expected[at] as number, value);
    });
    expect(reduced.values).toEqual(expected);
    expect(() => blendTiles(image, tiling, maps.slice(1), 32, 0.5)).toThrow('has no map of 32x32');
  });

  test('more pixels than are decoded as a whole: the message names tiles', async () => {
    // A header alone: 20000 x 20000 grey pixels that are not there.
    const path = join(folder, 'bomb.png');
    const [small] = [await encodePng({ width: 1, height: 1, channels: 1, data: new Uint8Array(1) })];
    const bytes = Buffer.from(small as Uint8Array);
    bytes.writeUInt32BE(20_000, 16);
    bytes.writeUInt32BE(20_000, 20);
    bytes.writeUInt32BE(crc32(bytes.subarray(12, 29)), 29);
    writeFileSync(path, bytes);
    await expect(decodedBytes(path)).rejects.toThrow(
      `${path}: 20000x20000 pixels are more than the 268402689 that are decoded as a whole; a model with tiles`,
    );
    await expect(loadResized(path, 32)).rejects.toThrow('20000x20000 pixels');
    const bands = await openBands(path);
    await expect(bands.rows(0, 64)).rejects.toThrow(`${path}: cannot be read as an image`);
  });
});

describe('signals', () => {
  let script = '';
  beforeAll(async () => {
    script = join(folder, 'interrupt.mjs');
    await bundle('src/cli/interrupt.ts', script, 'node');
  });

  /** A process that never ends by itself; resolves with its exit code and what it said. */
  async function interrupted(body: string, signals: readonly NodeJS.Signals[]) {
    const program = `import { interruptSignal } from ${JSON.stringify(script)};
      process.on('exit', () => console.log('exit handlers ran'));
      const signal = interruptSignal({ SIGTERM: 300, SIGINT: 60000 });
      setInterval(() => {}, 1000);
      ${body}
      console.log('ready');`;
    const child = spawn('node', ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    child.stdout.on('data', (data) => {
      if (!output.includes('ready') && String(data).includes('ready')) child.kill(signals[0]);
      output += data;
    });
    child.stderr.on('data', (data) => {
      output += data;
      if (String(data).includes('stopping') && signals[1]) child.kill(signals[1]);
    });
    const code = await new Promise((resolve) => child.on('close', resolve));
    return { code, output };
  }

  test('a step that never ends is not waited for after SIGTERM; the second signal ends at once', async () => {
    const waited = await interrupted('', ['SIGTERM']);
    expect(waited.code).toBe(130);
    expect(waited.output).toContain('the step took too long');
    expect(waited.output).toContain('exit handlers ran');
    const twice = await interrupted('', ['SIGINT', 'SIGINT']);
    expect(twice.code).toBe(130);
    expect(twice.output).not.toContain('too long');
    expect(twice.output).toContain('exit handlers ran');
    const heeded = await interrupted(`signal.addEventListener('abort', () => process.exit(7));`, ['SIGTERM']);
    expect(heeded.code).toBe(7);
  });
});
