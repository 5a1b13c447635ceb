/**
 * The log of a camera's judgements: kept in this tab, and written into a folder of the user's as it grows,
 * where the browser can do that.
 */
import { type Judged, logLines, pictureName, stampOf } from './judged.ts';

/** Which pictures go into the folder. */
export type KeptPictures = 'none' | 'NOK' | 'all';

interface LoggedLine {
  readonly frame: Judged;
  readonly picture: string | null;
}

type PickFolder = (options: {
  readonly id: string;
  readonly mode: 'readwrite';
}) => Promise<FileSystemDirectoryHandle>;

const picker = () => (window as { showDirectoryPicker?: PickFolder }).showDirectoryPicker;

/** Whether this browser writes into a folder that the user chooses. */
export const writesFolders = (): boolean => picker() !== undefined;

/**
 * Lets the user choose a folder.
 *
 * @returns undefined where the user chose none
 */
export async function chooseFolder(): Promise<FileSystemDirectoryHandle | undefined> {
  try {
    return await picker()?.call(window, { id: 'aand-log', mode: 'readwrite' });
  } catch (error) {
    if ((error as Error).name === 'AbortError') return undefined;
    throw error;
  }
}

async function write(folder: FileSystemDirectoryHandle, name: string, data: Blob): Promise<void> {
  const stream = await (await folder.getFileHandle(name, { create: true })).createWritable();
  await stream.write(data);
  await stream.close();
}

/** Adds text to the end of a file; the browser swaps the longer file in, so that it is never half a line. */
async function append(folder: FileSystemDirectoryHandle, name: string, text: string): Promise<void> {
  const handle = await folder.getFileHandle(name, { create: true });
  const stream = await handle.createWritable({ keepExistingData: true });
  await stream.seek((await handle.getFile()).size);
  await stream.write(text);
  await stream.close();
}

/** A log: begins empty. */
export class LineLog {
  readonly #lines: LoggedLine[] = [];
  readonly #onFailure: (error: unknown) => void;
  #folder: { readonly handle: FileSystemDirectoryHandle; readonly name: string; empty: boolean } | undefined;
  #written: Promise<void> = Promise.resolve();

  /** @param onFailure told once that the folder cannot be written any more; the log goes on in the tab */
  constructor(onFailure: (error: unknown) => void) {
    this.#onFailure = onFailure;
  }

  get length(): number {
    return this.#lines.length;
  }

  /** Name of the folder that is written to. */
  get folder(): string | undefined {
    return this.#folder?.handle.name;
  }

  /** From now on into this folder too, in a file of its own, with what is in the log already. */
  writeTo(handle: FileSystemDirectoryHandle): void {
    this.#folder = { handle, name: `log ${stampOf(new Date())}.csv`, empty: true };
    this.#append([...this.#lines]);
  }

  /** Adds a judgement; its picture goes into the folder where one is chosen. */
  add(frame: Judged, picture: Promise<Blob> | undefined): void {
    const line = { frame, picture: picture && this.#folder ? pictureName(frame) : null };
    this.#lines.push(line);
    this.#append([line], picture);
  }

  #append(lines: readonly LoggedLine[], picture?: Promise<Blob>): void {
    const folder = this.#folder;
    if (!folder) return;
    this.#written = this.#written.then(async () => {
      if (this.#folder !== folder) return;
      try {
        const [line] = lines;
        if (picture && line?.picture) await write(folder.handle, line.picture, await picture);
        await append(folder.handle, folder.name, logLines(lines, folder.empty));
        folder.empty = false;
      } catch (error) {
        this.#folder = undefined;
        this.#onFailure(error);
      }
    });
  }

  /** Once everything is in the folder. */
  written(): Promise<void> {
    return this.#written;
  }

  /** The whole log as a table. */
  csv(): string {
    return logLines(this.#lines, true);
  }
}
