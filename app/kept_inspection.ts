/**
 * What the Inspect view keeps over a reload: which model, the images with scores and marks, the limit, what
 * is shown. The images lie beside the record, which is written after them. One tab keeps: the one that holds
 * the lock; what another tab inspects is not kept, and it touches nothing.
 */

import type { Calibration } from '../src/eval/thresholds.ts';
import type { Corrected, Item, Label } from './inspection.ts';
import type { Layers } from './paint.ts';
import { copyPath, namesIn, openFile, readRecord, removeTree, writeFile } from './storage.ts';

const folder = 'inspection';
const recordPath = `${folder}/record.json`;
const imagePath = (id: string) => `${folder}/images/${id}`;
const lockName = `aand inspection ${copyPath}`;
// A page that is reloaded gives its lock back a moment after the new one asks for it.
const patience = 1500;

export interface KeptImage {
  readonly id: string;
  readonly name: string;
  /** Null: the open model has not judged it yet. */
  readonly score: number | null;
  readonly label?: Exclude<Label, undefined>;
}

export interface InspectionRecord {
  /** A model of the list on this device. */
  readonly model: string;
  readonly images: readonly KeptImage[];
  readonly selected?: string | undefined;
  readonly limit: Calibration | null;
  /** Settings that were recalibrated and are not in the model's file. */
  readonly corrected?: Corrected | undefined;
  readonly layers: Layers;
}

let holds = false;

/** Takes the lock for as long as the tab lives. @returns whether this tab keeps */
export async function mayKeep(): Promise<boolean> {
  if (holds) return true;
  return new Promise((answer) => {
    navigator.locks
      .request(lockName, { signal: AbortSignal.timeout(patience) }, () => {
        holds = true;
        answer(true);
        return new Promise<never>(() => {});
      })
      .catch(() => answer(false));
  });
}

/** What an earlier visit left; undefined where there is nothing whole. */
export async function keptInspection(): Promise<InspectionRecord | undefined> {
  return readRecord<InspectionRecord>(recordPath);
}

/** The images of a record that are still there; without reading them. */
export async function keptItems({
  images,
}: InspectionRecord): Promise<{ readonly kept: Item[]; readonly unjudged: Item[] }> {
  const [kept, unjudged]: [Item[], Item[]] = [[], []];
  for (const { id, name, score, label } of images) {
    const stored = await openFile(imagePath(id));
    if (!stored) continue;
    // The name alone says what kind of image it is.
    const file = new File([stored], name.slice(name.lastIndexOf('/') + 1));
    const item = { id, name, file, score: score ?? 0, map: undefined, label };
    (score === null ? unjudged : kept).push(item);
  }
  return { kept, unjudged };
}

/** @throws DOMException 'QuotaExceededError' where the storage is full */
export function storeImage(id: string, file: File): Promise<void> {
  return writeFile(imagePath(id), file);
}

export async function removeImages(ids: readonly string[]): Promise<void> {
  for (const id of ids) await removeTree(imagePath(id));
}

/** Forgets everything that was kept. */
export function removeInspection(): Promise<void> {
  return removeTree(folder);
}

/** Images that no record names: left by a tab that was closed while it stored them. */
export async function sweepImages(known: readonly string[]): Promise<void> {
  const kept = new Set(known);
  await removeImages((await namesIn(`${folder}/images`)).filter((id) => !kept.has(id)));
}

/** Writes the record, one time after the other; of several calls while one is written the last one counts. */
export class RecordWriter {
  #next: InspectionRecord | undefined;
  #writing: Promise<void> | undefined;
  readonly #onError: (error: unknown) => void;

  constructor(onError: (error: unknown) => void) {
    this.#onError = onError;
  }

  write(record: InspectionRecord): void {
    this.#next = record;
    this.#writing ??= this.#work().finally(() => {
      this.#writing = undefined;
    });
  }

  async #work(): Promise<void> {
    for (let next = this.#next; next; next = this.#next) {
      this.#next = undefined;
      try {
        await writeFile(recordPath, JSON.stringify(next));
      } catch (error) {
        this.#onError(error);
      }
    }
  }

  /** When everything is written. */
  async settled(): Promise<void> {
    await this.#writing;
  }
}
