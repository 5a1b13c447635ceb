/** Judgements over MQTT: a real broker (mosquitto) and a real subscriber, when they go and come back. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import type { Judgement } from '../src/serve/judgement.ts';
import { ServerMetrics } from '../src/serve/metrics.ts';
import { type MqttOptions, MqttSink } from '../src/serve/sinks/mqtt.ts';
import { SinkReports } from '../src/serve/sinks/reports.ts';
import { useFolder } from './support/command.ts';
import { hasMosquitto, useMosquitto } from './support/mosquitto.ts';
import { freePort, makeCertificates } from './support/redis.ts';

const folder = useFolder();
const mosquitto = useMosquitto(folder);

const judged = (name: string, label: 'good' | 'anomalous' = 'good') => ({
  judgement: {
    model: 'washer',
    name,
    time: '2026-11-27T12:00:00.000Z',
    raw_score: 1.5,
    pred_score: 0.75,
    pred_label: label,
    width: 64,
    height: 32,
    marked_area: 0.25,
    regions: [{ x: 1, y: 2, width: 3, height: 4, area: 0.25, peak: 0.8 }],
    milliseconds: 12.5,
    drift: null,
  } satisfies Judgement,
  thumbnail: async () => new Uint8Array(),
});

function open(options: Partial<MqttOptions> & { readonly port: number }) {
  const metrics = new ServerMetrics();
  const notes: string[] = [];
  const reports = new SinkReports(metrics, (text) => notes.push(text));
  const sink = new MqttSink({ host: '127.0.0.1', secure: false, topic: 'line/one', ...options }, reports);
  return { sink, notes, metrics };
}

const namesOf = (messages: readonly { topic: string; payload: string }[]) =>
  messages
    .filter(({ topic }) => topic === 'line/one/washer')
    .map(({ payload }) => (JSON.parse(payload) as Judgement).name);

describe.skipIf(!hasMosquitto())('with mosquitto', () => {
  test('a subscriber gets each judgement in order, and whether the server is there', async () => {
    const port = await freePort();
    await mosquitto.broker(port);
    const heard = await mosquitto.subscriber(port, 'line/#');
    const { sink, notes } = open({ port });
    for (let i = 0; i < 150; i++) sink.take(judged(`${i}`));
    await heard.count(151);
    await sink.close();
    const messages = await heard.count(152);
    expect(namesOf(messages)).toEqual(Array.from({ length: 150 }, (_, i) => `${i}`));
    expect(JSON.parse(messages.find(({ topic }) => topic === 'line/one/washer')?.payload ?? '')).toEqual(
      judged('0').judgement,
    );
    expect(messages.filter(({ topic }) => topic === 'line/one/status').map(({ payload }) => payload)).toEqual(
      ['online', 'offline'],
    );
    expect(notes).toEqual([]);
    // Who subscribes later is told how it stands.
    const later = await mosquitto.subscriber(port, 'line/one/status');
    expect(await later.count(1)).toEqual([{ topic: 'line/one/status', payload: 'offline' }]);
  });

  test('anomalous parts alone, where that is asked for', async () => {
    const port = await freePort();
    await mosquitto.broker(port);
    const heard = await mosquitto.subscriber(port, 'line/one/washer');
    const { sink } = open({ port, anomalousOnly: true });
    sink.take(judged('good one'));
    sink.take(judged('bad one', 'anomalous'));
    await heard.count(1);
    await sink.close();
    expect(namesOf(heard.messages)).toEqual(['bad one']);
  });

  test('what is judged while the broker is away comes when it is there again', async () => {
    const port = await freePort();
    const { sink, notes, metrics } = open({ port });
    sink.take(judged('before'));
    await wait(300);
    const first = await mosquitto.broker(port);
    for (let i = 0; i < 100 && notes.length < 2; i++) await wait(100);
    first.kill('SIGKILL');
    await wait(300);
    for (const name of ['a', 'b', 'c']) sink.take(judged(name));
    await mosquitto.broker(port);
    const again = await mosquitto.subscriber(port, 'line/one/washer');
    await again.count(3);
    expect(namesOf(again.messages).filter((name) => name !== 'before')).toEqual(['a', 'b', 'c']);
    await sink.close();
    expect(notes[0]).toMatch(/^mqtt:\/\/127\.0\.0\.1:\d+\/line\/one: .*ECONNREFUSED.*; it is tried again$/);
    expect(notes[1]).toMatch(/line\/one: results go through again$/);
    expect(notes).toHaveLength(4);
    expect(await metrics.registry.metrics()).not.toMatch(/aand_sink_failures_total\{/);
  });

  test('a broker that is away when the server ends is not waited for; what is lost is counted', async () => {
    const port = await freePort();
    const { sink, notes, metrics } = open({ port });
    sink.take(judged('a'));
    sink.take(judged('b'));
    await wait(300);
    const begun = performance.now();
    await sink.close();
    expect(performance.now() - begun).toBeLessThan(2000);
    expect(notes.at(-1)).toMatch(/2 results were not delivered and given up$/);
    expect(await metrics.registry.metrics()).toMatch(/aand_sink_failures_total\{sink=".*line\/one"\} 2/);
  });

  test('TLS with an own authority, user and password; a wrong password is said without it', async () => {
    const port = await freePort();
    const certificates = makeCertificates(join(folder, 'certificates'));
    const at = (name: string) => join(folder, 'certificates', name);
    const passwords = mosquitto.passwords('passwords', 'line', 's3cret');
    await mosquitto.broker(port, [
      `password_file ${passwords}`,
      `certfile ${at('server.crt')}`,
      `keyfile ${at('server.key')}`,
      `cafile ${certificates.ca}`,
    ]);
    const secure = { port, secure: true, ca: readFileSync(certificates.ca), username: 'line' };
    const heard = await mosquitto.subscriber(port, 'line/one/washer', [
      ...['--cafile', certificates.ca, '-u', 'line', '-P', 's3cret'],
    ]);
    const wrong = open({ ...secure, password: 'wr0ng' });
    const stranger = open({ ...secure, password: 's3cret', ca: readFileSync(certificates.otherCa) });
    const right = open({ ...secure, password: 's3cret' });
    right.sink.take(judged('a'));
    await heard.count(1);
    for (let i = 0; i < 100 && !(wrong.notes.length && stranger.notes.length); i++) await wait(100);
    expect(wrong.notes[0]).toMatch(/Not authorized; it is tried again$/);
    expect(stranger.notes[0]).toMatch(/certificate/);
    expect(right.notes).toEqual([]);
    for (const { sink, notes } of [wrong, stranger, right]) {
      await sink.close();
      expect(notes.join()).not.toMatch(/s3cret|wr0ng/);
    }
  });
});
