/**
 * Downloads against local servers: whole, resumed, refused, cut off, wrong, too large; over https; through a
 * proxy.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { download } from '../src/cli/download.ts';
import { officialWeights } from '../src/weights/official.ts';
import { bundle } from './support/bundle.ts';
import { freePort, makeCertificates } from './support/redis.ts';

const folder = mkdtempSync(join(tmpdir(), 'aand-download-'));
const content = Uint8Array.from({ length: 300_000 }, (_, i) => (i * 7) % 251);
const sha256 = createHash('sha256').update(content).digest('hex');
const mostBytes = content.length;
/** The servers here speak plain http. */
const http = { sha256, mostBytes, allowHttp: true };
const requests: { url: string | undefined; range: string | undefined; ifRange: string | undefined }[] = [];
let server: Server;
let base: string;
let answer: (request: IncomingMessage, response: ServerResponse) => void;

const tag = '"the file"';

/** A server that knows ranges, and only continues the file that it has. */
function whole(request: IncomingMessage, response: ServerResponse): void {
  const same = request.headers['if-range'] === tag;
  const start = same ? Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0) : 0;
  if (start >= content.length) {
    response.writeHead(416).end();
    return;
  }
  const range = start ? { 'content-range': `bytes ${start}-${content.length - 1}/${content.length}` } : {};
  response.writeHead(start ? 206 : 200, { 'content-length': content.length - start, etag: tag, ...range });
  response.end(content.subarray(start));
}

/** Sends the beginning, and breaks when something of it has arrived at the path. */
function broken(path: string, etag: string) {
  return (_: IncomingMessage, response: ServerResponse) => {
    response.writeHead(200, { 'content-length': content.length, etag });
    response.write(content.subarray(0, 100_000));
    const watch = setInterval(() => {
      if (!existsSync(`${path}.part`) || !statSync(`${path}.part`).size) return;
      clearInterval(watch);
      response.destroy();
    }, 5);
  };
}

