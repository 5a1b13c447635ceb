/** Inspect: a model, images, heat maps with a limit that moves, corrections. */
import { ask } from './ask.ts';
import { attempt } from './connection.ts';
import { createCorrections } from './corrections.ts';
import { acceptDrops, button, element, fileButton, folderButton, pathOf, save } from './dom.ts';
import { createDriftNotice } from './drift_notice.ts';
import { type SortedFiles, sortFiles } from './file_kinds.ts';
import { createImageTable } from './image_table.ts';
import { keysHelp, listenToKeys } from './inspect_keys.ts';
import { createQueue } from './inspect_queue.ts';
import { Inspection, type Item } from './inspection.ts';
import { createKeeper } from './inspection_keeper.ts';
import { type InspectionRecord, keptItems } from './kept_inspection.ts';
import { openKeptModel } from './kept_models.ts';
import { createLimitControl } from './limit_control.ts';
import type { LineModel } from './line_view.ts';
import { createModelOpening, type OpeningHooks } from './model_opening.ts';
import { createModelRegion } from './model_region.ts';
import { createModelsCard } from './models_card.ts';
import { createOpenModel } from './open_model.ts';
import { createPictureExport } from './picture_export.ts';
import { createShownImage, mapOf, predict } from './shown_image.ts';
import type { MapResult } from './types.ts';

export type { OpeningHooks } from './model_opening.ts';

const itemOf = (file: File, name: string): Item => ({
  id: crypto.randomUUID(),
  name,
  file,
  score: 0,
  map: undefined,
  label: undefined,
});

