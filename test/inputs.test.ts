/**
 * Reading of files: what is no regular file, what cannot be read, folders that lead back to themselves, many
 * and large ones.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ByteBudget, mapAhead, mapConcurrently } from '../src/base/concurrently.ts';
import { append, rangeOf } from '../src/base/lists.ts';
import { RandomStream } from '../src/base/random.ts';
import { findImages } from '../src/cli/find_images.ts';
import { textureSource, texturesOf } from '../src/cli/textures.ts';
import { ImageCache } from '../src/data/image_cache.ts';
import { blendTiles, TileBlender, tileGrid } from '../src/data/tiles.ts';
import { loadTrainingImages } from '../src/data/training_images.ts';
import { reading, UnreadableFiles } from '../src/data/unreadable.ts';
import { largestBlob } from '../src/eval/blobs.ts';
import { resizeBilinear } from '../src/image/resize.ts';
import {
  decodedBytes,
  decodeImage,
  encodePng,
  exists,
  listFolder,
  loadResized,
  openBands,
  readBytes,
} from '../src/platform/node.ts';
import { synthesizeAnomaly } from '../src/synthetic/anomaly.ts';
import { bundle } from './support/bundle.ts';
import { imageFolder, imageSet } from './support/image_set.ts';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'aand-inputs-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A picture of random bytes. */
function picture(seed: number, width = 24, height = width) {
  const random = new RandomStream('picture', seed);
  return {
    width,
    height,
    channels: 3 as const,
    data: Uint8Array.from({ length: width * height * 3 }, () => random.integer(0, 255)),
  };
}

describe('only regular files are read', () => {
  test('a pipe, a device, a folder, broken and looping links, an empty file are named, at once', async () => {
    const at = (name: string) => join(folder, `kinds-${name}`);
    spawnSync('mkfifo', [at('pipe.png')]);
    symlinkSync('/dev/zero', at('zero.png'));
    mkdirSync(at('folder.png'));
    symlinkSync(at('nowhere'), at('broken.png'));
    symlinkSync(at('loop.png'), at('loop.png'));
    writeFileSync(at('empty.png'), '');
    for (const [name, reason] of [
      ['pipe.png', 'a named pipe, not a file'],
      ['zero.png', 'a device, not a file'],
      ['folder.png', 'a folder, not a file'],
      ['broken.png', 'no such file'],
      ['loop.png', 'a link that leads back to itself'],
      ['empty.png', 'the file is empty (0 bytes)'],
    ] as const)
      await expect(readBytes(at(name)), name).rejects.toThrow(`${at(name)}: ${reason}`);
    await expect(readBytes(join(at('empty.png'), 'inner.png'))).rejects.toThrow(
      'a part of the path is not a folder',
    );
  });

  test('a folder that may not be listed is an error, a missing one is empty', async () => {
    expect(await listFolder(join(folder, 'missing'))).toEqual([]);
    expect(await exists(join(folder, 'missing'))).toBeUndefined();
    symlinkSync('round', join(folder, 'round'));
    await expect(listFolder(join(folder, 'round'))).rejects.toThrow(
      'round: a link that leads back to itself',
    );
    await expect(exists(join(folder, 'round'))).rejects.toThrow('round: a link that leads back to itself');
  });
});

