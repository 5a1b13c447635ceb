/** The server: what it answers, whom it refuses, and what it does when it is full, asked to stop, or left. */
import { type ClientRequest, request as httpRequest } from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import { Validator } from '@seriousme/openapi-schema-validator';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { decodeResized } from '#platform';
import { Detector } from '../src/detector/detector.ts';
import { Engine } from '../src/engine/runtime/engine.ts';
import { decodeImage, encodePng } from '../src/index.ts';
import { Hub, type Judged, type Sink } from '../src/serve/hub.ts';
import type { Judgement } from '../src/serve/judgement.ts';
import { ServerMetrics } from '../src/serve/metrics.ts';
import { ServedModel } from '../src/serve/served_model.ts';
import { InspectionServer, type ServerOptions } from '../src/serve/server.ts';
import { stripes as picture } from './support/pictures.ts';
import { servedModelFile, servedSide } from './support/served_models.ts';

const side = servedSide;
let engine: Engine;
let model: ServedModel;
let other: ServedModel;
let detector: Detector;

beforeAll(async () => {
  engine = await Engine.open();
  detector = await Detector.open(engine, await servedModelFile(engine, null));
  const [raw] = await detector.predict([picture(1)]);
  // The first picture is anomalous, in its upper half of values.
  const bytes = await servedModelFile(engine, 0.7 * (raw?.score ?? 0));
  model = await ServedModel.open(engine, bytes, { name: 'washer', path: 'washer.safetensors' }, { delay: 5 });
  const plain = await servedModelFile(engine, null);
  other = await ServedModel.open(engine, plain, { name: 'plain', path: 'plain.safetensors' }, { delay: 5 });
});
afterAll(() => engine.close());

const running: InspectionServer[] = [];
afterAll(() => Promise.all(running.map((server) => server.stop())));

async function listen(options: Partial<ServerOptions> = {}) {
  const server = await InspectionServer.create({
    models: [model, other],
    metrics: new ServerMetrics(),
    hub: new Hub(),
    capacity: 8,
    bodyLimit: 2 ** 20,
    timeout: 30_000,
    version: '1',
    ...options,
  });
  running.push(server);
  const address = await server.listen('127.0.0.1', 0);
  const post = (path: string, body: Uint8Array | string, headers: Record<string, string> = {}) =>
    fetch(`${address}${path}`, {
      method: 'POST',
      body: body as BodyInit,
      headers: { 'content-type': 'image/png', ...headers },
    });
  const json = async <T>(response: Promise<Response>) => {
    const answer = await response;
    return { status: answer.status, headers: answer.headers, body: (await answer.json()) as T };
  };
  return { server, address, post, json };
}

