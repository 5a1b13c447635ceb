/** The whole server as a process: killed in the middle, started again, with its log, its broker and curl. */
import { execFile, execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, test } from 'vitest';
import { Engine } from '../src/engine/runtime/engine.ts';
import { encodePng } from '../src/index.ts';
import type { Judgement } from '../src/serve/judgement.ts';
import { useCommand, useFolder, useProjectFolder } from './support/command.ts';
import { hasMosquitto, useMosquitto } from './support/mosquitto.ts';
import { picture } from './support/pictures.ts';
import { freePort } from './support/redis.ts';
import { servedModelFile } from './support/served_models.ts';

const command = useCommand();
const folder = useProjectFolder();
const mosquitto = useMosquitto(useFolder());
let model: string;
let images: Uint8Array[];

beforeAll(async () => {
  const engine = await Engine.open();
  mkdirSync(join(folder, 'washer'));
  model = join(folder, 'washer/model.safetensors');
  writeFileSync(model, await servedModelFile(engine, 1e6));
  await engine.close();
  images = await Promise.all(Array.from({ length: 10 }, (_, i) => encodePng(picture(i, 40))));
});

function hasPython(): boolean {
  try {
    execFileSync('python3', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    console.warn('skipped: no python3 on this machine, so the Python client of the documents is not run');
    return false;
  }
}

/** Starts a server and waits until it listens. */
async function serve(args: readonly string[]) {
  const started = command.start(['serve', model, '--port', '0', ...args], { env: { AAND_TOKEN: undefined } });
  let output = '';
  started.child.stdout?.on('data', (data) => {
    output += data;
  });
  await started.heard(/listening on http:\/\/127\.0\.0\.1:\d+/);
  const [address] = /http:\/\/127\.0\.0\.1:\d+/.exec(output) as RegExpExecArray;
  return { ...started, address };
}

const linesOf = (path: string) =>
  readFileSync(path, 'utf8')
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Judgement);

test('killed in the middle, every request has an answer or an error, and the log has whole lines', async () => {
  const log = join(folder, 'log.jsonl');
  const first = await serve(['--log', log, '--capacity', '64']);
  const ends: ('answered' | 'refused' | 'error')[] = [];
  const answered: string[] = [];
  let next = 0;
  const sender = async () => {
    while (ends.at(-1) !== 'error') {
      const name = `${next++}`;
      const body = images[Number(name) % images.length] as BodyInit;
      try {
        const response = await fetch(`${first.address}/predict?name=${name}`, { method: 'POST', body });
        const { pred_label } = (await response.json()) as Judgement;
        ends.push(response.status === 200 ? 'answered' : 'refused');
        if (pred_label === 'good') answered.push(name);
      } catch {
        ends.push('error');
      }
      if (answered.length === 60) first.child.kill('SIGKILL');
    }
  };
  await Promise.all(Array.from({ length: 16 }, sender));
  expect((await first.ended).signal).toBe('SIGKILL');
  // Each request has ended; those that were under way as errors.
  expect(ends).toHaveLength(next);
  expect(ends.filter((end) => end === 'answered').length).toBe(answered.length);
  expect(ends).not.toContain('refused');
  expect(ends.filter((end) => end === 'error').length).toBeGreaterThan(0);

  const second = await serve(['--log', log]);
  const again = await fetch(`${second.address}/predict?name=after`, {
    method: 'POST',
    body: images[0] as BodyInit,
  });
  expect(again.status).toBe(200);
  second.child.kill('SIGTERM');
  expect((await second.ended).code).toBe(0);
  const names = linesOf(log).map(({ name }) => name);
  expect(names.at(-1)).toBe('after');
  expect(new Set(names).size).toBe(names.length);
  expect(names.length).toBeGreaterThan(30);
});

