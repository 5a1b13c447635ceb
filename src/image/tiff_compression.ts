/** Compressions of TIFF that are plain enough to be undone here. */
import { unzlibSync } from 'fflate';

/** Runs of Apple's PackBits. */
export function unpackBits(source: Uint8Array, size: number): Uint8Array {
  const result = new Uint8Array(size);
  let at = 0;
  let filled = 0;
  while (filled < size) {
    const count = source[at++];
    if (count === undefined) throw new Error('its compressed data end too early');
    if (count < 128) {
      const run = source.subarray(at, at + count + 1);
      if (run.length < count + 1) throw new Error('its compressed data end too early');
      result.set(run.subarray(0, size - filled), filled);
      filled += run.length;
      at += run.length;
    } else if (count > 128) {
      const value = source[at++];
      if (value === undefined) throw new Error('its compressed data end too early');
      result.fill(value, filled, filled + 257 - count);
      filled += 257 - count;
    }
  }
  return result;
}

const clearCode = 256;
const endCode = 257;

/** LZW as TIFF 6 has it: highest bits first, codes one bit longer one code early. */
export function unpackLzw(source: Uint8Array, size: number): Uint8Array {
  if (source[0] === 0 && (source[1] as number) & 1)
    throw new Error('LZW in the order of TIFF 4 cannot be read: save the file anew');
  const result = new Uint8Array(size);
  // The text of a code stands in the result already: that of the code before it and the byte that follows
  // there.
  const starts = new Uint32Array(4096);
  const lengths = new Uint32Array(4096);
  let next = endCode + 1;
  let width = 9;
  let held = 0;
  let bits = 0;
  let at = 0;
  let filled = 0;
  let previous = 0;
  while (filled < size) {
    while (bits < width) {
      if (at >= source.length) throw new Error('its compressed data end too early');
      held = ((held << 8) | (source[at++] as number)) & 0xffffff;
      bits += 8;
    }
    bits -= width;
    const code = (held >> bits) & ((1 << width) - 1);
    if (code === clearCode) {
      next = endCode + 1;
      width = 9;
      previous = 0;
      continue;
    }
    if (code === endCode) throw new Error('its compressed data end too early');
    if (previous > 0 && next < 4096) {
      starts[next] = filled - previous;
      lengths[next] = previous + 1;
      next++;
      if (next + 1 >= 1 << width && width < 12) width++;
    }
    if (code < 256) {
      result[filled++] = code;
      previous = 1;
      continue;
    }
    if (code >= next) throw new Error('its compressed data are damaged');
    const start = starts[code] as number;
    previous = lengths[code] as number;
    // One byte after the other: a text may reach into its own copy.
    for (let i = 0; i < previous; i++) result[filled + i] = result[start + i] as number;
    filled += previous;
  }
  return result;
}

/** Zlib data. */
export function unpackDeflate(source: Uint8Array, size: number): Uint8Array {
  const result = unzlibSync(source, { out: new Uint8Array(size) });
  if (result.length < size) throw new Error('its compressed data end too early');
  return result;
}
