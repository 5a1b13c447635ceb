/** Downloads against a local server: whole, resumed, refused, cut off, wrong; through a proxy. */
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { download } from '../src/cli/download.ts';
import { officialWeights } from '../src/weights/official.ts';

const folder = mkdtempSync(join(tmpdir(), 'aand-download-'));
const content = Uint8Array.from({ length: 300_000 }, (_, i) => (i * 7) % 251);
const sha256 = createHash('sha256').update(content).digest('hex').slice(0, 8);
const requests: { url: string | undefined; range: string | undefined }[] = [];
let server: Server;
let base: string;
let answer: (request: IncomingMessage, response: ServerResponse) => void;

/** A server that knows ranges. */
function whole(request: IncomingMessage, response: ServerResponse): void {
  const start = Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
  if (start >= content.length) {
    response.writeHead(416).end();
    return;
  }
  response.writeHead(start ? 206 : 200, { 'content-length': content.length - start });
  response.end(content.subarray(start));
}

beforeAll(async () => {
  server = createServer((request, response) => {
    requests.push({ url: request.url, range: request.headers.range });
    answer(request, response);
  });
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.close();
  rmSync(folder, { recursive: true, force: true });
});
afterEach(() => {
  requests.length = 0;
  delete process.env.http_proxy;
});

test('whole, with progress; a second call fetches nothing', async () => {
  answer = whole;
  const path = join(folder, 'a/whole.pth');
  const seen: number[] = [];
  expect(
    await download(`${base}/x`, path, { sha256, onProgress: (received, total) => seen.push(received / total) }),
  ).toBe(true);
  expect(Uint8Array.from(readFileSync(path))).toEqual(content);
  expect(seen.at(-1)).toBe(1);
  expect(await download(`${base}/x`, path, { sha256 })).toBe(false);
  expect(requests).toHaveLength(1);
});

test('a transfer that breaks keeps its part, and the next call continues there', async () => {
  const path = join(folder, 'resumed.pth');
  answer = (_, response) => {
    response.writeHead(200, { 'content-length': content.length });
    response.write(content.subarray(0, 100_000));
    // Breaks when something has arrived.
    const watch = setInterval(() => {
      if (!existsSync(`${path}.part`) || !statSync(`${path}.part`).size) return;
      clearInterval(watch);
      response.destroy();
    }, 5);
  };
  await expect(download(`${base}/x`, path, { sha256 })).rejects.toThrow();
  expect(existsSync(path)).toBe(false);
  const have = readFileSync(`${path}.part`).length;
  expect(have).toBeGreaterThan(0);
  answer = whole;
  await download(`${base}/x`, path, { sha256 });
  expect(requests.at(-1)?.range).toBe(`bytes=${have}-`);
  expect(Uint8Array.from(readFileSync(path))).toEqual(content);
});

test('a whole part is only checked; a server without ranges starts over', async () => {
  const path = join(folder, 'part.pth');
  writeFileSync(`${path}.part`, content);
  answer = whole;
  await download(`${base}/x`, path, { sha256 });
  expect(Uint8Array.from(readFileSync(path))).toEqual(content);
  const other = join(folder, 'other.pth');
  writeFileSync(`${other}.part`, content.subarray(0, 500));
  answer = (_, response) => response.end(content);
  await download(`${base}/x`, other, { sha256 });
  expect(readFileSync(other)).toHaveLength(content.length);
});

test('a wrong file is deleted, a wrong file that was there is named, a refusal says its number', async () => {
  const path = join(folder, 'wrong.pth');
  answer = (_, response) => response.end('something else');
  await expect(download(`${base}/x`, path, { sha256 })).rejects.toThrow(
    new RegExp(`SHA-256 is [0-9a-f]{16}\\.\\.\\., ${sha256}\\.\\.\\. was expected; the download was deleted`),
  );
  expect(existsSync(path) || existsSync(`${path}.part`)).toBe(false);
  writeFileSync(path, 'mine');
  await expect(download(`${base}/x`, path, { sha256 })).rejects.toThrow(/it is not the official file; move it away/);
  answer = (_, response) => response.writeHead(404).end();
  await expect(download(`${base}/x`, join(folder, 'none.pth'), { sha256 })).rejects.toThrow(/the server answers 404/);
});

test('the proxy of the environment is used', async () => {
  answer = whole;
  process.env.http_proxy = base;
  // A plain-http proxy gets the whole address, or a tunnel request, for a host that nobody knows.
  const connected = new Promise<string>((seen) =>
    server.once('connect', (request, socket) => {
      seen(request.url ?? '');
      socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n');
    }),
  );
  const through = download('http://weights.invalid/x', join(folder, 'proxied.pth'), { sha256 });
  const outcome = await Promise.race([
    connected,
    through.then(
      () => requests.at(-1)?.url ?? '',
      () => 'failed',
    ),
  ]);
  through.catch(() => {});
  expect(outcome).toMatch(/weights\.invalid/);
});

test('the official files are named with the beginning of their checksum', () => {
  for (const { file, sha256: digits, url } of Object.values(officialWeights)) {
    expect(digits).toMatch(/^[0-9a-f]{8}$/);
    expect(url.endsWith(`${file}`) && file.includes(digits)).toBe(true);
  }
});
