/** Keeps an inspection over a reload: writes what changes, and says once what cannot be kept. */
import type { Inspection, Item } from './inspection.ts';
import {
  type InspectionRecord,
  keptInspection,
  mayKeep,
  RecordWriter,
  removeImages,
  removeInspection,
  storeImage,
  sweepImages,
} from './kept_inspection.ts';
import type { Layers } from './paint.ts';

const elsewhere =
  'Another tab of this page keeps its images over a reload. ' +
  'What this tab inspects is gone when it is closed.';
const noStorage = 'This browser keeps nothing for the page: images and marks are gone when it is closed.';
const full =
  'The storage of this browser is full: what is opened from now on is gone when the page is closed.';

/** @param tell shows a sentence that stays */
export function createKeeper(inspection: Inspection, layers: () => Layers, tell: (text: string) => void) {
  let model: string | undefined;
  let keeping = false;
  /** Why nothing is kept; said when there is something to lose. */
  let reason: string | undefined;
  const stored = new Set<Item>();
  const writer = new RecordWriter(() => stop(full));

  const stop = (why: string) => {
    keeping = false;
    reason = why;
    tell(why);
  };

  const recordOf = (id: string): InspectionRecord => {
    const { items, selected, limit, settings, recalibrated } = inspection;
    const judged = new Set(items);
    return {
      model: id,
      // An image that another model has judged waits for its turn.
      images: [...stored].map((item) => ({
        id: item.id,
        name: item.name,
        score: judged.has(item) ? item.score : null,
        ...(item.label && { label: item.label }),
      })),
      selected: selected && stored.has(selected) ? selected.id : undefined,
      limit,
      corrected:
        settings && recalibrated
          ? { image: settings.image, pixel: settings.pixel, calibrationScores: settings.calibrationScores }
          : undefined,
      layers: layers(),
    };
  };
  const save = () => {
    if (keeping && model) writer.write(recordOf(model));
  };
  inspection.onChange((change) => {
    // Until it is known where the new model lies, the record stays that of the one before.
    if (change === 'model') model = undefined;
    save();
  });

  return {
    /**
     * Asks whether this tab may keep; nothing is written before {@link start}.
     *
     * @returns what an earlier visit left
     */
    async open(): Promise<InspectionRecord | undefined> {
      try {
        if (await mayKeep()) return await keptInspection();
        reason = elsewhere;
      } catch {
        reason = noStorage;
      }
      return undefined;
    },
    /** From now on everything is kept. @param items lie in the storage already */
    async start(items: readonly Item[]): Promise<void> {
      if (reason) return;
      for (const item of items) stored.add(item);
      keeping = true;
      await sweepImages(items.map(({ id }) => id)).catch(() => {});
    },
    /** The model that is open, by its place in the list on this device; undefined: it is not kept. */
    setModel(id: string | undefined): void {
      model = id;
      save();
    },
    /** Stores an image that was inspected. */
    async store(item: Item): Promise<void> {
      if (stored.has(item)) return;
      if (!keeping) {
        if (reason) tell(reason);
        return;
      }
      try {
        await storeImage(item.id, item.file);
        stored.add(item);
        save();
      } catch (error) {
        const { name } = error as Error;
        // A file that is gone is told by who reads it.
        if (name !== 'NotReadableError' && name !== 'NotFoundError') stop(full);
      }
    },
    /** Deletes images that are no longer listed. */
    async remove(items: readonly Item[]): Promise<void> {
      const gone = items.filter((item) => stored.delete(item));
      save();
      await writer.settled();
      if (keeping) await removeImages(gone.map(({ id }) => id));
    },
    /** The model was closed: there is nothing to come back to. */
    async forget(): Promise<void> {
      model = undefined;
      stored.clear();
      await writer.settled();
      if (keeping) await removeInspection();
    },
    save,
    /** Nothing is kept any more. @param why is said */
    stop,
  };
}