describe('textures from a folder', () => {
  test('are decoded when they are wanted, keep within their bound, and give the same samples', async () => {
    const root = join(folder, 'textures');
    mkdirSync(root);
    const pictures = [0, 1, 2, 3, 4].map((seed) => picture(seed, 30 + seed, 20));
    const bytes = await Promise.all(pictures.map(encodePng));
    for (const [i, data] of bytes.entries()) writeFileSync(join(root, `${i}.png`), data);
    const size = 32;
    const source = await textureSource(root, size);
    expect([source.count, source.name]).toEqual([5, '5 images']);
    const all = createHash('sha256');
    for (const data of bytes) all.update(createHash('sha256').update(data).digest());
    expect(source.digest).toBe(all.digest('hex'));

    // In memory for two of them; every answer is the whole picture's.
    const paths = pictures.map((_, i) => join(root, `${i}.png`));
    const small = texturesOf(paths, '', size, 2 * size * size * 3);
    const native = {
      name: '',
      count: 5,
      digest: '',
      texture: (index: number) => pictures[index] as (typeof pictures)[0],
    };
    for (let i = 0; i < 20; i++) {
      const values = new Float32Array(size * size * 3).fill(0.5);
      const one = await synthesizeAnomaly(values, size, undefined, small, new RandomStream('same', i));
      const other = await synthesizeAnomaly(values, size, undefined, native, new RandomStream('same', i));
      expect(one).toEqual(other);
    }
    // Kept ones outlive their files, the others are read again.
    expect(await small.texture(0)).toEqual(resizeBilinear(pictures[0] as (typeof pictures)[0], size, size));
    await small.texture(1);
    rmSync(paths[0] as string);
    rmSync(paths[2] as string);
    expect(await small.texture(0)).toEqual(resizeBilinear(pictures[0] as (typeof pictures)[0], size, size));
    await expect(small.texture(2)).rejects.toThrow(`${paths[2]}: no such file`);
    expect((await decodeImage(bytes[1] as Uint8Array, '1')).data).toEqual(pictures[1]?.data);
  });
});

describe('folders of images', () => {
  const collect = (options = {}) => {
    const told: string[] = [];
    return { told, unreadable: new UnreadableFiles({ ...options, onFile: ({ path }) => told.push(path) }) };
  };

  test('each real folder and file counts once, under its own name; what is no image is named or left out', async () => {
    const root = join(folder, 'walk');
    mkdirSync(join(root, 'b/inner'), { recursive: true });
    mkdirSync(join(root, '.hidden'));
    mkdirSync(join(root, 'empty.png'));
    for (const name of ['z.png', 'b/x.png', 'b/inner/y.JPG', '.hidden/h.png', 'notes.txt', '._z.png'])
      writeFileSync(join(root, name), 'x');
    symlinkSync('.', join(root, 'a-loop'));
    symlinkSync('..', join(root, 'b/inner/up'));
    symlinkSync('b', join(root, 'a-link'));
    symlinkSync('z.png', join(root, 'a.png'));
    symlinkSync('nowhere.png', join(root, 'broken.png'));
    const { told, unreadable } = collect();
    const found = await findImages([root, join(root, 'b')], unreadable);
    // A broken link is found out where it is read.
    expect(found).toEqual(
      ['b/inner/y.JPG', 'b/x.png', 'broken.png', 'z.png'].map((name) => join(root, name)),
    );
    expect(told).toEqual([join(root, 'empty.png')]);
  });

  test('inputs that are missing or hold nothing are named, the others are found; nothing at all is an error', async () => {
    const root = join(folder, 'inputs');
    mkdirSync(join(root, 'bare'), { recursive: true });
    writeFileSync(join(root, 'a.png'), 'x');
    const at = (name: string) => join(root, name);
    const { told, unreadable } = collect({ separate: true });
    expect(await findImages([at('gone.png'), at('a.png'), at('bare'), at('a.png')], unreadable)).toEqual([
      at('a.png'),
    ]);
    expect(told).toEqual([at('gone.png'), at('bare')]);
    expect(unreadable.summary).toMatch(/^2 files could not be read and were left out/);
    await expect(findImages([at('gone.png')], collect().unreadable)).rejects.toThrow(
      `${at('gone.png')}: no such file or folder`,
    );
    const both = collect({ separate: true });
    await expect(findImages([at('gone.png'), at('gone2.png')], both.unreadable)).rejects.toThrow(
      'there are no images to read: 2 files',
    );
    await expect(
      findImages([at('a.png'), at('gone.png')], collect({ strict: true }).unreadable),
    ).rejects.toThrow(`${at('gone.png')}: no such file or folder`);
  });
});

