/** Compressions of TIFF that are plain enough to be undone here. */

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
  // The text of a code: its last byte, the code of what stands before, its length.
  const last = new Uint8Array(4096);
  const before = new Uint16Array(4096);
  const length = new Uint16Array(4096);
  for (let i = 0; i < 256; i++) {
    last[i] = i;
    length[i] = 1;
  }
  let next = endCode + 1;
  let width = 9;
  let held = 0;
  let bits = 0;
  let at = 0;
  let filled = 0;
  let previous = -1;
  while (filled < size) {
    while (bits < width) {
      const byte = source[at++];
      if (byte === undefined) throw new Error('its compressed data end too early');
      held = ((held << 8) | byte) & 0xffffff;
      bits += 8;
    }
    bits -= width;
    const code = (held >> bits) & ((1 << width) - 1);
    if (code === clearCode) {
      next = endCode + 1;
      width = 9;
      previous = -1;
      continue;
    }
    if (code === endCode) throw new Error('its compressed data end too early');
    if (code > next || (previous < 0 && code > 255)) throw new Error('its compressed data are damaged');
    const known = code < next;
    const from = known ? code : previous;
    const count = (length[from] as number) + (known ? 0 : 1);
    let write = filled + (length[from] as number) - 1;
    let walk = from;
    let first = 0;
    for (let left = length[from] as number; left > 0; left--, write--) {
      first = last[walk] as number;
      if (write < size) result[write] = first;
      walk = before[walk] as number;
    }
    if (!known && filled + count - 1 < size) result[filled + count - 1] = first;
    filled += count;
    if (previous >= 0 && next < 4096) {
      last[next] = first;
      before[next] = previous;
      length[next] = (length[previous] as number) + 1;
      next++;
      if (next + 1 >= 1 << width && width < 12) width++;
    }
    previous = code;
  }
  return result;
}
