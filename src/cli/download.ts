/**
 * Downloads. They resume, go through the proxy that the environment names, and are checked before they are
 * used.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { link, mkdir, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { EnvHttpProxyAgent, fetch, type Response } from 'undici';

const mostRedirects = 5;

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
  /** SHA-256 that the file must have, in hexadecimal digits. */
  readonly sha256: string;
  /** Bytes that the file may have at most. */
  readonly mostBytes: number;
  /** Whether it may come over plain http, also by a redirect. */
  readonly allowHttp?: boolean;
  readonly signal?: AbortSignal;
  readonly onProgress?: (received: number, total: number) => void;
}

/** An address without user, password and query, for messages. */
function shown(url: URL): string {
  return `${url.protocol}//${url.host}${url.pathname}`;
}

function checkScheme(url: URL, from: URL | undefined, allowHttp: boolean): void {
  if (url.protocol === 'https:' || (allowHttp && url.protocol === 'http:')) return;
  const where = from ? `${shown(from)} redirects to ${shown(url)}` : shown(url);
  throw new Error(
    `${where}: that is not https, so anybody on the way could change the file; --allow-http takes it ` +
      'all the same',
  );
}

const causes: readonly (readonly [RegExp, string])[] = [
  [/ENOTFOUND|EAI_AGAIN/, 'the name of the host is not known here (DNS)'],
  [/ECONNREFUSED/, 'nobody answers there (connection refused)'],
  [/ETIMEDOUT|CONNECT_TIMEOUT|HEADERS_TIMEOUT|BODY_TIMEOUT/, 'the host does not answer in time'],
  [/EHOSTUNREACH|ENETUNREACH/, 'there is no way to the host'],
  [/CERT|SELF_SIGNED|TLS|SSL|UNABLE_TO_VERIFY/, 'the connection is not secure (TLS)'],
  [/ECONNRESET|EPIPE|UND_ERR_SOCKET/, 'the connection broke'],
];

/** What stopped a transfer, in words. */
function wordsOf(error: unknown): string {
  const { message, cause, code } = error as Error & { cause?: Error & { code?: string }; code?: string };
  const sign = cause?.code ?? code ?? '';
  const words = causes.find(([pattern]) => pattern.test(sign))?.[1];
  return [words, cause?.message || message].filter(Boolean).join(': ');
}

/** Follows redirects by hand, so that each is checked before it is asked. */
async function request(
  first: URL,
  headers: Record<string, string>,
  { allowHttp = false, signal }: DownloadOptions,
): Promise<Response> {
  const dispatcher = new EnvHttpProxyAgent();
  let url = first;
  let from: URL | undefined;
  for (let i = 0; i <= mostRedirects; i++) {
    checkScheme(url, from, allowHttp);
    let response: Response;
    try {
      response = await fetch(url, { dispatcher, headers, redirect: 'manual', signal: signal ?? null });
    } catch (error) {
      if (signal?.aborted) throw error;
      throw new Error(`${shown(url)}: ${wordsOf(error)}`);
    }
    const location = response.headers.get('location');
    if (response.status < 300 || response.status >= 400 || !location) return response;
    await response.body?.cancel();
    if (!URL.canParse(location, url))
      throw new Error(`${shown(url)} redirects to something that is no address`);
    from = url;
    url = new URL(location, url);
  }
  throw new Error(`${shown(first)}: more than ${mostRedirects} redirects`);
}

/**
 * What tells whether the rest of a part is of the same file: a strong tag, or the time of its last change.
 */
function validatorOf(response: Response): string | undefined {
  const tag = response.headers.get('etag');
  return tag && !tag.startsWith('W/') ? tag : (response.headers.get('last-modified') ?? undefined);
}

/**
 * Brings a file to `path`, or leaves it there if it is whole already. What an interrupted download left in
 * `path.part` is continued where the server says that the rest belongs to it; a file of the user at `path` is
 * never replaced.
 *
 * @returns whether anything was fetched
 * @throws Error on a refused or broken transfer (the part stays), on a file that is too large or has a wrong
 *   digest (the part is deleted), and where `path` holds something else
 */
