/**
 * Files that are written whole or not at all, folders with a lock and a record, backups: nothing of the user
 * is lost.
 */
import { spawn } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { keepBackup } from '../src/output/backup.ts';
import { OutputFile } from '../src/output/file.ts';
import { identityText, processState, thisProcess } from '../src/platform/node/process.ts';
import { removeStaleTemporaries, writeBytes, writeError } from '../src/platform/node/write.ts';
import { useProjectFolder } from './support/command.ts';
import { goneProcess, writeProgram } from './support/processes.ts';

const root = useProjectFolder();
let folder: string;
let count = 0;
beforeEach(() => {
  folder = join(root, String(count++));
});

const names = (path = folder) => readdirSync(path).sort();
const text = (name: string) => readFileSync(join(folder, name), 'utf8');

describe('writing a file', () => {
  test('replaces it whole; folders are made; nothing else stays', async () => {
    const path = join(folder, 'a/b.txt');
    await writeBytes(path, 'first');
    await writeBytes(path, new Uint8Array([104, 105]));
    expect(readFileSync(path, 'utf8')).toBe('hi');
    expect(names(dirname(path))).toEqual(['b.txt']);
  });

  test('exclusive: what is there stays, links that lead nowhere too', async () => {
    await writeBytes(join(folder, 'a'), 'mine');
    symlinkSync('nowhere', join(folder, 'link'));
    for (const name of ['a', 'link'])
      await expect(writeBytes(join(folder, name), 'new', { exclusive: true })).rejects.toThrow(
        /exists already/,
      );
    await writeBytes(join(folder, 'b'), 'new', { exclusive: true });
    expect([text('a'), text('b'), names()]).toEqual(['mine', 'new', ['a', 'b', 'link']]);
  });

  test('many writers of one file: a reader sees one of them, whole', async () => {
    const path = join(folder, 'a');
    const texts = Array.from({ length: 20 }, (_, i) => String(i).padStart(2, '0').repeat(50_000));
    await Promise.all(texts.map((data) => writeBytes(path, data, { durable: false })));
    expect(texts).toContain(text('a'));
    expect(names()).toEqual(['a']);
  });

  test('a folder of that name, a file where a folder must be: named, and no temporary stays', async () => {
    mkdirSync(join(folder, 'a'), { recursive: true });
    writeFileSync(join(folder, 'f'), '');
    await expect(writeBytes(join(folder, 'a'), 'x')).rejects.toThrow(`${folder}/a: a folder has this name`);
    await expect(writeBytes(join(folder, 'f/x'), 'x')).rejects.toThrow(/f.*a file/);
    await expect(writeBytes(join(folder, 'f/g/x'), 'x')).rejects.toThrow(/f.*a file/);
    expect(names()).toEqual(['a', 'f']);
  });

  test('a full disk: file, size and cause', () => {
    const error = writeError('/disk/out/model.safetensors', 123_400_000, { code: 'ENOSPC' });
    expect(error.message).toBe('the disk of /disk/out is full: /disk/out/model.safetensors needs 123.4 MB');
    expect(writeError('/d/x', 1500, { code: 'EROFS' }).message).toBe('/d/x: the disk is read-only');
    expect(writeError('/d/x', 1500, { message: 'odd' }).message).toBe(
      '/d/x (1.5 kB): cannot be written (odd)',
    );
  });

  test('a device that is full in the middle of a write leaves no temporary and the older file', async () => {
    // A limit of this process's files stands for the disk: the system answers EFBIG.
    await writeBytes(join(folder, 'a'), 'older');
    await writeProgram(
      root,
      'limited.mjs',
      `import { writeBytes } from '${resolve('src/platform/node/write.ts')}';
       await writeBytes('${folder}/a', new Uint8Array(1e6)).catch((error) => console.log(error.message));`,
    );
    const limited = spawn('bash', [
      '-c',
      `trap '' XFSZ; ulimit -f 100; exec node ${join(root, 'limited.mjs')}`,
    ]);
    let output = '';
    limited.stdout.on('data', (data) => {
      output += data;
    });
    await new Promise((done) => limited.on('close', done));
    expect(output).toContain(`${folder}/a: files of 1.0 MB are too large`);
    expect([names(), text('a')]).toEqual([['a'], 'older']);
  });

  test('temporaries of the dead are removed, of the living and of others are not', async () => {
    mkdirSync(folder);
    const gone = identityText(await goneProcess());
    const foreign = identityText({ machine: '0123abcd', pid: 1, started: 5 });
    const make = (writer: string, seconds = 0) => {
      const name = `.a.${writer}-${'ab'.repeat(6)}.aand-tmp`;
      writeFileSync(join(folder, name), '');
      utimesSync(join(folder, name), Date.now() / 1000 - seconds, Date.now() / 1000 - seconds);
      return name;
    };
    const own = make(identityText(thisProcess()), 1e6);
    make(gone);
    const fresh = make(foreign, 60);
    writeFileSync(join(folder, 'notes.aand-tmp'), 'mine');
    expect(await removeStaleTemporaries(folder)).toBe(1);
    expect(names()).toEqual([own, fresh, 'notes.aand-tmp'].sort());
    // Its machine is not seen from here, but its lock was broken.
    expect(await removeStaleTemporaries(folder, foreign)).toBe(1);
    make(foreign, 3600);
    expect(await removeStaleTemporaries(folder)).toBe(1);
    expect(names()).toEqual([own, 'notes.aand-tmp'].sort());
  });
});

