/**
 * Files that are written whole or not at all, folders with a lock and a record, backups: nothing of the user
 * is lost.
 */
import { spawn } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { openDataset } from '../src/data/open.ts';
import { keepBackup } from '../src/output/backup.ts';
import { OutputFile } from '../src/output/file.ts';
import { lockName, OutputFolder } from '../src/output/folder.ts';
import { OutputLock } from '../src/output/lock.ts';
import { identityText, processState, thisProcess } from '../src/platform/node/process.ts';
import { recordName, resultFinder } from '../src/platform/node/record.ts';
import { removeStaleTemporaries, writeBytes, writeError } from '../src/platform/node/write.ts';
import { bundle } from './support/bundle.ts';

// In node_modules, so that programs for other processes find packages.
const root = mkdtempSync(join(process.cwd(), 'node_modules', '.aand-output-'));
let folder: string;
let count = 0;
beforeEach(() => {
  folder = join(root, String(count++));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const names = (path = folder) => readdirSync(path).sort();
const text = (name: string) => readFileSync(join(folder, name), 'utf8');
const open = (force = false, command = 'aand test') =>
  OutputFolder.open(folder, { command, force, onBackup: () => {} });

/** A program for another process. */
async function child(name: string, source: string): Promise<string> {
  const path = join(root, name);
  writeFileSync(join(root, `${name}.ts`), source);
  await bundle(join(root, `${name}.ts`), path, 'node');
  return path;
}

/** A process that has ended. */
async function goneProcess() {
  const child = spawn('true');
  await new Promise((done) => child.on('close', done));
  return { ...thisProcess(), pid: child.pid as number };
}

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
    await child(
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

describe('locks', () => {
  const path = () => join(folder, lockName);
  const take = (wait = 0) => OutputLock.take(path(), folder, { command: 'aand train', wait });
  const holder = (changes: object = {}) => {
    mkdirSync(folder, { recursive: true });
    writeFileSync(
      path(),
      `${JSON.stringify({ command: 'aand train', host: hostname(), since: '2026-01-02T03:04:05.000Z', ...thisProcess(), ...changes })}\n`,
    );
  };
  const age = (seconds: number) =>
    utimesSync(path(), Date.now() / 1000 - seconds, Date.now() / 1000 - seconds);

  test('the second is refused at once with the holder, and free after the first is done', async () => {
    const first = await take();
    await expect(take()).rejects.toThrow(
      new RegExp(
        `^${folder} is in use by aand train \\(process ${process.pid}, since [-0-9]+ [0-9:]+ UTC\\): wait`,
      ),
    );
    await first.release();
    expect(names()).toEqual([]);
    await (await take()).release();
  });

  test('many at once: one gets it', async () => {
    const tried = await Promise.allSettled(Array.from({ length: 8 }, () => take()));
    const held = tried.filter((result) => result.status === 'fulfilled');
    expect(held).toHaveLength(1);
    await held[0]?.value.release();
  });

  test('many break the lock of a dead process: one gets it, its temporaries are gone', async () => {
    const gone = await goneProcess();
    holder(gone);
    writeFileSync(join(folder, `.m.${identityText(gone)}-${'00'.repeat(6)}.aand-tmp`), '');
    const tried = await Promise.allSettled(Array.from({ length: 8 }, () => take()));
    const held = tried.filter((result) => result.status === 'fulfilled');
    expect(held).toHaveLength(1);
    expect(names()).toEqual([lockName]);
    await held[0]?.value.release();
    expect(names()).toEqual([]);
  });

  test('a holder elsewhere: refused while the lock is touched, broken when it was not for half a minute', async () => {
    holder({ machine: '0123abcd', host: 'other' });
    age(20);
    await expect(take()).rejects.toThrow(/process \d+ on other, since 2026-01-02 03:04:05 UTC/);
    age(40);
    await (await take()).release();
    expect(names()).toEqual([]);
  }, 20_000);

  test('a lock that is not whole counts as held until it is old', async () => {
    mkdirSync(folder);
    writeFileSync(path(), '');
    await expect(take()).rejects.toThrow(/in use by another process/);
    age(40);
    await (await take()).release();
  }, 20_000);

  test('a waiting one gets it when it is free', async () => {
    const first = await take();
    const second = take(10_000);
    await first.release();
    await (await second).release();
    expect(names()).toEqual([]);
  });

  test('a process that ends without releasing leaves no lock, and one that is killed leaves one that is broken', async () => {
    const run = async (more: string) => {
      const script = await child(
        'locker.mjs',
        `import { OutputLock } from '${resolve('src/output/lock.ts')}';
         await OutputLock.take('${path()}', 'x', { command: 'child' });
         ${more}`,
      );
      await new Promise((done) => spawn('node', [script]).on('close', done));
    };
    await run('process.exit(3)');
    expect(names()).toEqual([]);
    await run("process.kill(process.pid, 'SIGKILL')");
    expect(names()).toEqual([lockName]);
    await (await take()).release();
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

describe('output folders', () => {
  test('what was written may be written again by the same command; a second run too', async () => {
    await using first = await open();
    await first.write('images/a.png', 'one');
    await first.write('images/a.png', 'two');
    await first.close();
    await using second = await open();
    await second.check(['images/a.png']);
    await second.write('images/a.png', 'three');
    expect(text('images/a.png')).toBe('three');
    expect(names(join(folder, 'images'))).toEqual(['a.png']);
  });

  test('a file of others is refused before and while writing: unknown, changed, a link, of another command', async () => {
    {
      await using output = await open();
      for (const name of ['changed', 'linked', 'kept']) await output.write(name, name);
    }
    writeFileSync(join(folder, 'changed'), 'CHANGED');
    rmSync(join(folder, 'linked'));
    writeFileSync(join(folder, 'target'), 'linked');
    symlinkSync('target', join(folder, 'linked'));
    writeFileSync(join(folder, 'unknown'), 'mine');
    const reasons = {
      changed: /changed was changed after aand test wrote it and is not replaced/,
      linked: /linked was changed after/,
      unknown: /unknown was not written by aand test and is not replaced: give another --out, or --force/,
    };
    await using output = await open();
    for (const [name, reason] of Object.entries(reasons)) {
      await expect(output.check(['new', name])).rejects.toThrow(reason);
      await expect(output.write(name, 'new')).rejects.toThrow(reason);
    }
    await output.close();
    await using other = await open(false, 'aand train');
    await expect(other.check(['kept'])).rejects.toThrow(/kept was written by aand test/);
    expect(['changed', 'linked', 'unknown', 'kept'].map(text)).toEqual(['CHANGED', 'linked', 'mine', 'kept']);
  });

  test('--force keeps a backup of a file of others; a folder is never replaced; an input never', async () => {
    mkdirSync(join(folder, 'd'), { recursive: true });
    writeFileSync(join(folder, 'photo.png'), 'mine');
    writeFileSync(join(folder, 'input.png'), 'input');
    await using output = await open(true);
    await output.write('photo.png', 'new');
    expect([text('photo.png'), text('photo.backup-1.png')]).toEqual(['new', 'mine']);
    await expect(output.check(['d'])).rejects.toThrow(/d: a folder has this name/);
    await expect(output.write('d', 'x')).rejects.toThrow(/d: a folder has this name/);
    await expect(output.check(['input.png'], [join(folder, '.', 'input.png')])).rejects.toThrow(
      /never replaced/,
    );
  });

  test('models keep their predecessor, unless it is the same', async () => {
    await using output = await open();
    for (const model of ['one', 'one', 'two'])
      await output.write('model.safetensors', model, { backup: true });
    await output.close();
    await using again = await open();
    await again.write('model.safetensors', 'three', { backup: true });
    expect(names().filter((name) => name.startsWith('model'))).toEqual([
      'model.backup-1.safetensors',
      'model.backup-2.safetensors',
      'model.safetensors',
    ]);
    expect([text('model.backup-1.safetensors'), text('model.backup-2.safetensors')]).toEqual(['one', 'two']);
  });

  test('a crash between record and file leaves the older file, which is still known', async () => {
    {
      await using output = await open();
      await output.write('a', 'one');
    }
    const [line] = text(recordName).split('\n');
    const { sha256 } = JSON.parse(line as string) as { sha256: string };
    const next = { ...JSON.parse(line as string), size: 9, sha256: '0'.repeat(64), was: sha256 };
    writeFileSync(join(folder, recordName), `${line}\n${JSON.stringify(next)}\n{"name":"b","si`);
    await using output = await open();
    await output.write('a', 'two');
    await output.write('b', 'b');
    await output.close();
    await using again = await open();
    await again.check(['a', 'b']);
    expect(text('a')).toBe('two');
  });

  test('one name for all spellings: a link to the folder, a relative path', async () => {
    await using output = await open();
    symlinkSync(folder, `${folder}-link`);
    await expect(OutputFolder.open(`${folder}-link`, { command: 'x' })).rejects.toThrow(
      /-link is in use by aand test/,
    );
    await output.write('a', '1');
  });

  test('a folder that was made for nothing is gone again; one with files stays', async () => {
    await (await open()).close();
    expect(existsSync(folder)).toBe(false);
    mkdirSync(folder);
    await (await open()).close();
    expect(names()).toEqual([]);
  });

  test('a file where the folder should be', async () => {
    writeFileSync(folder, 'mine');
    await expect(open()).rejects.toThrow(`${folder}: a file has this name, not a folder`);
    expect(readFileSync(folder, 'utf8')).toBe('mine');
  });

  test('someone took the folder over: nothing is written any more', async () => {
    await using output = await open();
    await output.write('a', 'one');
    rmSync(join(folder, lockName));
    await using other = await open();
    // The heartbeat tells within seconds.
    await new Promise((done) => setTimeout(done, 6000));
    await expect(output.write('a', 'two')).rejects.toThrow(/taken over by aand test.*ends without writing/);
    await other.write('b', 'other');
    await output.close();
    expect(names()).toContain(lockName);
  }, 20_000);

  test('results are told from photographs: by the record, also from a folder above, and not when they were replaced', async () => {
    await using output = await open();
    await output.write('sub/result.png', 'r');
    await output.write('sub/drawn.png', 'd', { data: true });
    await output.write('sub/replaced.png', 'x');
    writeFileSync(join(folder, 'sub/replaced.png'), 'y');
    writeFileSync(join(folder, 'sub/photo.png'), 'p');
    linkSync(join(folder, 'sub/result.png'), join(folder, 'sub/second.png'));
    const { isResult } = resultFinder();
    const found = ['result', 'drawn', 'replaced', 'photo', 'second'].map((name) =>
      join(folder, `sub/${name}.png`),
    );
    expect(await Promise.all(found.map(isResult))).toEqual([true, false, false, false, false]);
  });

  test('results among the photographs of a data set are no part of it', async () => {
    const photos = join(folder, 'photos');
    for (const name of ['good/a.png', 'good/b.png', 'bad/c.png']) await writeBytes(join(photos, name), name);
    await using output = await OutputFolder.open(join(photos, 'pictures'), { command: 'aand predict' });
    await output.write('a.png', 'picture');
    await output.write('bad/c.png', 'picture');
    await using among = await OutputFolder.open(join(photos, 'good'), { command: 'aand data' });
    await among.write('sheet.png', 'sheet');
    const { train, test: tested } = await openDataset(photos);
    expect([...train, ...tested].map(({ path }) => path.slice(photos.length + 1)).sort()).toEqual([
      'bad/c.png',
      'good/a.png',
      'good/b.png',
    ]);
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