beforeAll(async () => {
  server = createServer((request, response) => {
    requests.push({
      url: request.url,
      range: request.headers.range,
      ifRange: String(request.headers['if-range']),
    });
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
    await download(`${base}/x`, path, {
      ...http,
      onProgress: (received, total) => seen.push(received / total),
    }),
  ).toBe(true);
  expect(Uint8Array.from(readFileSync(path))).toEqual(content);
  expect(seen.at(-1)).toBe(1);
  expect(await download(`${base}/x`, path, http)).toBe(false);
  expect(requests).toHaveLength(1);
});

test('a transfer that breaks keeps its part, and the next call continues there', async () => {
  const path = join(folder, 'resumed.pth');
  answer = broken(path, tag);
  await expect(download(`${base}/x`, path, http)).rejects.toThrow(
    /: the connection broke: .* at byte \d+; .*resumed\.pth\.part is kept, and the next call continues/,
  );
  expect(existsSync(path)).toBe(false);
  const have = readFileSync(`${path}.part`).length;
  expect(have).toBeGreaterThan(0);
  answer = whole;
  await download(`${base}/x`, path, http);
  expect(requests.at(-1)).toMatchObject({ range: `bytes=${have}-`, ifRange: tag });
  expect(Uint8Array.from(readFileSync(path))).toEqual(content);
  expect(readdirSync(folder).filter((name) => name.startsWith('resumed'))).toEqual(['resumed.pth']);
});

test('a part of another file or of unknown origin is not continued', async () => {
  const path = join(folder, 'other.pth');
  answer = broken(path, '"an older file"');
  await expect(download(`${base}/x`, path, http)).rejects.toThrow(/is kept/);
  // The server has another file now: it sends the whole of it.
  answer = whole;
  await download(`${base}/x`, path, http);
  expect(requests.at(-1)).toMatchObject({ ifRange: '"an older file"' });
  expect(Uint8Array.from(readFileSync(path))).toEqual(content);
  rmSync(path);
  answer = broken(path, tag);
  await expect(download(`${base}/x`, path, http)).rejects.toThrow(/is kept/);
  answer = whole;
  await download(`${base}/another-address`, path, http);
  expect(requests.at(-1)?.range).toBeUndefined();
  rmSync(path);
  writeFileSync(`${path}.part`, content.subarray(0, 500));
  await download(`${base}/x`, path, http);
  expect(requests.at(-1)?.range).toBeUndefined();
  expect(Uint8Array.from(readFileSync(path))).toEqual(content);
});

test('a transfer that ends early says where, and continues', async () => {
  const path = join(folder, 'early.pth');
  answer = (_, response) => {
    response.writeHead(200, { 'content-length': content.length, etag: tag });
    response.write(content.subarray(0, 1000), () => response.socket?.end());
  };
  await expect(download(`${base}/x`, path, http)).rejects.toThrow(/at byte \d+.*early\.pth\.part is kept/);
  answer = whole;
  expect(await download(`${base}/x`, path, http)).toBe(true);
});

test('a file that is larger than expected ends at once, told or not; nothing of it is kept', async () => {
  const path = join(folder, 'large.pth');
  const large = new Uint8Array(content.length + 1);
  answer = (_, response) => response.writeHead(200, { 'content-length': large.length }).end(large);
  await expect(download(`${base}/x`, path, http)).rejects.toThrow(
    /the file has 300001 bytes, 300000 at most were expected/,
  );
  answer = (_, response) => {
    response.writeHead(200);
    // Without a length, and without an end.
    const send = (): void => {
      while (response.write(large));
      response.once('drain', send);
    };
    send();
  };
  await expect(download(`${base}/x`, path, http)).rejects.toThrow(/has more than 300000 bytes/);
  expect(readdirSync(folder).filter((name) => name.startsWith('large'))).toEqual([]);
});

test('a wrong file is deleted, a file that was there is named and kept, a refusal says its number', async () => {
  const path = join(folder, 'wrong.pth');
  answer = (_, response) => response.end('something else');
  await expect(download(`${base}/x`, path, http)).rejects.toThrow(
    new RegExp(`SHA-256 is [0-9a-f]{64}, ${sha256} was expected.*the download was deleted`),
  );
  expect(readdirSync(folder).filter((name) => name.startsWith('wrong'))).toEqual([]);
  writeFileSync(path, 'mine');
  await expect(download(`${base}/x`, path, http)).rejects.toThrow(
    /is there and is another file.*move it away/,
  );
  // An empty one is the user's too.
  writeFileSync(path, '');
  await expect(download(`${base}/x`, path, http)).rejects.toThrow(/is there and is another file/);
  expect(readFileSync(path, 'utf8')).toBe('');
  answer = (_, response) => response.writeHead(404).end();
  await expect(download(`${base}/x`, join(folder, 'none.pth'), http)).rejects.toThrow(
    /\/x: the server answers 404/,
  );
  expect(existsSync(join(folder, 'none.pth.part'))).toBe(false);
});

test('what is wrong with the way is said: http, redirects, names, ports', async () => {
  const path = join(folder, 'way.pth');
  const strict = { sha256, mostBytes };
  await expect(download(`${base}/x?token=secret`, path, strict)).rejects.toThrow(
    new RegExp(`^${base}/x: that is not https, .*--allow-http`),
  );
  await expect(download('ftp://host/x', path, http)).rejects.toThrow(/not https/);
  await expect(download('x', path, http)).rejects.toThrow(/is no address/);
  expect(requests).toEqual([]);
  answer = (request, response) => {
    if (request.url === '/whole') return whole(request, response);
    response.writeHead(302, { location: request.url === '/once' ? '/whole' : '/again' }).end();
  };
  expect(await download(`${base}/once`, path, http)).toBe(true);
  await expect(download(`${base}/again`, join(folder, 'round.pth'), http)).rejects.toThrow(
    /more than 5 redirects/,
  );
  const nobody = `http://127.0.0.1:${await freePort()}/x`;
  await expect(download(nobody, join(folder, 'c.pth'), http)).rejects.toThrow(/nobody answers there/);
  await expect(download('http://host.invalid/x', join(folder, 'd.pth'), http)).rejects.toThrow(/\(DNS\)/);
});

test('over https: an untrusted certificate and a redirect to http are refused', async () => {
  const certificates = makeCertificates(join(folder, 'certificates'));
  const [cert, key] = ['server.crt', 'server.key'].map((name) =>
    readFileSync(join(folder, 'certificates', name)),
  );
  const secure = createSecureServer({ cert, key }, (_, response) =>
    response.writeHead(302, { location: `${base}/x?token=secret` }).end(),
  );
  await new Promise<void>((listening) => secure.listen(0, '127.0.0.1', listening));
  const url = `https://127.0.0.1:${(secure.address() as AddressInfo).port}/x`;
  await expect(download(url, join(folder, 'tls.pth'), http)).rejects.toThrow(
    /the connection is not secure \(TLS\)/,
  );
  // Only a process that begins with it trusts the authority.
  const script = join(folder, 'pull.mjs');
  await bundle('src/cli/download.ts', join(process.cwd(), 'node_modules', '.aand-download.mjs'), 'node');
  writeFileSync(
    script,
    `import { download } from '${join(process.cwd(), 'node_modules', '.aand-download.mjs')}';
    await download('${url}', '${join(folder, 'tls.pth')}', { sha256: 'x', mostBytes: 1 }).catch((error) => console.log(error.message));`,
  );
  const said = await promisify(execFile)('node', [script], {
    env: { ...process.env, NODE_EXTRA_CA_CERTS: certificates.ca },
  });
  rmSync(join(process.cwd(), 'node_modules', '.aand-download.mjs'));
  expect(said.stdout).toMatch(new RegExp(`^${url} redirects to ${base}/x: that is not https`));
  expect(requests).toEqual([]);
  secure.close();
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
  const through = download('http://weights.invalid/x', join(folder, 'proxied.pth'), http);
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

test('the official files are named with the beginning of their digest', () => {
  for (const { file, sha256: digest, url, bytes } of Object.values(officialWeights)) {
    expect(digest).toMatch(/^[0-9a-f]{64}$/);
    expect(url.startsWith('https://') && url.endsWith(`/${file}`)).toBe(true);
    expect(/-([0-9a-f]{8})\./.exec(file)?.[1]).toBe(digest.slice(0, 8));
    expect(bytes).toBeGreaterThan(40_000_000);
  }
});
