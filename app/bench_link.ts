/**
 * Results in a link: compressed, after the `#` of the page's address, which browsers keep to themselves. A
 * link comes from anybody, so what it holds is bounded and checked.
 */
import { type BenchReport, readReport } from '../src/bench/report.ts';

const prefix = '#bench=';
/** Chat programs and browsers take addresses of this length. */
const longestLink = 32_000;
/** What a link's data may become: some hundred cases. */
const mostBytes = 1_000_000;

async function through(data: Uint8Array<ArrayBuffer>, stream: GenericTransformStream): Promise<Uint8Array> {
  const reader = (new Blob([data]).stream().pipeThrough(stream) as ReadableStream<Uint8Array>).getReader();
  const parts: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    length += value.length;
    if (length > mostBytes) {
      await reader.cancel();
      throw new Error('the link holds more than a page of results');
    }
    parts.push(value);
  }
  const all = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

function base64(bytes: Uint8Array): string {
  const text = Array.from(bytes, (byte) => String.fromCharCode(byte)).join('');
  return btoa(text).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
}

function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0));
}

/**
 * A link to this page that holds the results, without their single runs.
 *
 * @throws Error where they are too many for a link
 */
export async function reportLink(report: BenchReport): Promise<string> {
  const { description, vendor } = report.adapter;
  const results = report.results.map(({ samples_ms: _, ...result }) => result);
  const short: BenchReport = { ...report, adapter: { description, vendor, features: [] }, results };
  const bytes = new TextEncoder().encode(JSON.stringify(short));
  const packed = base64(await through(bytes, new CompressionStream('deflate-raw')));
  const link = `${location.href.split('#')[0]}${prefix}${packed}`;
  if (link.length > longestLink)
    throw new Error(`${results.length} cases are too many for a link: save them as a file`);
  return link;
}

/**
 * The results that the page's address holds; undefined where it holds none.
 *
 * @throws Error where they are damaged
 */
export async function linkedReport(): Promise<BenchReport | undefined> {
  const { hash } = location;
  if (!hash.startsWith(prefix)) return undefined;
  let text: string;
  try {
    if (hash.length > longestLink) throw new Error('the link is too long');
    const packed = fromBase64(hash.slice(prefix.length));
    text = new TextDecoder().decode(await through(packed, new DecompressionStream('deflate-raw')));
  } catch {
    throw new Error('The results in this link are damaged: the link was cut, or changed on its way.');
  }
  return readReport(text, 'this link');
}
