/** Bytes from the web, the same way in Node and in browsers. */
import { describedError } from '../base/errors.ts';

/**
 * What an address (http, https, data, blob) gives.
 *
 * @throws Error naming the address, and the server's answer where it is no success
 */
export async function fetchBytes(address: string, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
  const shown = address.length > 200 ? `${address.slice(0, 200)}...` : address;
  let answer: Response;
  try {
    answer = await fetch(address, { ...(signal && { signal }) });
  } catch (error) {
    signal?.throwIfAborted();
    const { message } = describedError((error as Error).cause ?? error, 'no answer');
    throw new Error(`${shown}: could not be fetched (${message})`, { cause: error });
  }
  if (!answer.ok)
    throw new Error(`${shown}: the server answered ${answer.status} ${answer.statusText}`.trimEnd());
  return new Uint8Array(await answer.arrayBuffer());
}