describe('an image', () => {
  test('gets the score that the detector gives, and regions in its own pixels', async () => {
    const { post, json } = await listen();
    // Twice as wide as high: boxes are stretched with it.
    const image = picture(1, 128, 64);
    const [expected] = await detector.predict([image]);
    const png = await encodePng(image);
    const { status, body } = await json<Judgement>(post('/models/washer/predict?name=part%207', png));
    expect(status).toBe(200);
    expect(body).toMatchObject({ model: 'washer', name: 'part 7', width: 128, height: 64 });
    expect(body.raw_score).toBe(expected?.score);
    const threshold = model.settings.pixel?.threshold as number;
    const marked = expected?.map.filter((value) => value >= threshold).length as number;
    expect(body.marked_area).toBe(marked / side ** 2);
    expect(body.pred_label).toBe((expected?.score as number) >= threshold ? 'anomalous' : 'good');
    expect(body.regions.length > 0).toBe(marked > 0);
    for (const { x, y, width, height } of body.regions) {
      expect(x % 4).toBe(0);
      expect(y % 2).toBe(0);
      expect(x + width).toBeLessThanOrEqual(128);
      expect(y + height).toBeLessThanOrEqual(64);
    }
    expect(new Date(body.time).getTime()).toBeGreaterThan(Date.now() - 60_000);
  });

  test('is judged by a model without a threshold: a raw score and no verdict', async () => {
    const { post, json } = await listen();
    const { body } = await json<Judgement>(post('/models/plain/predict', await encodePng(picture(2))));
    expect(body).toMatchObject({ pred_score: null, pred_label: null, marked_area: null, regions: [] });
    expect(body.raw_score).toBeGreaterThan(0);
  });

  test('many at once each get their own result', async () => {
    const { post, json } = await listen({ capacity: 40 });
    const pictures = Array.from({ length: 20 }, (_, i) => picture(i));
    const expected = await detector.predict(pictures);
    const answers = await Promise.all(
      pictures.map(async (image, i) =>
        json<Judgement>(post(`/models/washer/predict?name=${i}`, await encodePng(image))),
      ),
    );
    expect(answers.map(({ body }) => [body.name, body.raw_score])).toEqual(
      expected.map(({ score }, i) => [`${i}`, score]),
    );
  });

  test('comes back as a picture where one is asked for', async () => {
    const { post, json } = await listen();
    const png = await encodePng(picture(1, 96, 48));
    const response = await post('/models/washer/predict', png, { accept: 'image/png' });
    expect(response.headers.get('content-type')).toBe('image/png');
    expect(response.headers.get('x-pred-label')).toBe('anomalous');
    const overlay = await decodeImage(new Uint8Array(await response.arrayBuffer()), 'the answer');
    expect([overlay.width, overlay.height]).toEqual([96, 48]);
    const { body } = await json<{ picture: string }>(post('/models/washer/predict?picture=mask', png));
    const mask = await decodeImage(Buffer.from(body.picture.split(',')[1] ?? '', 'base64'), 'the mask');
    const [expected] = await detector.predict([picture(1, 96, 48)]);
    const threshold = model.settings.pixel?.threshold as number;
    expect(Array.from(mask.data.filter((_, i) => i % 3 === 0))).toEqual(
      Array.from(expected?.map ?? [], (value) => (value >= threshold ? 255 : 0)),
    );
  });
});

describe('what cannot be judged is said', () => {
  const cases: [
    what: string,
    path: string,
    body: string,
    headers: Record<string, string>,
    status: number,
    text: RegExp,
  ][] = [
    ['no image', '/models/washer/predict', 'text', {}, 400, /cannot be read as an image/],
    ['nothing', '/models/washer/predict', '', {}, 400, /body is empty/],
    [
      'another model',
      '/models/bolt/predict',
      'x',
      {},
      404,
      /no model is called bolt; there are washer, plain/,
    ],
    ['no model of two', '/predict', 'x', {}, 404, /there is no POST \/predict/],
    [
      'a form',
      '/models/washer/predict',
      'x',
      { 'content-type': 'multipart/form-data; boundary=b' },
      415,
      /--data-binary/,
    ],
    ['another picture', '/models/washer/predict?picture=blue', 'x', {}, 400, /picture/],
    ['a misspelled query', '/models/washer/predict?nmae=x', 'x', {}, 400, /nmae|additional/],
  ];
  test.each(cases)('%s', async (_, path, body, headers, status, text) => {
    const { post, json } = await listen();
    const answer = await json<{ error: string }>(post(path, body, headers));
    expect(answer.status).toBe(status);
    expect(answer.body.error).toMatch(text);
  });

  test('a file that is too large', async () => {
    const { post } = await listen({ bodyLimit: 1000 });
    const answer = await post('/models/washer/predict', new Uint8Array(5000)).catch(() => undefined);
    // The server need not read the rest: the connection may end before the answer is read.
    if (answer) expect(answer.status).toBe(413);
    const { post: again } = await listen({ bodyLimit: 10_000 });
    expect((await again('/models/washer/predict', await encodePng(picture(1)))).status).toBe(200);
  });

  test('an image that takes too long, and the next one is judged', async () => {
    const { post, json } = await listen({ timeout: 1 });
    const late = await json<{ error: string }>(
      post('/models/washer/predict', await encodePng(picture(1, 900, 900))),
    );
    expect(late.status).toBe(503);
    expect(late.body.error).toBe('the image took more than 1 ms');
    const { post: patient } = await listen();
    expect((await patient('/models/washer/predict', await encodePng(picture(1)))).status).toBe(200);
  });
});

