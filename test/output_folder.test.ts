/** Folders of results: a lock, a record of what was written, and nothing of the user replaced. */
import { spawn } from 'node:child_process';
import {
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { openDataset } from '../src/data/open.ts';
import { lockName, OutputFolder } from '../src/output/folder.ts';
import { OutputLock } from '../src/output/lock.ts';
import { identityText, thisProcess } from '../src/platform/node/process.ts';
import { recordName, resultFinder } from '../src/platform/node/record.ts';
import { writeBytes } from '../src/platform/node/write.ts';
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
const open = (force = false, command = 'aand test') =>
  OutputFolder.open(folder, { command, force, onBackup: () => {} });

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
      const script = await writeProgram(
        root,
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