export async function download(address: string, path: string, options: DownloadOptions): Promise<boolean> {
  if (!URL.canParse(address)) throw new Error(`'${address}' is no address`);
  const url = new URL(address);
  if ((await stat(path).catch(() => undefined)) !== undefined) {
    const digest = await sha256(path);
    if (digest === options.sha256) return false;
    throw new Error(
      `${path} is there and is another file: its SHA-256 is ${digest}, ${options.sha256} was expected; ` +
        'move it away',
    );
  }
  checkScheme(url, undefined, options.allowHttp ?? false);
  await mkdir(dirname(path), { recursive: true });
  const part = `${path}.part`;
  // Address and validator of the part.
  const notes = `${part}.json`;
  const known = await readFile(notes, 'utf8')
    .then((text) => JSON.parse(text) as { url?: string; validator?: string })
    .catch(() => undefined);
  const have = known?.url === url.href && known.validator ? await sizeOf(part) : 0;
  const forget = async () => {
    for (const file of [part, notes]) await rm(file, { force: true });
  };

  const headers: Record<string, string> = { 'accept-encoding': 'identity' };
  if (have) Object.assign(headers, { range: `bytes=${have}-`, 'if-range': known?.validator ?? '' });
  const response = await request(url, headers, options);
  // 416: the server has no more bytes. The part is whole, or of another file; its digest decides.
  if (response.status !== 416) await receive(response);
  else await response.body?.cancel();

  const digest = await sha256(part);
  if (digest !== options.sha256) {
    await forget();
    throw new Error(
      `${shown(url)}: the SHA-256 is ${digest}, ${options.sha256} was expected: it is not the official ` +
        'file, or it was damaged on the way; the download was deleted',
    );
  }
  // Not renamed over what came there meanwhile.
  await link(part, path).catch(async (error) => {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST')
      throw new Error(`${path} was made meanwhile by another program`);
    await rename(part, path);
  });
  await forget();
  return true;

  async function receive({ status, statusText, body, headers: answer }: Response): Promise<void> {
    if ((status !== 200 && status !== 206) || !body) {
      await body?.cancel();
      throw new Error(`${shown(url)}: the server answers ${status} ${statusText}`.trimEnd());
    }
    const start = status === 206 ? have : 0;
    const from = Number(/^bytes (\d+)-/.exec(answer.get('content-range') ?? '')?.[1] ?? start);
    const length = Number(answer.get('content-length') ?? Number.NaN);
    const total = start + length;
    const tooLarge = (bytes: string) =>
      new Error(
        `${shown(url)}: the file has ${bytes} bytes, ${options.mostBytes} at most were expected; ` +
          'nothing of it is kept',
      );
    if (from !== start || total > options.mostBytes) {
      await body.cancel();
      await forget();
      if (from !== start)
        throw new Error(`${shown(url)}: the server sent another part than it was asked for`);
      throw tooLarge(String(total));
    }
    await writeFile(notes, JSON.stringify({ url: url.href, validator: validatorOf(response) }));
    let received = start;
    // Written piece by piece: a pipeline would drop what it holds when the connection breaks.
    const file = await open(part, start ? 'a' : 'w');
    try {
      for await (const chunk of body) {
        received += (chunk as Uint8Array).length;
        if (received > options.mostBytes) break;
        await file.write(chunk as Uint8Array);
        options.onProgress?.(received, Number.isNaN(total) ? options.mostBytes : total);
      }
    } catch (error) {
      if (options.signal?.aborted) throw error;
      if ((error as NodeJS.ErrnoException).syscall === 'write')
        throw new Error(`${part}: ${(error as Error).message}`);
      throw new Error(
        `${shown(url)}: ${wordsOf(error)} at byte ${received}; ${part} is kept, and the next call continues`,
      );
    } finally {
      await file.close();
    }
    if (received > options.mostBytes) {
      await forget();
      throw tooLarge(`more than ${options.mostBytes}`);
    }
    if (received < total)
      throw new Error(
        `${shown(url)}: the transfer ended at byte ${received} of ${total}; ${part} is kept, and the ` +
          'next call continues',
      );
  }
}