test('an image past its time is refused while others are decoded, and is not decoded itself', async () => {
  const large = await encodePng(picture(1, 3000, 3000));
  const begun: string[] = [];
  const never = new AbortController().signal;
  const others = Array.from({ length: 12 }, async (_, i) => {
    await model.predict(large, `${i}`, never);
    begun.push('other');
  });
  const late = new AbortController();
  const refused = model.predict(large, 'late', late.signal).catch((error) => {
    begun.push('late');
    return error;
  });
  await wait(20);
  late.abort(new Error('too late'));
  expect(((await refused) as Error).message).toBe('too late');
  expect(begun).toEqual(['late']);
  await Promise.all(others);
  await expect(decodeResized(large, 'x', 32, AbortSignal.abort(new Error('gone')))).rejects.toThrow('gone');
});

test('a token is asked for where products show; not for health and the page', async () => {
  const { address, post } = await listen({ token: 'correct-horse' });
  const png = await encodePng(picture(1));
  const refused = await post('/models/washer/predict', png);
  expect([refused.status, refused.headers.get('www-authenticate')]).toEqual([401, 'Bearer']);
  for (const header of ['Bearer wrong', 'Basic correct-horse', 'Bearer', 'Bearer correct-horse-'])
    expect((await post('/models/washer/predict', png, { authorization: header })).status).toBe(401);
  for (const path of ['/models', '/metrics', '/events'])
    expect((await fetch(`${address}${path}`)).status).toBe(401);
  for (const path of ['/health', '/ready', '/openapi.json'])
    expect((await fetch(`${address}${path}`)).status).toBe(200);
  expect((await post('/models/washer/predict', png, { authorization: 'bearer correct-horse' })).status).toBe(
    200,
  );
});

/** A request whose body is sent in parts. */
function openRequest(address: string, length: number): ClientRequest {
  const url = new URL('/models/washer/predict', address);
  return httpRequest(url, { method: 'POST', headers: { 'content-length': length } });
}

test('a full server answers with 429 at once, and takes images again when a sender goes', async () => {
  const { address, post } = await listen({ capacity: 1 });
  const png = await encodePng(picture(1));
  const slow = openRequest(address, png.length);
  slow.on('error', () => {});
  slow.write(png.subarray(0, 10));
  await wait(100);
  const refused = await post('/models/washer/predict', png);
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '1']);
  expect((await fetch(`${address}/health`)).status).toBe(200);
  slow.destroy();
  await wait(100);
  expect((await post('/models/washer/predict', png)).status).toBe(200);
});

