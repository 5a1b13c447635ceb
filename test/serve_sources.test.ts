/** Where images come from besides requests: watched folders and cameras, and what they do under load. */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { appendFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Engine } from '../src/engine/runtime/engine.ts';
import { encodePng } from '../src/index.ts';
import { Hub, type Judged } from '../src/serve/hub.ts';
import { Inspector } from '../src/serve/inspector.ts';
import { ServerMetrics } from '../src/serve/metrics.ts';
import { Places } from '../src/serve/places.ts';
import { ServedModel } from '../src/serve/served_model.ts';
import { BitmapSplitter } from '../src/serve/sources/bitmap_splitter.ts';
import { Camera, checkFfmpeg, shownCamera } from '../src/serve/sources/camera.ts';
import { type CompleteFile, completeFiles } from '../src/serve/sources/folder_watch.ts';
import { moveToFree, WatchedFolder, type WatchedFolderOptions } from '../src/serve/sources/watched_folder.ts';
import { useFolder } from './support/command.ts';
import { picture } from './support/pictures.ts';
import { servedModelFile } from './support/served_models.ts';

const folder = useFolder();
let engine: Engine;
let model: ServedModel;

beforeAll(async () => {
  engine = await Engine.open();
  const bytes = await servedModelFile(engine, 1e6);
  model = await ServedModel.open(engine, bytes, { name: 'washer', path: 'washer' }, { delay: 0 });
});
afterAll(() => engine.close());

/** Waits until something holds. */
async function until(holds: () => boolean, what: string): Promise<void> {
  for (let i = 0; i < 200 && !holds(); i++) await wait(50);
  if (!holds()) throw new Error(`it never came to this: ${what}`);
}

function newFolder(name: string): string {
  const path = join(folder, name);
  mkdirSync(path);
  return path;
}

const png = async (seed: number) => Buffer.from(await encodePng(picture(seed, 16)));

describe('a folder that is watched', () => {
  /** The names of files as they come, until `end` is called. */
  function follow(path: string, more: { without?: string[] } = {}) {
    const end = new AbortController();
    const files: CompleteFile[] = [];
    const notes: string[] = [];
    const onNote = (text: string) => notes.push(text);
    const done = (async () => {
      for await (const file of completeFiles(path, { signal: end.signal, settle: 0.2, onNote, ...more }))
        files.push(file);
    })();
    return {
      files,
      notes,
      names: () => files.map(({ name }) => name),
      async end() {
        end.abort();
        await done;
      },
    };
  }

  test('gives what is there, then what comes, when its size has stopped changing', async () => {
    const path = newFolder('comes');
    writeFileSync(join(path, 'there.png'), 'x');
    const watch = follow(path);
    await until(() => watch.files.length === 1, 'the first file');
    const half = join(path, 'slow.png');
    await writeFile(half, 'a');
    for (let i = 0; i < 6; i++) {
      await wait(100);
      await appendFile(half, 'a'.repeat(100));
    }
    expect(watch.names()).toEqual(['there.png']);
    await until(() => watch.files.length === 2, 'the slow file');
    expect(watch.files[1]).toMatchObject({ name: 'slow.png', size: 601 });
    mkdirSync(join(path, 'sub'));
    writeFileSync(join(path, '.part'), 'whole');
    renameSync(join(path, '.part'), join(path, 'sub/renamed.jpg'));
    await until(() => watch.files.length === 3, 'the renamed file');
    expect(watch.files[2]?.name).toBe('sub/renamed.jpg');
    await watch.end();
  });

  test('leaves out hidden files, empty ones, other types and other folders; a changed file comes again', async () => {
    const path = newFolder('others');
    const without = join(path, 'results');
    mkdirSync(without);
    const watch = follow(path, { without: [without] });
    for (const name of ['.hidden.png', 'notes.txt', 'results/a.png']) writeFileSync(join(path, name), 'x');
    writeFileSync(join(path, 'empty.png'), '');
    writeFileSync(join(path, 'a.png'), 'x');
    await until(() => watch.files.length === 1, 'a.png');
    await wait(600);
    expect(watch.names()).toEqual(['a.png']);
    writeFileSync(join(path, 'a.png'), 'longer');
    writeFileSync(join(path, 'empty.png'), 'filled');
    await until(() => watch.files.length === 3, 'both changes');
    expect(watch.names().slice(1).sort()).toEqual(['a.png', 'empty.png']);
    await watch.end();
  });

  test('may go, as a network disk does, and is watched again when it is back', async () => {
    const path = newFolder('goes');
    writeFileSync(join(path, 'a.png'), 'x');
    const watch = follow(path);
    await until(() => watch.files.length === 1, 'a.png');
    renameSync(path, `${path}-away`);
    await until(() => watch.notes.length === 1, 'the note that it has gone');
    renameSync(`${path}-away`, path);
    await until(() => watch.notes.length === 2, 'the note that it is back');
    writeFileSync(join(path, 'b.png'), 'x');
    await until(() => watch.files.length === 2, 'b.png');
    expect(watch.names()).toEqual(['a.png', 'b.png']);
    expect(watch.notes).toEqual([`${path} has gone; it is waited for`, `${path} is there again`]);
    await watch.end();
  });

  test('that is not there is an error with its name', async () => {
    const files = completeFiles(join(folder, 'none'), {
      signal: new AbortController().signal,
      settle: 1,
      onNote: () => {},
    });
    await expect(files.next()).rejects.toThrow(/none: there is no such folder to watch/);
  });
});

