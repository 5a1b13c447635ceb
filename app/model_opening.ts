/** Opens model files in the worker, and keeps copies of them on this device. */

import * as Comlink from 'comlink';
import type { RegionOfInterest } from '../src/data/region.ts';
import type { WarmupProgress } from '../src/detector/map_runner.ts';
import type { DetectorSettings } from '../src/detector/settings.ts';
import { advice, machine } from './connection.ts';
import type { Inspection } from './inspection.ts';
import { keepModel } from './kept_models.ts';

/** Told how a model is opened: the first screen shows it. */
export interface OpeningHooks {
  /** What is being done; a share from 0 to 1 where it is known. */
  opening(text: string, share?: number): void;
  /** Images that wait for a model. */
  waiting(count: number): void;
  opened(): void;
  /** There is no model any more. */
  closed(): void;
}

/** Models of earlier versions of the page have a name in the place of a category. */
const productOf = (training: Readonly<Record<string, unknown>>) =>
  String(training.category ?? training.name ?? '');

/** @param line says which model is open, and what is done until then */
export function createModelOpening(
  inspection: Inspection,
  line: HTMLElement,
  hooks: Pick<OpeningHooks, 'opening' | 'opened'>,
) {
  const say = (text: string, share?: number) => {
    line.textContent = text;
    hooks.opening(text, share);
  };

  /**
   * Tells how the worker makes a model ready, and that it is; where it fails, the model before stays open.
   *
   * @param work gets who is to be told of its progress
   */
  const making = async (
    first: string,
    work: (onProgress: (progress: WarmupProgress) => void) => Promise<DetectorSettings>,
  ): Promise<DetectorSettings> => {
    const before = line.textContent;
    // What the worker says of its progress may come after its answer.
    let over = false;
    try {
      say(first);
      const settings = await work(
        Comlink.proxy(({ stage, fraction }: WarmupProgress) => {
          if (over) return;
          const doing = stage === 'compiling' ? 'Compiling for this device' : 'First run';
          say(`${doing}, ${Math.floor(100 * fraction)} %`, fraction);
        }),
      );
      hooks.opened();
      return settings;
    } catch (error) {
      line.textContent = before;
      throw error;
    } finally {
      over = true;
    }
  };

  return {
    /**
     * The model takes the place of the one before, in the worker and in the inspection.
     *
     * @throws Error where the file is none; the model before stays open
     */
    async open(file: File, name = file.name): Promise<void> {
      const settings = await making(`Reading ${name}…`, async (onProgress) => {
        const bytes = await file.arrayBuffer();
        return machine.openModel(Comlink.transfer(bytes, [bytes]), name, onProgress);
      });
      const { backbone, mode, imageSize, training } = settings;
      line.textContent = `${name}: ${productOf(training)} ${backbone}, ${mode}, ${imageSize} pixels`;
      inspection.open(settings);
    },
    /**
     * The open model judges this part of the picture from now on.
     *
     * @returns its settings, for the inspection: without a limit
     * @throws Error where nothing is left to inspect; the model stays as it is
     */
    async inspectPart(region: RegionOfInterest | undefined): Promise<DetectorSettings> {
      const before = line.textContent;
      const settings = await making('Changing the region…', (onProgress) =>
        machine.inspectPart(region, onProgress),
      );
      line.textContent = before;
      return settings;
    },
    /**
     * Keeps a copy of the open model's file on this device.
     *
     * @returns its place in the list there, or why it has none
     */
    async keep(file: File): Promise<{ readonly id: string } | { readonly reason: string }> {
      const { settings } = inspection;
      if (!settings) return { reason: '' };
      const { backbone, mode, imageSize, training } = settings;
      const facts = { name: file.name, product: productOf(training), backbone, mode, imageSize };
      try {
        return await keepModel(new Uint8Array(await file.arrayBuffer()), facts);
      } catch (error) {
        return { reason: `This model is not kept on this device. ${advice(error)}` };
      }
    },
  };
}
