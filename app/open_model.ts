/**
 * The open model: from a file, from the list on this device, from the demo, or changed by the worker. Nothing
 * is judged while another one takes its place.
 */
import type { DetectorSettings } from '../src/detector/settings.ts';
import { attempt, machine } from './connection.ts';
import type { createQueue } from './inspect_queue.ts';
import type { Inspection } from './inspection.ts';
import type { createKeeper } from './inspection_keeper.ts';
import type { createModelOpening } from './model_opening.ts';
import type { createModelsCard } from './models_card.ts';

/** What changes with the model. */
export interface OpenModelParts {
  readonly inspection: Inspection;
  readonly queue: ReturnType<typeof createQueue>;
  readonly keeper: ReturnType<typeof createKeeper>;
  readonly models: ReturnType<typeof createModelsCard>;
  readonly opener: ReturnType<typeof createModelOpening>;
  /** No image is shown any more. */
  clear(): void;
  /** Told why a model is not kept on this device. */
  say(text: string): void;
}

export function createOpenModel({ inspection, queue, keeper, models, opener, clear, say }: OpenModelParts) {
  // The demo's model, while its pictures are shown: they go when the user opens images of their own.
  let demo: File | undefined;
  let changing = false;
  /** What the open model's file is called. */
  let fileName = 'model.safetensors';

  const setKept = async (id: string | undefined) => {
    keeper.setModel(id);
    await models.opened(id);
  };
  const keepOnDevice = async (file: File) => {
    const kept = await opener.keep(file);
    if ('reason' in kept) say(kept.reason);
    await setKept('id' in kept ? kept.id : undefined);
  };

  /** Afterwards what is listed and what waits is judged; by the model before, where the change fails. */
  const change = async (work: () => Promise<void>) => {
    changing = true;
    queue.hold(true);
    const release = () => {
      changing = false;
      queue.hold(false);
    };
    try {
      await work();
    } catch (error) {
      release();
      if (inspection.settings) void attempt(() => queue.run());
      throw error;
    }
    release();
    await queue.run();
  };

  /** The open model with the limit as it is set, as a file. */
  const bytes = async () => {
    const { current } = inspection;
    if (!current) throw new Error('no model is open');
    return (await machine.modelFile(current)) as Uint8Array<ArrayBuffer>;
  };

  /** @param keep puts it on the list on this device, before images are kept that it has judged */
  const open = (file: File, name: string, keep: () => Promise<void>) =>
    change(async () => {
      await opener.open(file, name);
      fileName = file.name;
      await keep();
    });

  return {
    /** Whether the demo's pictures are shown. */
    get isDemo(): boolean {
      return demo !== undefined;
    },
    get changing(): boolean {
      return changing;
    },
    bytes,
    change,
    open,
    setKept,
    /** A file of the user's: it is kept on this device. */
    openFile: (file: File) => open(file, file.name, () => keepOnDevice(file)),
    async openDemo(file: File): Promise<void> {
      await open(file, 'demo model', () => setKept(undefined));
      demo = file;
    },
    /** The user's own images take the place of the demo's; its model, if it stays, is one like others. */
    async dropDemo(modelStays: boolean): Promise<void> {
      const model = demo;
      if (!model) return;
      demo = undefined;
      queue.clear();
      clear();
      inspection.setItems([]);
      if (modelStays) await keepOnDevice(model);
    },
    /**
     * The worker has changed the open model: it is kept as one of its own, and judges everything.
     *
     * @param what a word for it, which the copy's name gets once
     */
    async changed(settings: DetectorSettings, what: string): Promise<void> {
      inspection.open(settings);
      const stem = fileName.replace(/\.safetensors$/, '');
      fileName = `${stem.endsWith(` (${what})`) ? stem : `${stem} (${what})`}.safetensors`;
      const file = new File([await bytes()], fileName);
      // The demo's model is kept when images of the user's own take the place of its pictures.
      if (demo) demo = file;
      else await keepOnDevice(file);
    },
  };
}