test('a server that stops answers what it has accepted, hands the results on, takes no more', async () => {
  const taken: Judged[] = [];
  let closed = false;
  const sink: Sink = {
    name: 'test',
    take: (judged) => taken.push(judged),
    close: async () => {
      closed = true;
    },
  };
  const hub = new Hub();
  hub.add(sink);
  const { server, address } = await listen({ hub });
  const png = await encodePng(picture(3));
  const slow = openRequest(address, png.length);
  const answered = new Promise<number | undefined>((resolve, reject) => {
    slow.on('response', (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    slow.on('error', reject);
  });
  slow.write(png.subarray(0, 10));
  await wait(100);
  const stopping = server.stop();
  await wait(50);
  slow.end(png.subarray(10));
  expect(await answered).toBe(200);
  const begun = performance.now();
  await stopping;
  // The connection is not held open.
  expect(performance.now() - begun).toBeLessThan(3000);
  expect(taken.map(({ judgement }) => judgement.model)).toEqual(['washer']);
  expect(closed).toBe(true);
  await expect(fetch(`${address}/health`)).rejects.toThrow();
});

test('the stream of judgements has each with a picture, until the reader goes', async () => {
  const { address, post } = await listen();
  const end = new AbortController();
  const stream = await fetch(`${address}/events`, { signal: end.signal });
  expect(stream.headers.get('content-type')).toMatch('text/event-stream');
  const reader = (stream.body as ReadableStream<Uint8Array>).getReader();
  const decoder = new TextDecoder();
  for (const name of ['a', 'b'])
    await post(`/models/washer/predict?name=${name}`, await encodePng(picture(1)));
  let text = '';
  while (text.split('event: judgement').length < 3 || !text.endsWith('\n\n'))
    text += decoder.decode((await reader.read()).value, { stream: true });
  const events = [...text.matchAll(/^data: (.*)$/gm)].map(([, data]) => JSON.parse(data as string));
  expect(events.map(({ name }) => name).sort()).toEqual(['a', 'b']);
  for (const { picture: shown } of events) expect(shown).toMatch(/^data:image\/webp;base64,/);
  end.abort();
  expect((await post('/models/washer/predict', await encodePng(picture(1)))).status).toBe(200);
});

test('scores that leave those of the calibration are said, until somebody has looked', async () => {
  const usual = Array.from({ length: 20 }, (_, i) => i / 1e6);
  const file = await servedModelFile(engine, 0.1, usual);
  const drifting = await ServedModel.open(engine, file, { name: 'lamp', path: 'lamp' }, { delay: 0 });
  const { address, post, json } = await listen({ models: [drifting] });
  const png = await encodePng(picture(1));
  const drifts: (string | null)[] = [];
  for (let i = 0; i < 17; i++) drifts.push((await json<Judgement>(post('/predict', png))).body.drift);
  expect(drifts.findIndex((drift) => drift !== null)).toBe(15);
  expect(drifts[16]).toMatch(/^The scores lie above those of the good images.*\.$/);
  const models = async () => (await (await fetch(`${address}/models`)).json())[0];
  expect(await models()).toMatchObject({ name: 'lamp', drift: drifts[16] });
  expect(await (await fetch(`${address}/metrics`)).text()).toContain('aand_drift{model="lamp"} 1');
  expect((await fetch(`${address}/models/lamp/drift`, { method: 'DELETE' })).status).toBe(204);
  expect((await fetch(`${address}/models/x/drift`, { method: 'DELETE' })).status).toBe(404);
  expect((await models()).drift).toBeNull();
  expect((await json<Judgement>(post('/predict', png))).body.drift).toBeNull();
  await drifting.close();
});

test('the numbers for Prometheus count answers, verdicts and runs', async () => {
  const { address, post } = await listen();
  await post('/models/washer/predict', await encodePng(picture(1)));
  await post('/models/plain/predict', await encodePng(picture(1)));
  await post('/models/washer/predict', 'no image');
  await post('/models/x/predict', 'x');
  const text = await (await fetch(`${address}/metrics`)).text();
  const values = [
    'aand_answers_total{model="washer",status="200"} 1',
    'aand_answers_total{model="washer",status="400"} 1',
    'aand_answers_total{model="unknown",status="404"} 1',
    'aand_verdicts_total{model="washer",verdict="anomalous"} 1',
    'aand_verdicts_total{model="plain",verdict="none"} 1',
    'aand_judgement_seconds_count{model="washer"} 1',
    'aand_requests_in_progress 0',
  ];
  expect(
    text
      .split('\n')
      .filter((line) => values.includes(line))
      .sort(),
  ).toEqual(values.sort());
});

test('the OpenAPI document is valid and describes each route for images and models', async () => {
  const { address } = await listen({ models: [model], token: 'correct-horse' });
  const document = await (await fetch(`${address}/openapi.json`)).json();
  expect(await new Validator().validate(document)).toEqual({ valid: true });
  expect(Object.keys(document.paths).sort()).toEqual([
    '/health',
    '/models',
    '/models/{model}/drift',
    '/models/{model}/predict',
    '/predict',
    '/ready',
  ]);
  const { responses } = document.paths['/predict'].post;
  expect(Object.keys(responses).sort()).toEqual([
    '200',
    '400',
    '401',
    '404',
    '413',
    '415',
    '429',
    '500',
    '503',
  ]);
  expect(document.security).toEqual([{ bearer: [] }]);
  expect(document.paths['/health'].get.security).toEqual([]);
});
