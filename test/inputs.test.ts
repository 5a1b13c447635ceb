/** Reading of files: what is no regular file, what cannot be read, folders that lead back to themselves, many and large ones. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { textureSource, texturesOf } from '../src/cli/textures.ts';
import { resizeBilinear } from '../src/data/resize.ts';
import { RandomStream } from '../src/engine/random.ts';
import { decodeImage, encodePng, exists, listFolder, readBytes } from '../src/platform/node.ts';
import { synthesizeAnomaly } from '../src/synthetic/anomaly.ts';

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
    await expect(readBytes(join(at('empty.png'), 'inner.png'))).rejects.toThrow('a part of the path is not a folder');
  });

  test('a folder that may not be listed is an error, a missing one is empty', async () => {
    expect(await listFolder(join(folder, 'missing'))).toEqual([]);
    expect(await exists(join(folder, 'missing'))).toBeUndefined();
    symlinkSync('round', join(folder, 'round'));
    await expect(listFolder(join(folder, 'round'))).rejects.toThrow('round: a link that leads back to itself');
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
