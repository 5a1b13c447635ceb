/** The first directory of a TIFF or BigTIFF file: its fields as numbers. Further pages are not looked at. */

export interface Directory {
  readonly little: boolean;
  /** The values of a field; empty where it is missing. */
  readonly values: (tag: number) => readonly number[];
  /** The bytes of a field. */
  readonly bytes: (tag: number) => Uint8Array;
}

export function isTiff(bytes: Uint8Array): boolean {
  const [a, b, c, d] = bytes;
  return (
    (a === 0x49 && b === 0x49 && (c === 42 || c === 43) && d === 0) ||
    (a === 0x4d && b === 0x4d && c === 0 && (d === 42 || d === 43))
  );
}

/**
 * Bytes of one value of each type: 1 byte, 2 text, 3 short, 4 long, 5 rational, 6 to 12 their signed and
 * real kin, 16 to 18 BigTIFF's.
 */
const sizeOfType: Readonly<Record<number, number>> = {
  1: 1,
  2: 1,
  3: 2,
  4: 4,
  5: 8,
  6: 1,
  7: 1,
  8: 2,
  9: 4,
  10: 8,
  11: 4,
  12: 8,
  13: 4,
  16: 8,
  17: 8,
  18: 8,
};

export function readDirectory(file: Uint8Array): Directory {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const little = view.getUint8(0) === 0x49;
  const big = view.getUint16(2, little) === 43;
  if (big && view.getUint16(4, little) !== 8)
    throw new Error('its BigTIFF header names offsets of other than 8 bytes');
  const long = (at: number) => Number(view.getBigUint64(at, little));
  const start = big ? long(8) : view.getUint32(4, little);
  const entries = big ? long(start) : view.getUint16(start, little);
  const entrySize = big ? 20 : 12;
  const first = start + (big ? 8 : 2);
  if (first + entries * entrySize > file.length) throw new Error('the file is truncated in its directory');
  const places = new Map<number, { type: number; count: number; at: number }>();
  for (let i = 0; i < entries; i++) {
    const at = first + i * entrySize;
    const type = view.getUint16(at + 2, little);
    const count = big ? long(at + 4) : view.getUint32(at + 4, little);
    const value = at + (big ? 12 : 8);
    const size = count * (sizeOfType[type] ?? 0);
    const inside = size <= (big ? 8 : 4);
    places.set(view.getUint16(at, little), {
      type,
      count,
      at: inside ? value : big ? long(value) : view.getUint32(value, little),
    });
  }
  const place = (tag: number) => {
    const found = places.get(tag);
    if (!found) return undefined;
    const size = sizeOfType[found.type];
    if (size === undefined) throw new Error(`field ${tag} of its directory has a type that does not exist`);
    if (found.at + found.count * size > file.length)
      throw new Error(`the file is truncated: field ${tag} lies outside`);
    return { ...found, size };
  };
  const readers: Readonly<Record<number, (at: number) => number>> = {
    1: (at) => view.getUint8(at),
    3: (at) => view.getUint16(at, little),
    4: (at) => view.getUint32(at, little),
    13: (at) => view.getUint32(at, little),
    16: long,
    18: long,
  };
  return {
    little,
    values(tag) {
      const found = place(tag);
      if (!found) return [];
      const read = readers[found.type];
      if (!read) throw new Error(`field ${tag} of its directory is not a whole number`);
      return Array.from({ length: found.count }, (_, i) => read(found.at + i * found.size));
    },
    bytes(tag) {
      const found = place(tag);
      return found ? file.subarray(found.at, found.at + found.count * found.size) : new Uint8Array();
    },
  };
}