test('a watched folder goes on where a killed server has stopped: each image at least once', async () => {
  const watched = join(folder, 'in');
  const log = join(folder, 'watched.jsonl');
  mkdirSync(watched);
  const args = ['--watch', watched, '--watch-settle', '0.1', '--log', log];
  for (let i = 0; i < 30; i++) writeFileSync(join(watched, `${i}.png`), images[i % 10] as Uint8Array);
  const first = await serve(args);
  for (;;) {
    const text = await (await fetch(`${first.address}/metrics`)).text();
    if (/aand_source_images_total\{[^}]*"judged"} \d/.test(text)) break;
  }
  first.child.kill('SIGKILL');
  await first.ended;
  const second = await serve(args);
  for (let done = 0; done < 30; done = new Set(linesOf(log).map(({ name }) => name)).size)
    await new Promise((resolve) => setTimeout(resolve, 100));
  second.child.kill('SIGTERM');
  expect((await second.ended).code).toBe(0);
  const judged = linesOf(log).length;
  // Those that were under way are judged twice at most.
  expect(judged).toBeLessThanOrEqual(30 + 16);
  const third = await serve(args);
  await new Promise((resolve) => setTimeout(resolve, 800));
  third.child.kill('SIGTERM');
  await third.ended;
  expect(linesOf(log)).toHaveLength(judged);
});

describe.skipIf(!hasMosquitto())('with mosquitto', () => {
  test('a subscriber gets what is judged, and the last will of a server that is killed', async () => {
    const port = await freePort();
    await mosquitto.broker(port);
    const heard = await mosquitto.subscriber(port, 'line/#');
    const server = await serve(['--mqtt', `mqtt://127.0.0.1:${port}`, '--mqtt-topic', 'line']);
    const body = images[0] as BodyInit;
    const answer = await fetch(`${server.address}/predict?name=a`, { method: 'POST', body });
    const judgement = await answer.json();
    const [status, message] = await heard.count(2);
    expect(status).toEqual({ topic: 'line/status', payload: 'online' });
    expect(message?.topic).toBe('line/washer');
    expect(JSON.parse(message?.payload ?? '')).toEqual(judgement);
    server.child.kill('SIGKILL');
    expect((await heard.count(3))[2]).toEqual({ topic: 'line/status', payload: 'offline' });
  });
});

describe('clients of docs/serving.md', () => {
  const document = readFileSync('docs/serving.md', 'utf8');
  const run = promisify(execFile);

  /** A block of the document, with another address. */
  function block(language: string, begin: RegExp, address: string): string {
    const blocks = [...document.matchAll(/^```(\w+)\n(.*?)^```$/gms)];
    const found = blocks.find(([, name, text = '']) => name === language && begin.test(text));
    if (!found) throw new Error(`docs/serving.md has no ${language} block with ${begin}`);
    return (found[2] as string).replaceAll('http://127.0.0.1:8080', address);
  }

  test('curl', async () => {
    const { address, child, ended } = await serve([]);
    writeFileSync(join(folder, 'photo.png'), images[0] as Uint8Array);
    const asked = block('sh', /^curl /, address);
    const { stdout } = await run('sh', ['-ec', asked], { cwd: folder });
    expect(JSON.parse(stdout)).toMatchObject({ model: 'washer', name: 'photo.png', pred_label: 'good' });
    const drawn = await run(
      'curl',
      [
        ...['-s', '-H', 'accept: image/png', '-D', '-', '-o', 'overlay.png', '--data-binary', '@photo.png'],
        `${address}/models/washer/predict`,
      ],
      { cwd: folder },
    );
    expect(drawn.stdout).toMatch(/^x-pred-label: good\r$/m);
    expect(readFileSync(join(folder, 'overlay.png')).subarray(1, 4).toString()).toBe('PNG');
    const wrong = await run('curl', [
      ...['-s', '-w', ' %{http_code}', '--data-binary', 'text', `${address}/predict`],
    ]);
    expect(wrong.stdout).toMatch(/cannot be read as an image.* 400$/);
    child.kill('SIGTERM');
    expect((await ended).code).toBe(0);
  });

  test.skipIf(!hasPython())('Python', async () => {
    const { address, child, ended } = await serve([]);
    writeFileSync(join(folder, 'photo.png'), images[0] as Uint8Array);
    const { stdout } = await run('python3', ['-c', block('py', /urllib/, address)], { cwd: folder });
    expect(stdout).toBe('good\n');
    child.kill('SIGTERM');
    expect((await ended).code).toBe(0);
  });
});
