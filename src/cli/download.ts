/** Downloads that resume, go through the proxy of the environment, and are checked before they are believed. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { EnvHttpProxyAgent, fetch } from 'undici';

async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

async function sizeOf(path: string): Promise<number> {
  return stat(path).then(
    ({ size }) => size,
    () => 0,
  );
}

export interface DownloadOptions {
  /** First digits of the SHA-256 that the file must have. */
  readonly sha256: string;
  readonly signal?: AbortSignal;
  readonly onProgress?: (received: number, total: number) => void;
}

/**
 * Brings a file to `path`, or leaves it there if it is whole already. What an interrupted download left in `path.part` is
 * continued.
 *
 * @returns whether anything was fetched
 * @throws Error on a refused or broken transfer (the part stays), or on a wrong checksum (the part is deleted)
 */
export async function download(url: string, path: string, options: DownloadOptions): Promise<boolean> {
  if ((await sizeOf(path)) > 0) {
    if ((await sha256(path)).startsWith(options.sha256)) return false;
    throw new Error(
      `${path}: its SHA-256 does not begin with ${options.sha256}: it is not the official file; move it away`,
    );
  }
  await mkdir(dirname(path), { recursive: true });
  const part = `${path}.part`;
  const have = await sizeOf(part);
  const response = await fetch(url, {
    dispatcher: new EnvHttpProxyAgent(),
    headers: have ? { range: `bytes=${have}-` } : {},
    signal: options.signal ?? null,
  });
  // 416: the part is whole already; 200 in spite of the range: the server starts over.
  if (response.status !== 416) {
    if (!response.ok || !response.body)
      throw new Error(`${url}: the server answers ${response.status} ${response.statusText}`);
    const start = response.status === 206 ? have : 0;
    const total = start + Number(response.headers.get('content-length') ?? 0);
    let received = start;
    // Written piece by piece: a pipeline would drop what it holds when the connection breaks.
    const file = await open(part, start ? 'a' : 'w');
    try {
      for await (const chunk of response.body) {
        await file.write(chunk as Uint8Array);
        received += (chunk as Uint8Array).length;
        options.onProgress?.(received, total);
      }
    } finally {
      await file.close();
    }
    if (total > start && received < total)
      throw new Error(`${url}: the transfer ended at byte ${received} of ${total}`);
  } else await response.body?.cancel();
  const digest = await sha256(part);
  if (!digest.startsWith(options.sha256)) {
    await rm(part);
    throw new Error(
      `${url}: the SHA-256 is ${digest.slice(0, 16)}..., ${options.sha256}... was expected; the download was deleted`,
    );
  }
  await rename(part, path);
  return true;
}
