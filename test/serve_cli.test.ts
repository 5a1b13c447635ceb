/** `aand serve`: names and tokens of models, and its end. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Engine } from '../src/engine/runtime/engine.ts';
import { encodePng } from '../src/index.ts';
import { useCommand, useProjectFolder } from './support/command.ts';
import { servedModelFile } from './support/served_models.ts';

const command = useCommand();
const folder = useProjectFolder();
let model: string;

beforeAll(async () => {
  const engine = await Engine.open();
  model = join(folder, 'washer/model.safetensors');
  mkdirSync(join(folder, 'washer'));
  writeFileSync(model, await servedModelFile(engine, null));
  await engine.close();
});

describe('what cannot be served is said', () => {
  const usage: [what: string, args: () => string[], text: RegExp][] = [
    ['two models of one name', () => [model, model], /are both called washer: write NAME=FILE for one/],
    ['a name that is no part of an address', () => [`a b=${model}`], /not 'a b': write NAME=/],
    [
      'other machines without a token',
      () => [model, '--host', '0.0.0.0'],
      /lets other machines in: give a token/,
    ],
    ['a short token', () => [model, '--token-file', join(folder, 'short')], /must have 8 characters/],
    ['an empty token', () => [model, '--token-file', join(folder, 'blank')], /its first line is empty/],
    ['a webhook that is no web address', () => [model, '--webhook', 'ftp://x/'], /begins with http:/],
    [
      'a broker that is none',
      () => [model, '--mqtt', 'http://u:s3cret@x/'],
      /--mqtt .* must be an address such/,
    ],
    ['a password that is typed', () => [model, '--mqtt', 'mqtt://u:s3cret@x'], /shows a password in --mqtt/],
    [
      'a topic with a wildcard',
      () => [model, '--mqtt', 'mqtt://x', '--mqtt-topic', 'a/#'],
      /without \+ and #/,
    ],
    [
      'a certificate without TLS',
      () => [model, '--mqtt', 'mqtt://x', '--mqtt-ca', model],
      /need an address that begins with mqtts/,
    ],
    [
      'a certificate without its key',
      () => [model, '--mqtt', 'mqtts://x', '--mqtt-cert', model],
      /--mqtt-cert and --mqtt-key belong together/,
    ],
    ['credentials without a broker', () => [model, '--mqtt-credentials', model], /belong to --mqtt/],
    ['a folder to move to alone', () => [model, '--watch-move', folder], /belong to --watch/],
    [
      'a source of one of two models',
      () => [`a=${model}`, `b=${model}`, '--watch', folder],
      /must say which model judges it: write NAME=.*; there are a, b/,
    ],
    ['a camera that looks like an option', () => [model, '--camera=-i'], /no address or device/],
    ['a port that is none', () => [model, '--port', '70000'], /whole number from 0 to 65535/],
  ];
  test.each(usage)('%s', async (_, args, text) => {
    writeFileSync(join(folder, 'short'), 'abc\n');
    writeFileSync(join(folder, 'blank'), '\nabcdefghij\n');
    const { code, stderr } = await command.run(['serve', ...args()], { env: { AAND_TOKEN: undefined } });
    expect(stderr).toMatch(text);
    expect(stderr).not.toContain('s3cret');
    expect(code).toBe(2);
  });

  test('a folder that is not there, and a camera without ffmpeg, before anything is opened', async () => {
    const watched = await command.run(['serve', model, '--watch', join(folder, 'none')]);
    expect(watched.stderr).toMatch(/^aand: .*none: there is no such folder to watch\n$/);
    expect(watched.code).toBe(1);
    const camera = await command.run(['serve', model, '--camera', '/dev/video0'], {
      env: { AAND_FFMPEG: join(folder, 'no-ffmpeg') },
    });
    expect(camera.stderr).toMatch(/^aand: --camera needs ffmpeg.*apt-get install ffmpeg/);
    expect(camera.code).toBe(1);
  });

  test('a model that is not there, and a port that is taken', async () => {
    const missing = await command.run(['serve', join(folder, 'none.safetensors')]);
    expect(missing.stderr).toMatch(/none\.safetensors/);
    expect(missing.code).toBe(1);
    const taken: Server = createServer();
    const port = await new Promise<number>((resolve) => {
      taken.listen(0, '127.0.0.1', () => resolve((taken.address() as { port: number }).port));
    });
    afterAll(() => taken.close());
    const { code, stderr } = await command.run(['serve', model, '--port', `${port}`]);
    expect(stderr).toMatch(/EADDRINUSE|in use/);
    expect(code).toBe(1);
  });
});

test('SIGTERM ends it with 0 after the requests under way; a token from the environment', async () => {
  const log = join(folder, 'log.jsonl');
  const { child, ended, heard } = command.start(['serve', model, '--port', '0', '--log', log], {
    env: { AAND_TOKEN: 'correct-horse' },
  });
  let output = '';
  child.stdout?.on('data', (data) => {
    output += data;
  });
  await heard(/listening on http:\/\/127\.0\.0\.1:\d+/);
  const [address] = /http:\/\/127\.0\.0\.1:\d+/.exec(output) as RegExpExecArray;
  const body = await encodePng({ width: 40, height: 40, channels: 3, data: new Uint8Array(4800).fill(90) });
  const post = (headers: Record<string, string>) =>
    fetch(`${address}/models/washer/predict`, { method: 'POST', body: body as BodyInit, headers });
  expect((await post({})).status).toBe(401);
  const headers = { authorization: 'Bearer correct-horse' };
  const answers = Array.from({ length: 5 }, () => post(headers));
  await Promise.race(answers);
  child.kill('SIGTERM');
  expect((await Promise.all(answers)).map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
  expect((await ended).code).toBe(0);
  expect(readFileSync(log, 'utf8').trim().split('\n')).toHaveLength(5);
});