test('a file is moved to a name that nothing has', async () => {
  const target = join(folder, 'moved');
  const names: string[] = [];
  for (const text of ['one', 'two', 'three']) {
    writeFileSync(join(folder, 'part.png'), text);
    names.push(await moveToFree(join(folder, 'part.png'), target));
  }
  expect(names).toEqual(['part.png', 'part~2.png', 'part~3.png'].map((name) => join(target, name)));
  expect(names.map((name) => readFileSync(name, 'utf8'))).toEqual(['one', 'two', 'three']);
});

function inspect(capacity = 8) {
  const metrics = new ServerMetrics();
  const hub = new Hub();
  const taken: Judged[] = [];
  hub.add({ name: 'test', take: (judged) => taken.push(judged), close: async () => {} });
  const inspector = new Inspector({ models: [model], metrics, hub, capacity });
  return { inspector, metrics, names: () => taken.map(({ judgement }) => judgement.name).sort() };
}

describe('images of a watched folder', () => {
  async function watch(path: string, options: Partial<WatchedFolderOptions> = {}, capacity = 8) {
    const { inspector, metrics, names } = inspect(capacity);
    const notes: string[] = [];
    const source = await WatchedFolder.open(path, {
      model,
      inspector,
      settle: 0.1,
      largest: 10_000,
      timeout: 30_000,
      onNote: (text) => notes.push(text),
      ...options,
    });
    return { source, inspector, metrics, names, notes };
  }

  test('are judged once, also after a new start; one that changed is judged again', async () => {
    const path = newFolder('judged');
    for (const [i, name] of ['a.png', 'b.png'].entries()) writeFileSync(join(path, name), await png(i));
    writeFileSync(join(path, 'bad.png'), 'no image');
    const first = await watch(path);
    await until(() => first.names().length === 2 && first.notes.length === 1, 'both images and the bad file');
    expect(first.notes).toEqual([
      `${join(path, 'bad.png')} was not judged: cannot be read as an image (it is no PNG, JPEG, BMP, WebP or TIFF file)`,
    ]);
    await first.source.close();
    const text = await first.metrics.registry.metrics();
    expect(text).toContain(`aand_source_images_total{source="${path}",outcome="judged"} 2`);
    expect(text).toContain(`aand_source_images_total{source="${path}",outcome="failed"} 1`);
    writeFileSync(join(path, 'b.png'), await png(7));
    writeFileSync(join(path, 'c.png'), await png(8));
    // A killed process leaves a part of a line.
    await appendFile(join(path, '.aand-watched'), '{"name":"c.png","si');
    const second = await watch(path);
    await until(() => second.names().length === 2, 'what is new');
    await wait(500);
    await second.source.close();
    expect(second.names()).toEqual(['b.png', 'c.png']);
    expect(second.notes).toEqual([]);
  });

  test('are moved by their verdict; nothing that has the name is replaced', async () => {
    const path = newFolder('in');
    const moveTo = join(path, 'done');
    mkdirSync(join(moveTo, 'good'), { recursive: true });
    writeFileSync(join(moveTo, 'good/a.png'), 'of others');
    mkdirSync(join(path, 'line'));
    writeFileSync(join(path, 'a.png'), await png(1));
    writeFileSync(join(path, 'line/b.png'), await png(2));
    writeFileSync(join(path, 'bad.png'), 'no image');
    writeFileSync(join(path, 'large.png'), Buffer.alloc(10_001));
    const { source, names, notes } = await watch(path, { moveTo });
    await until(() => readdirSync(path).length === 2 && !readdirSync(join(path, 'line')).length, 'all moved');
    await source.close();
    expect(names()).toEqual(['a.png', 'line/b.png']);
    expect(readdirSync(join(moveTo, 'good')).sort()).toEqual(['a.png', 'a~2.png', 'line']);
    expect(readFileSync(join(moveTo, 'good/a.png'), 'utf8')).toBe('of others');
    expect(readdirSync(join(moveTo, 'good/line'))).toEqual(['b.png']);
    expect(readdirSync(join(moveTo, 'unreadable')).sort()).toEqual(['bad.png', 'large.png']);
    expect(notes.sort()[1]).toMatch(/large\.png was not judged: 10001 bytes are more than the 10000/);
  });

  test('wait while the server is full, and leave half of its places to others', async () => {
    const path = newFolder('full');
    for (let i = 0; i < 12; i++) writeFileSync(join(path, `${i}.png`), await png(i));
    const { inspector, metrics, names } = inspect(4);
    for (let i = 0; i < 4; i++) inspector.places.tryTake();
    const notes: string[] = [];
    const source = await WatchedFolder.open(path, {
      ...{ model, inspector, settle: 0.1, largest: 10_000, timeout: 30_000 },
      onNote: (text) => notes.push(text),
    });
    await wait(1000);
    expect(names()).toEqual([]);
    let most = 0;
    const look = setInterval(() => {
      most = Math.max(most, inspector.places.taken);
    }, 1);
    for (let i = 0; i < 4; i++) inspector.places.give();
    await until(() => names().length === 12, 'all of them');
    clearInterval(look);
    await source.close();
    expect(most).toBeLessThanOrEqual(4);
    expect(inspector.places.taken).toBe(0);
    expect(await metrics.registry.metrics()).toContain('aand_requests_in_progress 0');
    expect(notes).toEqual([]);
  });
});

