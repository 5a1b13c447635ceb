/** Where a server's judgements go: files and web addresses, when they fail and when the server ends. */
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, describe, expect, test } from 'vitest';
import type { Judgement } from '../src/serve/judgement.ts';
import { ServerMetrics } from '../src/serve/metrics.ts';
import { Backlog, type BacklogOptions } from '../src/serve/sinks/backlog.ts';
import { LogFile } from '../src/serve/sinks/log_file.ts';
import { SinkReports } from '../src/serve/sinks/reports.ts';
import { Webhook } from '../src/serve/sinks/webhook.ts';

const folder = mkdtempSync(join(tmpdir(), 'aand-sinks-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const judgement = (name: string, label: 'good' | 'anomalous' = 'good'): Judgement => ({
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
});
const judged = (...rest: Parameters<typeof judgement>) => ({
  judgement: judgement(...rest),
  thumbnail: async () => new Uint8Array(),
});

function makeReports() {
  const metrics = new ServerMetrics();
  const notes: string[] = [];
  return { metrics, notes, reports: new SinkReports(metrics, (text) => notes.push(text)) };
}

describe('a backlog', () => {
  /** A backlog whose deliveries fail while `broken`. */
  function make(options: Partial<BacklogOptions<number>> = {}) {
    const state = { broken: false, delivered: [] as number[], tries: 0, given: 0 };
    const states: (string | undefined)[] = [];
    const backlog = new Backlog<number>({
      batch: 2,
      most: 5,
      pause: 20,
      longestPause: 40,
      oldest: 10_000,
      deliver: async (items) => {
        state.tries++;
        await wait(1);
        if (state.broken) throw new Error('away');
        state.delivered.push(...items);
      },
      onState: (failure) => states.push(failure?.message),
      onGivenUp: (count) => {
        state.given += count;
      },
      ...options,
    });
    return { backlog, state, states };
  }

  test('delivers in order, and what failed again when it works again', async () => {
    const { backlog, state, states } = make();
    state.broken = true;
    for (const item of [1, 2, 3]) backlog.add(item);
    await wait(100);
    expect(state.tries).toBeGreaterThan(1);
    expect(state.delivered).toEqual([]);
    state.broken = false;
    await wait(120);
    expect(state.delivered).toEqual([1, 2, 3]);
    expect(states).toEqual(['away', undefined]);
    expect([backlog.size, state.given]).toEqual([0, 0]);
  });

  test('gives up the oldest where there are too many, and what is too old', async () => {
    const { backlog, state } = make({ oldest: 150 });
    state.broken = true;
    for (let item = 1; item <= 8; item++) backlog.add(item);
    expect([backlog.size, state.given]).toEqual([5, 3]);
    await wait(400);
    expect([backlog.size, state.given]).toEqual([0, 8]);
    state.broken = false;
    backlog.add(9);
    await wait(100);
    expect(state.delivered).toEqual([9]);
  });

  test('closes when all is delivered; does not wait for a receiver that is away', async () => {
    const { backlog, state } = make();
    for (const item of [1, 2, 3]) backlog.add(item);
    await backlog.close(1000);
    expect(state.delivered).toEqual([1, 2, 3]);
    const away = make({ pause: 60_000, longestPause: 60_000 });
    away.state.broken = true;
    away.backlog.add(1);
    await wait(20);
    const begun = performance.now();
    await away.backlog.close(5000);
    expect(performance.now() - begun).toBeLessThan(1000);
    expect(away.state.given).toBe(1);
  });

  test('a delivery that hangs is ended with the grace of closing', async () => {
    const { backlog, state } = make({
      deliver: (_, signal) =>
        new Promise((__, reject) => signal.addEventListener('abort', () => reject(new Error('ended')))),
    });
    backlog.add(1);
    await backlog.close(30);
    expect(state.given).toBe(1);
  });
});

