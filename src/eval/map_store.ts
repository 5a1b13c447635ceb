/**
 * Keeps the maps of a test set: in memory while they are few, then on disk. A big test set needs no big
 * machine.
 */
import { openScratchFile, type ScratchFile } from '#platform';

const memoryBytes = 256 * 2 ** 20;

type Kept = Float32Array | { readonly offset: number; readonly bytes: number };

export class MapStore {
  readonly #kept: Kept[] = [];
  readonly #limit: number;
  #file: Promise<ScratchFile> | undefined;
  #inMemory = 0;
  #onDisk = 0;

  /** @param limit bytes that stay in memory */
  constructor(limit = memoryBytes) {
    this.#limit = limit;
  }

  get length(): number {
    return this.#kept.length;
  }

  /** Keeps a map; resolves with its index. A call must end before the next one begins. */
  async add(map: Float32Array): Promise<number> {
    if (this.#inMemory + map.byteLength <= this.#limit) {
      this.#inMemory += map.byteLength;
      return this.#kept.push(map) - 1;
    }
    this.#file ??= openScratchFile();
    const index = this.#kept.push({ offset: this.#onDisk, bytes: map.byteLength }) - 1;
    this.#onDisk += map.byteLength;
    await (await this.#file).append(new Uint8Array(map.buffer, map.byteOffset, map.byteLength));
    return index;
  }

  async get(index: number): Promise<Float32Array> {
    const kept = this.#kept[index];
    if (!kept) throw new Error(`there is no map ${index} (there are ${this.#kept.length})`);
    if (kept instanceof Float32Array) return kept;
    const bytes = await ((await this.#file) as ScratchFile).read(kept.offset, kept.bytes);
    return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  }

  async close(): Promise<void> {
    this.#kept.length = 0;
    await (await this.#file)?.close();
    this.#file = undefined;
  }
}
