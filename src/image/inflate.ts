/** Zlib data through the platform's own decompressor, which Node and browsers share. */

/**
 * The first `size` bytes of zlib data.
 *
 * @throws Error where the data are damaged or give fewer bytes
 */
export async function inflate(parts: readonly Uint8Array[], size: number): Promise<Uint8Array> {
  const result = new Uint8Array(size);
  const source = new ReadableStream<Uint8Array<ArrayBuffer>>({
    start(controller) {
      for (const part of parts) controller.enqueue(part as Uint8Array<ArrayBuffer>);
      controller.close();
    },
  });
  const reader = source.pipeThrough(new DecompressionStream('deflate')).getReader();
  let filled = 0;
  try {
    while (filled < size) {
      const { done, value } = await reader.read();
      if (done) break;
      result.set(value.subarray(0, size - filled), filled);
      filled += value.length;
    }
  } catch (error) {
    throw new Error(`its compressed data are damaged or end too early (${(error as Error).message})`);
  } finally {
    // The data behind the pixels are not waited for: they may be damaged.
    reader.cancel().catch(() => {});
  }
  if (filled < size) throw new Error('its compressed data end too early');
  return result;
}