describe('a log file', () => {
  test('gets a line of JSON for each judgement, after those that were there', async () => {
    const path = join(folder, 'new/folder/log.jsonl');
    const { reports } = makeReports();
    for (const names of [['a', 'b'], ['c']]) {
      const log = await LogFile.open(path, reports);
      for (const name of names) log.take(judged(name));
      await log.close();
    }
    const lines = readFileSync(path, 'utf8').split('\n');
    expect(lines.pop()).toBe('');
    expect(lines.map((line) => JSON.parse(line))).toEqual(['a', 'b', 'c'].map((name) => judgement(name)));
  });

  test('loses the part of a line that a killed process has left, and nothing else', async () => {
    const path = join(folder, 'torn.jsonl');
    const long = `{"name":"${'x'.repeat(200_000)}"}`;
    writeFileSync(path, `${long}\n{"name":"whole"}\n`);
    appendFileSync(path, `{"na${'y'.repeat(100_000)}`);
    const { notes, reports } = makeReports();
    const log = await LogFile.open(path, reports);
    log.take(judged('next'));
    await log.close();
    expect(readFileSync(path, 'utf8')).toBe(
      `${long}\n{"name":"whole"}\n${JSON.stringify(judgement('next'))}\n`,
    );
    expect(notes).toEqual([`${path}: a part of a line at its end is cut off`]);
    writeFileSync(path, '{"only a part');
    await (await LogFile.open(path, reports)).close();
    expect(readFileSync(path, 'utf8')).toBe('');
  });

  test('is a table where its name ends in .csv; a file with another head is refused', async () => {
    const path = join(folder, 'log.csv');
    const { reports } = makeReports();
    for (const name of ['=a', 'b,c']) {
      const log = await LogFile.open(path, reports);
      log.take(judged(name, 'anomalous'));
      await log.close();
    }
    expect(readFileSync(path, 'utf8')).toBe(
      'time,model,name,pred_label,pred_score,raw_score,marked_area,largest_x_y_w_h,drift,milliseconds\n' +
        "2026-11-27T12:00:00.000Z,washer,'=a,anomalous,0.75,1.5,0.25,1 2 3 4,,12.5\n" +
        '2026-11-27T12:00:00.000Z,washer,"b,c",anomalous,0.75,1.5,0.25,1 2 3 4,,12.5\n',
    );
    writeFileSync(path, 'other,head\n1,2\n');
    await expect(LogFile.open(path, reports)).rejects.toThrow('its first line is not time,model');
    expect(readFileSync(path, 'utf8')).toBe('other,head\n1,2\n');
  });

  test('that cannot be opened is an error with its name', async () => {
    mkdirSync(join(folder, 'taken'));
    const { reports } = makeReports();
    await expect(LogFile.open(join(folder, 'taken'), reports)).rejects.toThrow('a folder has this name');
  });
});

describe('a web address', () => {
  const servers: Server[] = [];
  afterAll(() => {
    for (const server of servers) server.close();
  });

  /** A receiver that answers with these statuses, then with 204. */
  async function receiver(statuses: number[] = []) {
    const bodies: Judgement[] = [];
    const server = createServer((request, response) => {
      const parts: Buffer[] = [];
      request.on('data', (part) => parts.push(part));
      request.on('end', () => {
        const status = statuses.shift() ?? 204;
        if (status < 300) bodies.push(JSON.parse(Buffer.concat(parts).toString()));
        response.writeHead(status).end();
      });
    });
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/hook?key=secret`);
    return { url, bodies };
  }

  test('gets each judgement once it takes it, in order; its secrets stay out of notes', async () => {
    const { url, bodies } = await receiver([500, 429]);
    const { notes, reports } = makeReports();
    const hook = new Webhook(url, reports);
    for (const name of ['a', 'b']) hook.take(judged(name));
    for (let i = 0; i < 100 && bodies.length < 2; i++) await wait(100);
    expect(bodies).toEqual([judgement('a'), judgement('b')]);
    expect(notes).toEqual([
      `${url.origin}/hook: it answers with status 500; it is tried again`,
      `${url.origin}/hook: results go through again`,
    ]);
    await hook.close();
  });

  test('gets anomalous parts alone where that is asked for', async () => {
    const { url, bodies } = await receiver();
    const hook = new Webhook(url, makeReports().reports, { anomalousOnly: true });
    hook.take(judged('good one'));
    hook.take(judged('bad one', 'anomalous'));
    await hook.close();
    expect(bodies.map(({ name }) => name)).toEqual(['bad one']);
  });

  test('that is away when the server ends: what is lost is said and counted', async () => {
    const { metrics, notes, reports } = makeReports();
    const hook = new Webhook(new URL('http://127.0.0.1:1/'), reports);
    hook.take(judged('a'));
    await wait(200);
    await hook.close();
    expect(notes.at(-1)).toBe('http://127.0.0.1:1/: 1 result was not delivered and given up');
    expect(await metrics.registry.metrics()).toContain(
      'aand_sink_failures_total{sink="http://127.0.0.1:1/"} 1',
    );
  });
});
