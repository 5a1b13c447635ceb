/** Seeded damage of safetensors files: bytes, header, metadata, settings. */
import type { RandomStream } from '../../src/base/random.ts';

export interface Header {
  __metadata__: Record<string, string>;
  [name: string]: { dtype?: unknown; shape?: unknown; data_offsets?: unknown } | Record<string, string>;
}

/** A file in memory with room before it, so that another header needs no copy of the data. */
export class Subject {
  readonly #memory: Uint8Array<ArrayBuffer>;
  readonly #data: number;
  readonly #original: Uint8Array;

  constructor(file: Uint8Array) {
    const head = 8 + Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true));
    const room = head + 2 ** 20;
    this.#data = room + ((8 - (room % 8)) % 8);
    this.#original = file;
    this.#memory = new Uint8Array(this.#data + file.length - head + 4096);
    this.restore();
  }

  get dataLength(): number {
    return this.#original.length - this.headLength;
  }

  get headLength(): number {
    return 8 + Number(new DataView(this.#original.buffer, this.#original.byteOffset).getBigUint64(0, true));
  }

  /** The file as it was written, in memory that may be changed; `extra` bytes follow it. */
  file(extra = 0): Uint8Array<ArrayBuffer> {
    return this.#memory.subarray(this.#data - this.headLength, this.#data + this.dataLength + extra);
  }

  originalByte(at: number): number {
    return this.#original[at] as number;
  }

  header(): Header {
    return JSON.parse(new TextDecoder().decode(this.#original.subarray(8, this.headLength)));
  }

  /** The file with another header text before the same data. */
  withHeader(text: string): Uint8Array<ArrayBuffer> {
    const bytes = new TextEncoder().encode(text);
    const start = this.#data - bytes.length - 8;
    new DataView(this.#memory.buffer).setBigUint64(start, BigInt(bytes.length), true);
    this.#memory.set(bytes, start + 8);
    return this.#memory.subarray(start, this.#data + this.dataLength);
  }

  /** Undoes what was done to the bytes from `from` to `to` of the file; everything by default. */
  restore(from = 0, to = this.#original.length): void {
    this.#memory.set(this.#original.subarray(from, to), this.#data - this.headLength + from);
  }
}

export interface Mutation {
  readonly bytes: Uint8Array;
  undo(): void;
}

type Mutate = (subject: Subject, random: RandomStream) => Mutation;

const pick = <T>(random: RandomStream, list: readonly T[]): T =>
  list[random.integer(0, list.length - 1)] as T;

/** Changes bytes in place, within a range of the file. */
function inPlace(from: number, to: number, change: (bytes: Uint8Array) => void, subject: Subject): Mutation {
  const bytes = subject.file();
  change(bytes.subarray(from, to));
  return { bytes, undo: () => subject.restore(from, to) };
}

function flip(low: (subject: Subject) => number, high: (subject: Subject) => number): Mutate {
  return (subject, random) => {
    const at = random.integer(low(subject), high(subject) - 1);
    const bit = 1 << random.integer(0, 7);
    return inPlace(at, at + 1, (bytes) => bytes.set([(bytes[0] as number) ^ bit]), subject);
  };
}

/** Another header; the text is JSON of the changed object unless `text` makes its own. */
function header(change: (header: Header, random: RandomStream) => string | undefined): Mutate {
  return (subject, random) => {
    const parsed = subject.header();
    const bytes = subject.withHeader(change(parsed, random) ?? JSON.stringify(parsed));
    return { bytes, undo: () => subject.restore(0, subject.headLength) };
  };
}

const tensorNames = (parsed: Header) => Object.keys(parsed).filter((name) => name !== '__metadata__');

const hostileValues: readonly unknown[] = [
  null,
  -1,
  0,
  1.5,
  1e9,
  2 ** 53,
  'text',
  '',
  true,
  [],
  {},
  [[[[[1]]]]],
  'constructor',
  '__proto__',
  '<script>alert(1)</script>',
];

/** A path of keys to each value of JSON. */
function pathsOf(value: unknown, path: readonly string[] = []): (readonly string[])[] {
  if (typeof value !== 'object' || value === null) return [path];
  return [path, ...Object.entries(value).flatMap(([key, part]) => pathsOf(part, [...path, key]))];
}

function setAt(root: unknown, path: readonly string[], value: unknown): unknown {
  const [key, ...rest] = path;
  if (key === undefined) return value;
  const copy = Array.isArray(root) ? [...root] : { ...(root as object) };
  Object.assign(copy, { [key]: setAt((root as Record<string, unknown>)[key], rest, value) });
  return copy;
}

/** Metadata entries that hold JSON: the settings of a model, the state of a checkpoint. */
function jsonEntries(metadata: Record<string, string>): string[] {
  return Object.keys(metadata).filter((key) => /^[{[]/.test(metadata[key] as string));
}

/** Another value somewhere in the JSON of the metadata. */
export function changeSetting(parsed: Header, random: RandomStream): void {
  const { __metadata__: metadata } = parsed;
  const entry = pick(random, jsonEntries(metadata));
  const value = JSON.parse(metadata[entry] as string) as unknown;
  const path = pick(random, pathsOf(value));
  const old = path.reduce<unknown>((part, key) => (part as Record<string, unknown>)[key], value);
  const others = [...hostileValues, ...(typeof old === 'number' ? [old + 1, -old - 1, old * 1.0000001] : [])];
  metadata[entry] = JSON.stringify(
    setAt(
      value,
      path,
      pick(
        random,
        others.filter((other) => other !== old),
      ),
    ),
  );
}

/** Kinds of damage by name. */
export const mutations: Readonly<Record<string, Mutate>> = {
  'bit of the data': flip(
    (s) => s.headLength,
    (s) => s.headLength + s.dataLength,
  ),
  'bit of the header': flip(
    () => 8,
    (s) => s.headLength,
  ),
  'bit of the header length': flip(
    () => 0,
    () => 8,
  ),
  'run of bytes': (subject, random) => {
    const length = 2 ** random.integer(1, 12);
    const start = random.integer(0, subject.headLength + subject.dataLength - 1);
    const fill = pick(random, [0, 0xff, 0x7f, undefined]);
    return inPlace(
      start,
      Math.min(start + length, subject.headLength + subject.dataLength),
      (bytes) => {
        for (let i = 0; i < bytes.length; i++) bytes[i] = fill ?? random.integer(0, 255);
        // A run that is what was there before would be no damage.
        if (bytes.length) bytes[0] = (subject.originalByte(start) ^ 0x41) & 0xff;
      },
      subject,
    );
  },
  truncated: (subject, random) => {
    const bytes = subject.file();
    const end =
      random.next() < 0.5 ? random.integer(0, subject.headLength + 64) : random.integer(0, bytes.length - 1);
    return { bytes: bytes.subarray(0, end), undo: () => {} };
  },
  'longer at the end': (subject, random) => {
    const bytes = subject.file(random.integer(1, 4096));
    return { bytes, undo: () => {} };
  },
  'bytes inserted': (subject, random) => {
    const count = random.integer(1, 64);
    const at = random.integer(0, subject.headLength + subject.dataLength - 1);
    const bytes = subject.file(count);
    bytes.copyWithin(at + count, at);
    for (let i = 0; i < count; i++) bytes[at + i] = random.integer(0, 255);
    return { bytes, undo: () => subject.restore(at) };
  },
  'bytes removed': (subject, random) => {
    const count = random.integer(1, 64);
    const at = random.integer(0, subject.headLength + subject.dataLength - count);
    const bytes = subject.file();
    bytes.copyWithin(at, at + count);
    return { bytes: bytes.subarray(0, bytes.length - count), undo: () => subject.restore(at) };
  },
  'tensors swapped': header((parsed, random) => {
    const names = tensorNames(parsed);
    const name = pick(random, names);
    const shape = JSON.stringify((parsed[name] as { shape: unknown }).shape);
    const alike = names.filter(
      (other) => JSON.stringify((parsed[other] as { shape: unknown }).shape) === shape,
    );
    const other = pick(
      random,
      alike.length > 1 ? alike.filter((each) => each !== name) : names.filter((n) => n !== name),
    );
    [parsed[name], parsed[other]] = [parsed[other] as Header[string], parsed[name] as Header[string]];
    return undefined;
  }),
  'tensor removed': header((parsed, random) => {
    delete parsed[pick(random, tensorNames(parsed))];
    return undefined;
  }),
  'tensor renamed or doubled': header((parsed, random) => {
    const name = pick(random, tensorNames(parsed));
    const text = JSON.stringify(parsed);
    const [key, entry] = [JSON.stringify(name), JSON.stringify(parsed[name])];
    const other = pick(random, ['evil', '__proto__', 'constructor', `${name} `, name.slice(1)]);
    return random.next() < 0.5
      ? text.replace(`${key}:`, `${JSON.stringify(other)}:`)
      : text.replace(/^\{/, `{${key}:${entry},`);
  }),
  'header entry': header((parsed, random) => {
    const entry = parsed[pick(random, tensorNames(parsed))] as {
      dtype: unknown;
      shape: number[];
      data_offsets: number[];
    };
    const [start, end] = entry.data_offsets as [number, number];
    const edits: (() => void)[] = [
      () =>
        Object.assign(entry, {
          dtype: pick(random, ['F16', 'BF16', 'F64', 'I32', 'U8', 'toString', 7, null]),
        }),
      () => Object.assign(entry, { shape: [...entry.shape, 1] }),
      () => Object.assign(entry, { shape: [...entry.shape.map((size) => size + 1)] }),
      () => Object.assign(entry, { shape: [2 ** 52, 2 ** 52] }),
      () => Object.assign(entry, { shape: pick(random, hostileValues) }),
      () => Object.assign(entry, { data_offsets: [start + 4, end + 4] }),
      () => Object.assign(entry, { data_offsets: [start, end - 4] }),
      () => Object.assign(entry, { data_offsets: [end, start - 1] }),
      () => Object.assign(entry, { data_offsets: pick(random, hostileValues) }),
      () => Object.assign(entry, { note: 'x' }),
    ];
    pick(random, edits)();
    return undefined;
  }),
  'header text': header((parsed, random) => {
    const text = JSON.stringify(parsed);
    return pick(random, [
      `${text}   `,
      `${text}x`,
      ` ${text}`,
      `\ufeff${text}`,
      `[${text}]`,
      text.slice(0, -1),
      `${text}\0`,
      '{}',
      '',
      'null',
    ]);
  }),
  'metadata removed': header((parsed, random) => {
    const keys = Object.keys(parsed.__metadata__);
    const few = random.integer(1, keys.length);
    for (let i = 0; i < few; i++) delete parsed.__metadata__[pick(random, keys)];
    if (random.next() < 0.2) Reflect.deleteProperty(parsed, '__metadata__');
    return undefined;
  }),
  'metadata changed': header((parsed, random) => {
    const { __metadata__: metadata } = parsed;
    const key = pick(random, Object.keys(metadata));
    const old = metadata[key] as string;
    const other = pick(random, [
      '',
      'x',
      `${old} `,
      old.slice(0, -1),
      old.toUpperCase() === old ? `${old}1` : old.toUpperCase(),
      'aand-webgpu/1',
      'aand-webgpu/9',
    ]);
    metadata[key] = other === old ? `${old}.` : other;
    return undefined;
  }),
  'digests removed, an older format claimed': header((parsed, random) => {
    const { __metadata__: metadata } = parsed;
    for (const key of Object.keys(metadata)) if (key.endsWith('sha256')) delete metadata[key];
    if (metadata.format) metadata.format = 'aand-webgpu/1';
    if (random.next() < 0.5) changeSetting(parsed, random);
    return undefined;
  }),
  'a setting or the state': header((parsed, random) => {
    changeSetting(parsed, random);
    return undefined;
  }),
  'a key of the settings doubled': header((parsed, random) => {
    const { __metadata__: metadata } = parsed;
    const entry = pick(random, jsonEntries(metadata));
    const value = JSON.parse(metadata[entry] as string) as Record<string, unknown>;
    const key = pick(random, Object.keys(value));
    metadata[entry] =
      `${JSON.stringify(value).slice(0, -1)},${JSON.stringify(key)}:${JSON.stringify(pick(random, hostileValues))}}`;
    return undefined;
  }),
};

/** How an attempt with a damaged file ended. */
export type Outcome = 'refused' | 'identical' | 'different' | 'crash';

/** Outcomes by kind of damage. */
export class Tally {
  readonly #rows = new Map<string, Record<Outcome, number>>();
  slowest = 0;

  add(kind: string, outcome: Outcome, milliseconds: number): void {
    const row = this.#rows.get(kind) ?? { refused: 0, identical: 0, different: 0, crash: 0 };
    row[outcome]++;
    this.#rows.set(kind, row);
    this.slowest = Math.max(this.slowest, milliseconds);
  }

  sum(outcome?: Outcome): number {
    return [...this.#rows.values()].reduce(
      (sum, row) => sum + (outcome ? row[outcome] : row.refused + row.identical + row.different + row.crash),
      0,
    );
  }

  /** A table for people. */
  text(title: string): string {
    const cells = (name: string, values: readonly (number | string)[]) =>
      `  ${name.padEnd(42)}${values.map((value) => String(value).padStart(11)).join('')}`;
    const lines = [...this.#rows].map(([kind, row]) => {
      const { refused, identical, different, crash } = row;
      return cells(kind, [refused + identical + different + crash, refused, identical, different, crash]);
    });
    const total = [
      this.sum(),
      ...(['refused', 'identical', 'different', 'crash'] as const).map((o) => this.sum(o)),
    ];
    return [
      title,
      cells('kind of damage', ['tried', 'refused', 'identical', 'different', 'crash']),
      ...lines,
      cells('all', total),
      `  slowest: ${this.slowest.toFixed(0)} ms`,
    ].join('\n');
  }
}
