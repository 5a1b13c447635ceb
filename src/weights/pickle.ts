/**
 * Python pickles, the part that state dicts need, as data: nothing is ever imported or called. A class or
 * function that is not on the list below is refused by its name. Protocols 2 to 4.
 */

/** A class or function that is named in the pickle and on the list. */
export class Global {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
}

/** The call of a listed function: kept as data for whoever knows what it means. */
export class Call {
  readonly name: string;
  readonly args: readonly PickleValue[];
  constructor(name: string, args: readonly PickleValue[]) {
    this.name = name;
    this.args = args;
  }
}

/** What the pickle refers to outside of itself, such as a storage. */
export class PersistentId {
  readonly parts: readonly PickleValue[];
  constructor(parts: readonly PickleValue[]) {
    this.parts = parts;
  }
}

export type PickleValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | PickleValue[]
  | Map<PickleValue, PickleValue>
  | Global
  | Call
  | PersistentId;

const orderedDict = 'collections.OrderedDict';

const storageTypes = [
  'Double Float Half BFloat16 Long Int Short Char Byte Bool'.split(' ').map((type) => `torch.${type}Storage`),
].flat();

/** Everything that a pickle may name. */
export const allowedGlobals: ReadonlySet<string> = new Set([
  orderedDict,
  'torch._utils._rebuild_tensor',
  'torch._utils._rebuild_tensor_v2',
  'torch._utils._rebuild_parameter',
  'torch.Size',
  ...storageTypes,
]);

const mark = Symbol('mark');
type Slot = PickleValue | typeof mark;

class Unpickler {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at: number;
  readonly #stack: Slot[] = [];
  readonly #memo = new Map<number, PickleValue>();