test('places: who waits gets one in turn, and one who goes does not keep it', async () => {
  const places = new Places(1, new ServerMetrics());
  expect([places.tryTake(), places.tryTake()]).toEqual([true, false]);
  const order: string[] = [];
  const leaving = new AbortController();
  const never = new AbortController().signal;
  const first = places.take(leaving.signal).catch(() => order.push('left'));
  const second = places.take(never).then(() => order.push('second'));
  const third = places.take(never).then(() => order.push('third'));
  leaving.abort();
  await first;
  places.give();
  await second;
  expect(order).toEqual(['left', 'second']);
  places.give();
  await third;
  places.give();
  expect([order.length, places.taken, places.tryTake()]).toEqual([3, 0, true]);
});

/** A bitmap of one colour. */
function bitmap(side: number, value: number): Buffer {
  const row = Math.ceil((side * 3) / 4) * 4;
  const bytes = Buffer.alloc(54 + row * side, value);
  bytes.fill(0, 0, 54);
  bytes.write('BM', 0, 'latin1');
  bytes.writeUInt32LE(bytes.length, 2);
  bytes.writeUInt32LE(54, 10);
  bytes.writeUInt32LE(40, 14);
  bytes.writeInt32LE(side, 18);
  bytes.writeInt32LE(side, 22);
  bytes.writeUInt16LE(1, 26);
  bytes.writeUInt16LE(24, 28);
  return bytes;
}

test('a stream of bitmaps is cut into files, however its pieces lie', () => {
  const files = [bitmap(8, 1), bitmap(3, 2), bitmap(20, 3)];
  const stream = Buffer.concat(files);
  for (const length of [1, 7, 14, 100, stream.length]) {
    const found: Uint8Array[] = [];
    const splitter = new BitmapSplitter((bytes) => found.push(bytes));
    for (let at = 0; at < stream.length; at += length) splitter.add(stream.subarray(at, at + length));
    expect(found.map((bytes) => Buffer.from(bytes).equals(files[found.indexOf(bytes)] as Buffer))).toEqual([
      ...[true, true, true],
    ]);
  }
  expect(() => new BitmapSplitter(() => {}).add(Buffer.alloc(20))).toThrow('no bitmaps');
});

function hasFfmpeg(): boolean {
  try {
    execFileSync('ffmpeg', ['-version'], { stdio: 'ignore' });
    return true;
  } catch {
    console.warn('skipped: no ffmpeg on this machine (Debian: ffmpeg), so no real film is read');
    return false;
  }
}