export function createInspectView(root: HTMLElement, hooks: OpeningHooks) {
  const inspection = new Inspection();
  // While images are inspected each is shown, until the user chooses one.
  let following = true;
  /** What was kept is shown again before anything else is opened. */
  let restoring: Promise<unknown> = Promise.resolve();

  const keepingNotice = element('p', { className: 'quiet', aria: { role: 'status' } });
  const drift = createDriftNotice();

  const shown = createShownImage(inspection, () => keeper.save());
  const { choose } = shown;
  const keeper = createKeeper(inspection, shown.stage.layers, (text) => {
    keepingNotice.textContent = text;
  });
  const chooseByHand = (item: Item | undefined) => {
    following = false;
    if (item) attempt(() => choose(item));
  };

  const exporter = createPictureExport(inspection, { layers: shown.stage.layers, mapOf });
  const table = createImageTable(inspection, chooseByHand, [
    button('Save pictures (ZIP)', () => attempt(() => exporter.run())),
    button('Remove all images', () => attempt(removeAll)),
  ]);
  const queue = createQueue({
    predict,
    async judged(item, result) {
      inspection.keepMap(item, result);
      inspection.add(item);
      drift.add(result.score);
      if (!model.isDemo) await keeper.store(item);
      if (following) await choose(item);
    },
    say: table.say,
    idle: table.drawCount,
  });

  /** @returns false where the user wants to keep them */
  async function removeAll(): Promise<boolean> {
    const gone = [...inspection.items, ...queue.items];
    if (!gone.length) return true;
    const text =
      `${gone.length} images and their marks leave the list, and what the page kept of them is deleted. ` +
      'Your own files stay.';
    if ((await ask('Remove all images?', text, ['Remove', 'Keep them'])) !== 'Remove') return false;
    queue.clear();
    shown.clear();
    inspection.setItems([]);
    await keeper.remove(gone);
    return true;
  }

  inspection.onChange((change) => {
    if (change === 'calibration' && !inspection.tuned) drift.watch(inspection.settings);
    if (change !== 'model' || !inspection.settings) return;
    drift.watch(inspection.settings);
    queue.again(inspection.items);
    shown.clear();
    inspection.setItems([]);
    following = true;
  });
  const models = createModelsCard(
    async ({ id }) => {
      const file = await openKeptModel(id);
      if (!file) throw new Error('This model is not on the device any more: another tab has deleted it.');
      await model.dropDemo(false);
      await model.open(file, file.name, () => model.setKept(id));
    },
    /** Back to the first screen. */
    async () => {
      await model.dropDemo(false);
      if (!(await removeAll())) return;
      inspection.close();
      models.line.textContent = '';
      await keeper.forget();
      await models.opened(undefined);
      hooks.closed();
    },
  );
  const opener = createModelOpening(inspection, models.line, hooks);
  const model = createOpenModel({
    inspection,
    queue,
    keeper,
    models,
    opener,
    clear: shown.clear,
    say: (text) => {
      keepingNotice.textContent = text;
    },
  });

  const inspectFiles = async ({ model: file, images }: SortedFiles) => {
    following = true;
    queue.add(images.map((file) => itemOf(file, pathOf(file))));
    if (file) return model.openFile(file);
    if (inspection.settings && !model.changing) return queue.run();
    queue.wait();
    hooks.waiting(queue.items.length);
  };

  const corrections = createCorrections(inspection, {
    onUndone: chooseByHand,
    saveModel: () =>
      attempt(async () => save('model.safetensors', await model.bytes(), 'application/octet-stream')),
    async onTuned() {
      const { current } = inspection;
      if (!current) return;
      await model.changed(current, 'fine-tuned');
      inspection.tuned = true;
      // The calibration's scores are of the model before it.
      drift.watch(undefined);
      await queue.run();
    },
  });
  const region = createModelRegion(inspection, (region) =>
    model.change(async () => model.changed(await opener.inspectPart(region), 'region')),
  );

  const receive = (files: File[]) =>
    attempt(async () => {
      if (!files.length) return;
      await restoring;
      const sorted = sortFiles(files);
      await model.dropDemo(!sorted.model);
      await inspectFiles(sorted);
    });
  /** Whatever was chosen as a model is tried as one, whatever its name. */
  const receiveModel = ([file]: File[]) =>
    attempt(async () => {
      if (!file) return;
      await restoring;
      await model.dropDemo(false);
      await model.openFile(file);
    });

  const showAgain = async (record: InspectionRecord) => {
    const file = await openKeptModel(record.model);
    const { kept, unjudged } = await keptItems(record);
    queue.add(unjudged);
    if (!file) {
      // It was deleted from the device: the images wait for another one.
      queue.add(kept);
      await keeper.start(queue.items);
      if (queue.items.length) hooks.waiting(queue.items.length);
      return;
    }
    await model.open(file, file.name, async () => {
      if (record.corrected) inspection.correct(record.corrected);
      inspection.setItems(kept);
      inspection.setLimit(record.limit);
      shown.stage.setLayers(record.layers);
      await keeper.start([...kept, ...unjudged]);
      await model.setKept(record.model);
      const selected = kept.find(({ id }) => id === record.selected) ?? kept[0];
      if (selected) await attempt(() => choose(selected));
    });
  };

  listenToKeys(root, {
    stage: shown.stage,
    table,
    choose: chooseByHand,
    mark: corrections.mark,
    undo: corrections.undo,
    explain: shown.explainPeak,
  });
  acceptDrops(root, receive);
  root.append(
    element(
      'div',
      { className: 'columns' },
      element(
        'div',
        { className: 'card' },
        ...shown.parts,
        element(
          'div',
          { className: 'row' },
          fileButton('Open images', 'image/*', true, receive),
          folderButton('Open folder', receive),
          fileButton('Open model', '.safetensors', false, receiveModel),
          ...shown.buttons,
        ),
        shown.spot,
        keysHelp(),
      ),
      element(
        'div',
        {},
        drift.card,
        element(
          'div',
          { className: 'card' },
          element('h2', {}, 'Model and view'),
          ...models.parts,
          keepingNotice,
          createLimitControl(inspection),
          ...shown.stage.fields,
          region,
        ),
        table.card,
        exporter.progress,
        corrections.card,
      ),
    ),
  );

  return {
    /** The open model with the limit as it is set, and the scale that it is shown by. */
    model(): LineModel | undefined {
      const { settings, scale } = inspection;
      return settings && { settings, scale };
    },
    /** Takes over a picture that was judged elsewhere in the page, and shows it. */
    async takeJudged(file: File, result: MapResult): Promise<void> {
      await model.dropDemo(true);
      const known = inspection.items.find((item) => item.file === file);
      const item = known ?? { ...itemOf(file, file.name), score: result.score };
      if (!known) {
        inspection.keepMap(item, result);
        inspection.add(item);
        await keeper.store(item);
      }
      await choose(item);
    },
    async openModel(file: File): Promise<void> {
      await restoring;
      await model.dropDemo(false);
      await model.openFile(file);
    },
    /** The model that comes with the page, and its pictures: they go when the user opens others. */
    async openDemo(file: File, pictures: readonly File[]): Promise<void> {
      await model.openDemo(file);
      await inspectFiles(sortFiles(pictures));
    },
    /** Shows what an earlier visit left in this view; from then on what changes is kept. */
    restore(): Promise<void> {
      const work = async () => {
        const record = await keeper.open();
        if (record) await showAgain(record);
        else await keeper.start([]);
      };
      const done = work().catch((error) => {
        // It is left as it is: what is kept from now on would take its place.
        keeper.stop('What an earlier visit left cannot be shown again. Nothing is kept in this visit.');
        throw error;
      });
      restoring = done.catch(() => {});
      return done;
    },
  };
}