describe('processes', () => {
  test('this one lives; one that ended, or one with another start, is gone; another machine is not known', async () => {
    expect(processState(thisProcess())).toBe('alive');
    expect(processState(await goneProcess())).toBe('gone');
    expect(processState({ ...thisProcess(), started: thisProcess().started - 1 })).toBe('gone');
    expect(processState({ ...thisProcess(), machine: '0123abcd' })).toBe('unknown');
  });
});

describe('backups', () => {
  test('the first free number; the backup keeps what it was; links are kept as links', async () => {
    await writeBytes(join(folder, 'model.safetensors'), 'one');
    writeFileSync(join(folder, 'model.backup-1.safetensors'), 'older');
    expect(await keepBackup(join(folder, 'model.safetensors'))).toBe(
      join(folder, 'model.backup-2.safetensors'),
    );
    await writeBytes(join(folder, 'model.safetensors'), 'two');
    expect([text('model.backup-1.safetensors'), text('model.backup-2.safetensors')]).toEqual([
      'older',
      'one',
    ]);
    symlinkSync('model.safetensors', join(folder, 'link'));
    expect(await keepBackup(join(folder, 'link'))).toBe(join(folder, 'link.backup-1'));
    expect(text('link.backup-1')).toBe('two');
  });
});

describe('single files', () => {
  const file = (path: string, force = false, inputs: string[] = []) =>
    OutputFile.open(path, { command: 'aand export', force, inputs });

  test('an existing file is refused before the work, and kept as a backup with --force', async () => {
    await writeBytes(join(folder, 'a.onnx'), 'mine');
    await expect(file(join(folder, 'a.onnx'))).rejects.toThrow(
      /a\.onnx exists already: give another --out, or --force/,
    );
    {
      await using output = await file(join(folder, 'a.onnx'), true);
      await output.write('new');
    }
    expect([text('a.onnx'), text('a.backup-1.onnx'), names()]).toEqual([
      'new',
      'mine',
      ['a.backup-1.onnx', 'a.onnx'],
    ]);
  });

  test('what is read is never replaced, in any spelling; a folder is no file', async () => {
    await writeBytes(join(folder, 'm'), 'model');
    symlinkSync('m', join(folder, 'link'));
    for (const [out, input] of [
      ['m', 'm'],
      ['m', 'link'],
      ['link', 'm'],
    ])
      await expect(file(join(folder, out as string), true, [join(folder, input as string)])).rejects.toThrow(
        /is what is read/,
      );
    await expect(file(folder, true)).rejects.toThrow(/is a folder: name the file to write/);
    await expect(file(`${folder}/new/`)).rejects.toThrow(/is a folder/);
    expect(names()).toEqual(['link', 'm']);
  });

  test('a file that appears meanwhile stays; two writers of one file: the second is refused', async () => {
    await using output = await file(join(folder, 'a'));
    await expect(file(join(folder, 'a'))).rejects.toThrow(/is in use by aand export/);
    writeFileSync(join(folder, 'a'), 'mine');
    await expect(output.write('new')).rejects.toThrow(/was made by another program meanwhile/);
    expect(text('a')).toBe('mine');
  });

  test('a folder without permission is named', async () => {
    if (process.getuid?.() === 0)
      return expect(writeError('/x/a', 1, { code: 'EACCES' }).message).toMatch(/permission/);
    mkdirSync(folder);
    chmodSync(folder, 0o500);
    await expect(file(join(folder, 'a'))).rejects.toThrow(/there is no permission to write it/);
  });
});