describe('a camera', () => {
  /** A program in the place of ffmpeg: writes frames, one after so many milliseconds, then ends. */
  function standIn(name: string, body: string): string {
    const path = join(folder, `${name}.mjs`);
    writeFileSync(path, `#!${process.execPath}\n${body}`);
    chmodSync(path, 0o755);
    return path;
  }

  function look(ffmpeg: string, source = 'rtsp://user:s3cret@camera/stream?token=x', capacity = 8) {
    const { inspector, metrics, names } = inspect(capacity);
    const notes: string[] = [];
    const camera = new Camera(source, {
      ...{ model, inspector, interval: 0.2, timeout: 30_000, ffmpeg },
      onNote: (text) => notes.push(text),
    });
    return { camera, inspector, metrics, names, notes };
  }

  beforeAll(() => writeFileSync(join(folder, 'frame.bmp'), bitmap(16, 90)));

  test('gives pictures that are judged; one that goes is opened again, and said without its password', async () => {
    const frames = standIn(
      'two',
      `import { readFileSync } from 'node:fs';
      const frame = readFileSync(${JSON.stringify(join(folder, 'frame.bmp'))});
      process.stdout.write(frame);
      setTimeout(() => process.stdout.write(frame, () => {
        console.error(process.argv.find((text) => text.startsWith('rtsp')) + ': it went away');
        process.exitCode = 1;
      }), 300);`,
    );
    const { camera, names, notes, metrics } = look(frames);
    await until(() => names().length >= 3, 'pictures of two runs');
    await camera.close();
    expect(new Set(names())).toEqual(new Set(['rtsp://camera/stream']));
    expect(notes[0]).toBe('rtsp://camera/stream: rtsp://camera/stream: it went away; it is tried again');
    expect(notes[1]).toBe('rtsp://camera/stream gives pictures again');
    expect(`${notes.join()}${await metrics.registry.metrics()}`).not.toMatch(/s3cret|token/);
  });

  test('drops older pictures while the server is full, and judges the newest', async () => {
    const many = standIn(
      'many',
      `import { readFileSync } from 'node:fs';
      const frame = readFileSync(${JSON.stringify(join(folder, 'frame.bmp'))});
      setInterval(() => process.stdout.write(frame), 20);`,
    );
    const { camera, inspector, names, metrics } = look(many, '/dev/video9', 1);
    inspector.places.tryTake();
    const dropped = async () =>
      Number(/outcome="dropped"} (\d+)/.exec(await metrics.registry.metrics())?.[1] ?? 0);
    for (let i = 0; i < 100 && (await dropped()) < 10; i++) await wait(50);
    expect(names()).toEqual([]);
    expect(await dropped()).toBeGreaterThanOrEqual(10);
    inspector.places.give();
    await until(() => names().length > 0, 'a judgement');
    await camera.close();
    expect(names()[0]).toBe('/dev/video9');
    expect(inspector.places.taken).toBe(0);
  });

  test('that cannot be opened is tried again and again, and said once', async () => {
    const broken = standIn('broken', `console.error('no such device'); process.exitCode = 1;`);
    const { camera, notes } = look(broken, '/dev/video9');
    await wait(2500);
    await camera.close();
    expect(notes).toEqual(['/dev/video9: no such device; it is tried again']);
  });

  test('without ffmpeg there is an error that says what to install', async () => {
    await expect(checkFfmpeg(join(folder, 'no-ffmpeg'))).rejects.toThrow(
      /--camera needs ffmpeg.*apt-get install ffmpeg.*AAND_FFMPEG/,
    );
    await expect(checkFfmpeg(standIn('ok', ''))).resolves.toBeUndefined();
  });

  test.skipIf(!hasFfmpeg())('is read by the real ffmpeg: a film, until its end', async () => {
    const film = join(folder, 'film.mp4');
    const input = ['-f', 'lavfi', '-i', 'testsrc=size=64x48:rate=10:duration=2'];
    execFileSync('ffmpeg', ['-loglevel', 'error', ...input, '-pix_fmt', 'yuv420p', film]);
    const { camera, names, notes } = look('ffmpeg', film);
    await until(() => notes.length > 0, 'the end of the film');
    await until(() => names().length >= 8, 'its pictures');
    await camera.close();
    // Two seconds, five pictures in each; two more where the filter rounds.
    expect(names().length).toBeLessThanOrEqual(12);
    expect(new Set(names())).toEqual(new Set([film]));
    expect(notes).toEqual([`${film} has ended`]);
    const missing = look('ffmpeg', join(folder, 'none.mp4'));
    await until(() => missing.notes.length > 0, 'the failure');
    await missing.camera.close();
    expect(missing.notes[0]).toMatch(/none\.mp4: .*No such file or directory; it is tried again$/);
  });

  test('is shown without what may be secret', () => {
    expect(shownCamera('rtsp://user:pass@10.0.0.2:554/live?key=1')).toBe('rtsp://10.0.0.2:554/live');
    expect(shownCamera('/dev/video0')).toBe('/dev/video0');
    expect(shownCamera('film.mp4')).toBe('film.mp4');
  });
});