describe('files that cannot be read', () => {
  test('are counted once each, up to a limit; then something else is wrong', () => {
    const bad = (i: number) => new Error(`${i}.png: damaged`);
    const fill = (unreadable: UnreadableFiles, total: number) => {
      unreadable.expect(total);
      for (let i = 0; ; i++) unreadable.add(`${i}.png`, bad(i));
    };
    // Of 8: half; of 60: ten; of 500: a tenth; each for itself: ten at least.
    for (const [total, separate, limit] of [
      [1, false, 1],
      [8, false, 4],
      [60, false, 10],
      [500, false, 50],
      [8, true, 10],
      [500, true, 50],
    ] as const)
      expect(() => fill(new UnreadableFiles({ separate }), total)).toThrow(
        `${limit + 1} of ${total} files cannot be read, the last is ${limit}.png (damaged)`,
      );
    const unreadable = new UnreadableFiles();
    unreadable.expect(3);
    unreadable.add('a.png', new Error('a.png: the file is empty (0 bytes)'));
    unreadable.add('a.png', new Error('again'));
    expect(unreadable.files).toEqual([{ path: 'a.png', reason: 'the file is empty (0 bytes)' }]);
    expect(() => unreadable.finish()).toThrow('1 file could not be read and was left out');
    expect(() => new UnreadableFiles().finish()).not.toThrow();
    const strict = new UnreadableFiles({ strict: true });
    strict.expect(100);
    expect(() => strict.add('a.png', bad(1))).toThrow('1.png: damaged');
  });

  test('only errors of reading are skipped', async () => {
    const unreadable = new UnreadableFiles();
    unreadable.expect(2);
    const failing = () => Promise.reject(new Error('a.png: no'));
    expect(await unreadable.skip(() => reading('a.png', failing))).toBeUndefined();
    await expect(unreadable.skip(failing)).rejects.toThrow('a.png: no');
    expect(unreadable.files).toEqual([{ path: 'a.png', reason: 'no' }]);
  });

  test('training images: unreadable ones are left out, the order stays', async () => {
    const root = join(folder, 'training');
    mkdirSync(root);
    const samples = [];
    for (const i of [0, 1, 2, 3]) {
      const path = join(root, `${i}.png`);
      writeFileSync(path, i === 1 ? 'no image' : await encodePng(picture(i, 32)));
      samples.push({ path, stem: String(i), defect: 'good' });
    }
    const unreadable = new UnreadableFiles();
    for (const rule of [{ kind: 'none' }, { kind: 'disc' }] as const) {
      const data = await loadTrainingImages(samples, 32, { foreground: rule, unreadable });
      expect(data.samples.map(({ stem }) => stem)).toEqual(['0', '2', '3']);
      expect(data.images.map(({ data }) => data)).toEqual([0, 2, 3].map((seed) => picture(seed, 32).data));
      expect(data.foregrounds?.length).toBe(rule.kind === 'none' ? undefined : 3);
    }
    expect(unreadable.files.map(({ path }) => path)).toEqual([samples[1]?.path]);
    await expect(loadTrainingImages(samples, 32, { foreground: { kind: 'none' } })).rejects.toThrow(
      '1.png: cannot be',
    );
    const none = new UnreadableFiles();
    await expect(
      loadTrainingImages(samples.slice(1, 2), 32, { foreground: { kind: 'none' }, unreadable: none }),
    ).rejects.toThrow('none of the 1 training images can be read');
  });
});

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
    expect(largestBlob(map, side, side, calibration).box).toEqual([0, 2, 3, 1]);
  });

  test('no source spreads a list of unknown length into arguments', () => {
    const found = spawnSync('grep', ['-rnE', '(Math\\.(min|max)|\\.push)\\(\\.\\.\\.', 'src', 'app'], {
      encoding: 'utf8',
    }).stdout;
    // Lists of a handful: channels of a colour, inputs of an operation, bytes of a name.
    const short =
      /\.\.\.(background|border|(a|found|components)\.map)|torch_writer|plan\/parts\.ts|lists\.ts|bench_view/;
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
