/**
 * Load on `aand serve`: the server as a process of its own, many requests on loopback, nothing may be lost.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { encodePng } from '#platform';
import { packagedFile } from '../src/cli/package.ts';
import { demoProducts, drawPart, type Product } from '../src/synthetic/demo_products.ts';

export interface LoadOptions {
  /** The model file, and what results call it. */
  readonly model: string;
  readonly name: string;
  readonly requests: number;
  /** Senders that each wait for their answer before they send again. */
  readonly concurrency: number;
  /** The file of the command; default: that of the build. */
  readonly cli?: string;
  /** Folder for the server's log. */
  readonly folder: string;
  /** Bodies that are sent in turn; default: photographs of the demo's washer. */
  readonly pictures?: readonly Uint8Array[];
  readonly onProgress?: (done: number, total: number) => void;
}

/** What one run has shown. */
export interface LoadResult {
  readonly name: string;
  readonly requests: number;
  readonly concurrency: number;
  readonly seconds: number;
  readonly requests_per_s: number;
  /** From the first byte that is sent to the last one of the answer. */
  readonly p50_ms: number;
  readonly p99_ms: number;
  readonly slowest_ms: number;
  /** Requests without an answer of status 200. */
  readonly failed: number;
  /** Answers that the server's log lacks, and lines that nobody asked for. */
  readonly missing: number;
  readonly surplus: number;
  /** Resident memory of the server in MiB: once a twentieth of the requests is done, and so on to the end. */
  readonly memory_mib: readonly number[];
  /** Mean of the last fifth of these less that of the second fifth. */
  readonly memory_growth_mib: number;
}

const drawn = 16;
const looks = 20;

/** Photographs of the demo's washer, good and with defects, 256 pixels. */
async function photographs(): Promise<Uint8Array[]> {
  const product = demoProducts[0] as Product;
  const defects = [undefined, ...Object.keys(product.defects)];
  return Promise.all(
    Array.from({ length: drawn }, (_, i) =>
      encodePng(drawPart(product, defects[i % defects.length], 0, i).image),
    ),
  );
}

/** Starts a server, and waits for its address. */
async function startServer(cli: string, model: string, log: string, capacity: number) {
  const child = spawn(
    process.execPath,
    [cli, 'serve', model, '--port', '0', '--log', log, '--capacity', `${capacity}`],
    { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, AAND_TOKEN: '' } },
  );
  let said = '';
  const address = await new Promise<string>((resolve, reject) => {
    const hear = (data: Buffer) => {
      said += data;
      const [, found] = /listening on (http:\S+)/.exec(said) ?? [];
      if (found) resolve(found);
    };
    child.stdout.on('data', hear);
    child.stderr.on('data', hear);
    child.once('close', () => reject(new Error(`aand serve has ended: ${said}`)));
  });
  return { child, address };
}

/** Sends a body. @returns the status of the answer, once it is whole; undefined where there is none */
function post(url: URL, body: Uint8Array, agent: Agent): Promise<number | undefined> {
  return new Promise((resolve) => {
    const sent = request(url, { method: 'POST', agent, headers: { 'content-length': body.length } });
    sent.on('response', (response) => {
      response.resume();
      response.on('end', () => resolve(response.statusCode));
      response.on('error', () => resolve(undefined));
    });
    sent.on('error', () => resolve(undefined));
    sent.end(body);
  });
}

async function memoryOf(address: string): Promise<number> {
  const text = await (await fetch(`${address}/metrics`)).text();
  return Number(/^process_resident_memory_bytes (\S+)/m.exec(text)?.[1]) / 2 ** 20;
}

async function stop(child: ChildProcess): Promise<void> {
  child.kill('SIGTERM');
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`aand serve ended with code ${code}`);
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** A value that so many per cent of the others do not exceed. */
function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

/**
 * Sends requests to a server of its own, then stops it and counts what its log holds.
 *
 * @throws Error where the server does not start, or does not end well
 */
export async function measureLoad({
  model,
  name,
  requests,
  concurrency,
  cli = packagedFile('dist/cli.js'),
  folder,
  pictures,
  onProgress,
}: LoadOptions): Promise<LoadResult> {
  const bodies = pictures ?? (await photographs());
  const log = join(folder, `${name}-${concurrency}.jsonl`);
  const { child, address } = await startServer(cli, model, log, Math.max(32, concurrency));
  const agent = new Agent({ keepAlive: true, maxSockets: concurrency });
  const times: number[] = [];
  const memory: number[] = [];
  const answered = new Set<string>();
  let [next, done, failed] = [0, 0, 0];
  const every = Math.max(1, Math.floor(requests / looks));
  const sender = async () => {
    while (next < requests) {
      const number = next++;
      const begun = performance.now();
      const status = await post(
        new URL(`/predict?name=${number}`, address),
        bodies[number % bodies.length] as Uint8Array,
        agent,
      );
      times.push(performance.now() - begun);
      if (status === 200) answered.add(`${number}`);
      else failed++;
      onProgress?.(++done, requests);
      if (done % every === 0) memory.push(await memoryOf(address));
    }
  };
  const begun = performance.now();
  try {
    await Promise.all(Array.from({ length: concurrency }, sender));
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  } finally {
    agent.destroy();
  }
  const seconds = (performance.now() - begun) / 1000;
  await stop(child);
  const lines = readFileSync(log, 'utf8').split('\n').slice(0, -1);
  const logged = lines.map((line) => (JSON.parse(line) as { readonly name: string }).name);
  const found = new Set(logged);
  times.sort((a, b) => a - b);
  const fifth = Math.max(1, Math.floor(memory.length / 5));
  return {
    name,
    requests,
    concurrency,
    seconds,
    requests_per_s: answered.size / seconds,
    p50_ms: percentile(times, 0.5),
    p99_ms: percentile(times, 0.99),
    slowest_ms: times.at(-1) ?? Number.NaN,
    failed,
    missing: [...answered].filter((each) => !found.has(each)).length,
    surplus: logged.length - [...found].filter((each) => answered.has(each)).length,
    memory_mib: memory.map((value) => Number(value.toFixed(1))),
    memory_growth_mib: mean(memory.slice(-fifth)) - mean(memory.slice(fifth, 2 * fifth)),
  };
}
