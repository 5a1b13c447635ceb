/**
 * Reading of files: what is no regular file, what cannot be read, folders that lead back to themselves, many
 * and large ones.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { RandomStream } from '../src/base/random.ts';
import { findImages } from '../src/cli/find_images.ts';
import { textureSource, texturesOf } from '../src/cli/textures.ts';
import { loadTrainingImages } from '../src/data/training_images.ts';
import { reading, UnreadableFiles } from '../src/data/unreadable.ts';
import { resizeBilinear } from '../src/image/resize.ts';
import { decodeImage, encodePng, exists, listFolder, readBytes } from '../src/platform/node.ts';
import { synthesizeAnomaly } from '../src/synthetic/anomaly.ts';
import { useFolder } from './support/command.ts';
import { picture } from './support/pictures.ts';

const folder = useFolder();

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
