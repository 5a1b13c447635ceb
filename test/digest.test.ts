/** The digest inside of safetensors files: one changed bit anywhere is noticed. */
import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { readWithDigest, verifyDigest, writeWithDigest } from '../src/weights/digest.ts';
import { readSafetensors, writeSafetensors } from '../src/weights/safetensors.ts';

const tensors = new Map([
  ['a', { shape: [2, 2], values: Float32Array.from([1, -0, 3, 1e-7]) }],
  ['b', { shape: [3], values: Float32Array.from([1, 2, 3]), type: 'F16' as const }],
]);
const metadata = { format: 'x', detector: JSON.stringify({ name: '"sha256":"' }) };

describe('digest', () => {
  test('they are the SHA-256 of the data, and of the head with zeros in its place', async () => {
    const bytes = await writeWithDigest(tensors, metadata);
    expect(await writeWithDigest(tensors, metadata)).toEqual(bytes);
    const file = await readWithDigest(bytes, 'm');
    expect(file.metadata).toMatchObject(metadata);
    expect(file.tensors.get('a')?.values).toEqual(tensors.get('a')?.values);
    const length = 8 + Number(new DataView(bytes.buffer).getBigUint64(0, true));
    const digest = file.metadata.head_sha256 as string;
    const head = Buffer.from(
      Buffer.from(bytes.subarray(0, length)).toString().replace(digest, '0'.repeat(64)),
    );
    expect(createHash('sha256').update(head).digest('hex')).toBe(digest);
    expect(createHash('sha256').update(bytes.subarray(length)).digest('hex')).toBe(file.metadata.data_sha256);
  });

  test("reading leaves the caller's bytes as they are, a Buffer's too", async () => {
    const bytes = await writeWithDigest(tensors, metadata);
    const buffer = Buffer.from(bytes);
    for (let i = 0; i < 2; i++) await readWithDigest(buffer, 'm');
    expect(new Uint8Array(buffer)).toEqual(bytes);
  });

  test('every single flipped bit is an error', async () => {
    const bytes = await writeWithDigest(tensors, metadata);
    for (let bit = 0; bit < 8 * bytes.length; bit++) {
      const damaged = bytes.slice();
      damaged[bit >> 3] = (damaged[bit >> 3] as number) ^ (1 << (bit & 7));
      await expect(readWithDigest(damaged, 'm'), `bit ${bit}`).rejects.toThrow(/^m: /);
    }
  });

  test('a digest that was removed, doubled or belongs to another file is an error', async () => {
    const bytes = await writeWithDigest(tensors, metadata);
    const { metadata: written } = readSafetensors(bytes);
    const { head_sha256: sha256, data_sha256: data, ...rest } = written;
    await expect(readWithDigest(writeSafetensors(tensors, rest), 'm')).rejects.toThrow(
      'm: the file has no SHA-256',
    );
    for (const half of [
      { head_sha256: sha256 },
      { data_sha256: data },
      { head_sha256: data, data_sha256: data },
    ])
      await expect(
        readWithDigest(writeSafetensors(tensors, { ...rest, ...half } as Record<string, string>), 'm'),
      ).rejects.toThrow('m: the file is damaged');
    const other = new Map([...tensors, ['c', { shape: [1], values: new Float32Array(1) }]]);
    await expect(readWithDigest(writeSafetensors(other, written), 'm')).rejects.toThrow(
      'm: the file is damaged',
    );
    const swapped = new Map([...tensors].reverse());
    await expect(readWithDigest(writeSafetensors(swapped, written), 'm')).rejects.toThrow(
      'm: the file is damaged',
    );
    expect(sha256).toMatch(/^[0-9a-f]{64}$/);
  });

  test('rewriting replaces the digest; files without one are told apart', async () => {
    const bytes = await writeWithDigest(tensors, metadata);
    const { metadata: written } = readSafetensors(bytes);
    const again = await writeWithDigest(tensors, { ...written, format: 'y' });
    expect((await readWithDigest(again, 'm')).metadata.format).toBe('y');
    const foreign = writeSafetensors(tensors, { format: 'pt' });
    expect(await verifyDigest(foreign, { format: 'pt' }, 'm')).toBe(false);
    expect(await verifyDigest(bytes, written, 'm')).toBe(true);
  });
});