  constructor(bytes: Uint8Array, start: number) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#at = start;
  }

  get position(): number {
    return this.#at;
  }

  #take(count: number): number {
    const at = this.#at;
    if (count < 0 || at + count > this.#bytes.length)
      throw new Error(`the pickle ends at byte ${this.#bytes.length}, ${count} more were needed at ${at}`);
    this.#at += count;
    return at;
  }

  #slice(count: number): Uint8Array {
    const at = this.#take(count);
    return this.#bytes.subarray(at, at + count);
  }

  #text(count: number): string {
    return new TextDecoder('utf-8', { fatal: true }).decode(this.#slice(count));
  }

  /** Text up to the end of the line. */
  #line(): string {
    const end = this.#bytes.indexOf(10, this.#at);
    if (end < 0 || end - this.#at > 1000) throw new Error(`a name at byte ${this.#at} has no end`);
    const text = this.#text(end - this.#at);
    this.#at++;
    return text;
  }

  #long(count: number): bigint | number {
    const bytes = this.#slice(count);
    let value = 0n;
    for (let i = count - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i] as number);
    if (count && (bytes[count - 1] as number) & 0x80) value -= 1n << BigInt(8 * count);
    return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  }

  #size64(): number {
    const size = this.#view.getBigUint64(this.#take(8), true);
    if (size > BigInt(this.#bytes.length))
      throw new Error(`a length of ${size} bytes is more than the file has`);
    return Number(size);
  }

  #pop(): PickleValue {
    const value = this.#stack.pop();
    if (value === undefined || value === mark) throw new Error(`byte ${this.#at}: nothing is there to take`);
    return value;
  }

  #top(): PickleValue {
    const value = this.#stack.at(-1);
    if (value === undefined || value === mark)
      throw new Error(`byte ${this.#at}: nothing is there to change`);
    return value;
  }

  #popToMark(): PickleValue[] {
    const at = this.#stack.lastIndexOf(mark);
    if (at < 0) throw new Error(`byte ${this.#at}: a mark is missing`);
    return this.#stack.splice(at).slice(1) as PickleValue[];
  }

  #setItems(items: readonly PickleValue[]): void {
    const target = this.#top();
    if (!(target instanceof Map) || items.length % 2)
      throw new Error(`byte ${this.#at}: items for something that is no dict`);
    for (let i = 0; i < items.length; i += 2)
      target.set(items[i] as PickleValue, items[i + 1] as PickleValue);
  }

  #append(items: readonly PickleValue[]): void {
    const target = this.#top();
    if (!Array.isArray(target)) throw new Error(`byte ${this.#at}: items for something that is no list`);
    for (const item of items) target.push(item);
  }

  #global(module: string, name: string): Global {
    const full = `${module}.${name}`;
    if (!allowedGlobals.has(full))
      throw new Error(
        `it refers to '${full.slice(0, 100)}', which is not on the list of what a state dict needs; ` +
          'nothing was run. Save the state dict alone: torch.save(model.state_dict(), path)',
      );
    return new Global(full);
  }

  #reduce(): PickleValue {
    const args = this.#pop();
    const callee = this.#pop();
    if (!(callee instanceof Global) || !Array.isArray(args))
      throw new Error(`byte ${this.#at}: a call of something that cannot be called`);
    if (callee.name !== orderedDict) return new Call(callee.name, args);
    const [items] = args;
    const pairs = Array.isArray(items) ? items : [];
    return new Map(
      pairs.map((pair) => (Array.isArray(pair) ? [pair[0], pair[1]] : []) as [PickleValue, PickleValue]),
    );
  }

  /** Attributes of an object: state dicts carry `_metadata`, which is of no use here. */
  #build(): void {
    this.#pop();
    this.#top();
  }

  /** The memory of memo and stack is bounded: every entry costs at least one byte of the pickle. */
  run(): PickleValue {
    for (;;) {
      const opcode = this.#bytes[this.#take(1)] as number;
      switch (opcode) {
        case 0x80: {
          const protocol = this.#bytes[this.#take(1)] as number;
          if (protocol < 2 || protocol > 5)
            throw new Error(`pickle protocol ${protocol} is not supported (2 to 5 are)`);
          break;
        }
        case 0x95: // FRAME
          this.#take(8);
          break;
        case 0x2e: // STOP
          return this.#pop();
        case 0x28: // MARK
          this.#stack.push(mark);
          break;
        case 0x30: // POP
          this.#stack.pop();
          break;
        case 0x31: // POP_MARK
          this.#popToMark();
          break;
        case 0x32: // DUP
          this.#stack.push(this.#top());
          break;
        case 0x4e: // NONE
          this.#stack.push(null);
          break;
        case 0x88: // NEWTRUE
        case 0x89: // NEWFALSE
          this.#stack.push(opcode === 0x88);
          break;
        case 0x4a: // BININT
          this.#stack.push(this.#view.getInt32(this.#take(4), true));
          break;
        case 0x4b: // BININT1
          this.#stack.push(this.#view.getUint8(this.#take(1)));
          break;
        case 0x4d: // BININT2
          this.#stack.push(this.#view.getUint16(this.#take(2), true));
          break;
        case 0x8a: // LONG1
          this.#stack.push(this.#long(this.#view.getUint8(this.#take(1))));
          break;
        case 0x47: // BINFLOAT
          this.#stack.push(this.#view.getFloat64(this.#take(8), false));
          break;
        case 0x58: // BINUNICODE
          this.#stack.push(this.#text(this.#view.getUint32(this.#take(4), true)));
          break;
        case 0x8c: // SHORT_BINUNICODE
          this.#stack.push(this.#text(this.#view.getUint8(this.#take(1))));
          break;
        case 0x8d: // BINUNICODE8
          this.#stack.push(this.#text(this.#size64()));
          break;
        case 0x55: // SHORT_BINSTRING
          this.#stack.push(this.#text(this.#view.getUint8(this.#take(1))));
          break;
        case 0x54: // BINSTRING
          this.#stack.push(this.#text(this.#view.getInt32(this.#take(4), true)));
          break;
        case 0x43: // SHORT_BINBYTES
          this.#stack.push(this.#slice(this.#view.getUint8(this.#take(1))));
          break;
        case 0x42: // BINBYTES
          this.#stack.push(this.#slice(this.#view.getUint32(this.#take(4), true)));
          break;
        case 0x7d: // EMPTY_DICT
          this.#stack.push(new Map());
          break;
        case 0x5d: // EMPTY_LIST
        case 0x29: // EMPTY_TUPLE
          this.#stack.push([]);
          break;
        case 0x74: // TUPLE
        case 0x6c: // LIST
          this.#stack.push(this.#popToMark());
          break;
        case 0x85: // TUPLE1
        case 0x86: // TUPLE2
        case 0x87: {
          const items: PickleValue[] = [];
          for (let i = 0x85; i <= opcode; i++) items.unshift(this.#pop());
          this.#stack.push(items);
          break;
        }
        case 0x61: // APPEND
          this.#append([this.#pop()]);
          break;
        case 0x65: // APPENDS
          this.#append(this.#popToMark());
          break;
        case 0x73: {
          const value = this.#pop();
          this.#setItems([this.#pop(), value]);
          break;
        }
        case 0x75: // SETITEMS
          this.#setItems(this.#popToMark());
          break;
        case 0x63: // GLOBAL
          this.#stack.push(this.#global(this.#line(), this.#line()));
          break;
        case 0x93: {
          const name = this.#pop();
          const module = this.#pop();
          if (typeof name !== 'string' || typeof module !== 'string')
            throw new Error('a name that is no text');
          this.#stack.push(this.#global(module, name));
          break;
        }
        case 0x52: // REDUCE
          this.#stack.push(this.#reduce());
          break;
        case 0x62: // BUILD
          this.#build();
          break;
        case 0x51: {
          const id = this.#pop();
          if (!Array.isArray(id)) throw new Error('a persistent id that is no tuple');
          this.#stack.push(new PersistentId(id));
          break;
        }
        case 0x71: // BINPUT
          this.#memo.set(this.#view.getUint8(this.#take(1)), this.#top());
          break;
        case 0x72: // LONG_BINPUT
          this.#memo.set(this.#view.getUint32(this.#take(4), true), this.#top());
          break;
        case 0x94: // MEMOIZE
          this.#memo.set(this.#memo.size, this.#top());
          break;
        case 0x68: // BINGET
          this.#recall(this.#view.getUint8(this.#take(1)));
          break;
        case 0x6a: // LONG_BINGET
          this.#recall(this.#view.getUint32(this.#take(4), true));
          break;
        default:
          throw new Error(
            `opcode 0x${opcode.toString(16)} at byte ${this.#at - 1} does not belong into a state dict`,
          );
      }
    }
  }

  #recall(index: number): void {
    const value = this.#memo.get(index);
    if (value === undefined) throw new Error(`byte ${this.#at}: memo ${index} was never written`);
    this.#stack.push(value);
  }
}

/**
 * Reads one pickle.
 *
 * @returns its value, and where it ends
 * @throws Error on anything malformed, truncated, or not on the list
 */
export function readPickle(bytes: Uint8Array, start = 0): { value: PickleValue; end: number } {
  const unpickler = new Unpickler(bytes, start);
  const value = unpickler.run();
  return { value, end: unpickler.position };
}
