/** What is inspected: the open model with its limit, the images with their scores and marks. */
import { scaleOf } from '../src/detector/scale.ts';
import type { DetectorSettings } from '../src/detector/settings.ts';
import type { Scale } from '../src/eval/marks.ts';
import { type Calibration, isAnomalous, normalizeScore } from '../src/eval/thresholds.ts';
import type { MapResult } from './types.ts';

export type Label = 'good' | 'bad' | undefined;

/** An inspected image. */
export interface Item {
  readonly id: string;
  /** Where it lies below what was chosen, such as `rust/000.png`. */
  readonly name: string;
  readonly file: File;
  score: number;
  /** Its map, of the images that were looked at last; of others it is computed again. */
  map: MapResult | undefined;
  label: Label;
}

/** What has changed: the views draw what they show of it. */
export type Change = 'model' | 'calibration' | 'limit' | 'images' | 'marks' | 'selection';

/** The part of a model's settings that corrections change. */
export type Corrected = Pick<DetectorSettings, 'image' | 'pixel' | 'calibrationScores'>;

// A map of 256 pixels takes a quarter of a MiB.
const keptMaps = 48;

export class Inspection {
  /** Of the open model, with what was recalibrated. */
  settings: DetectorSettings | undefined;
  /** The limit as it is set now; null for a model without one: raw scores, no verdicts. */
  limit: Calibration | null = null;
  items: Item[] = [];
  selected: Item | undefined;
  /** The model was fine-tuned since it was opened. */
  tuned = false;
  /** Whether settings differ from those in the model's file. */
  recalibrated = false;
  readonly #listeners: ((change: Change) => void)[] = [];
  #undo: { readonly item: Item; readonly label: Label }[] = [];
  #withMaps: Item[] = [];

  onChange(listener: (change: Change) => void): void {
    this.#listeners.push(listener);
  }

  #tell(change: Change): void {
    for (const listener of this.#listeners) listener(change);
  }

  /** A model was opened, or its weights have changed. */
  open(settings: DetectorSettings): void {
    this.settings = settings;
    this.limit = settings.image;
    this.tuned = false;
    this.recalibrated = false;
    for (const item of this.#withMaps) item.map = undefined;
    this.#withMaps = [];
    this.#tell('model');
    this.#tell('limit');
  }

  /** There is no model any more. */
  close(): void {
    this.settings = undefined;
    this.limit = null;
    this.#tell('model');
    this.#tell('limit');
  }

  /** The settings with the limit where it is now; the limit of pixels has moved as far. */
  get current(): DetectorSettings | undefined {
    const { settings, limit } = this;
    if (!settings || !limit) return settings && { ...settings, image: null, pixel: null };
    const { image, pixel } = settings;
    const shift = image ? limit.threshold - image.threshold : 0;
    const from = pixel ?? limit;
    const { min, max } = from;
    return {
      ...settings,
      image: limit,
      pixel: { min, max, threshold: from.threshold + shift, rule: limit.rule },
    };
  }

  /** What scores and maps are shown by now. */
  get scale(): Scale | null {
    const { current } = this;
    return current ? scaleOf(current) : null;
  }

  /** Null without a limit. */
  isAnomalous({ score }: Pick<Item, 'score'>): boolean | null {
    return isAnomalous(score, this.limit);
  }

  /** 0 to 1, 0.5 at the limit; null without one. */
  shownScore(raw: number): number | null {
    return normalizeScore(raw, this.scale?.score ?? null);
  }

  setLimit(limit: Calibration | null): void {
    this.limit = limit;
    this.#tell('limit');
  }

  /** Takes over settings that corrections made; their limit is the one to move from. */
  correct(corrected: Corrected): void {
    if (!this.settings) return;
    this.settings = { ...this.settings, ...corrected };
    this.recalibrated = true;
    this.#tell('calibration');
    this.setLimit(corrected.image);
  }

  /** Keeps a map beside its image, and lets go the one that was not looked at for the longest time. */
  keepMap(item: Item, map: MapResult): void {
    item.map = map;
    item.score = map.score;
    this.#withMaps = [...this.#withMaps.filter((other) => other !== item), item];
    if (this.#withMaps.length <= keptMaps) return;
    const oldest = this.#withMaps.find((other) => other !== this.selected && other !== item);
    if (!oldest) return;
    oldest.map = undefined;
    this.#withMaps = this.#withMaps.filter((other) => other !== oldest);
  }

  add(item: Item): void {
    this.items.push(item);
    this.#tell('images');
  }

  /** Other images, or none, or other scores of them. */
  setItems(items: Item[]): void {
    this.items = items;
    this.#undo = this.#undo.filter(({ item }) => items.includes(item));
    this.#withMaps = this.#withMaps.filter((item) => items.includes(item));
    this.#tell('images');
  }

  select(item: Item | undefined): void {
    this.selected = item;
    this.#tell('selection');
  }

  mark(item: Item, label: Label): void {
    if (item.label === label) return;
    this.#undo.push({ item, label: item.label });
    item.label = label;
    this.#tell('marks');
  }

  get canUndo(): boolean {
    return this.#undo.length > 0;
  }

  /** Takes the last mark back; the image that it was of. */
  undo(): Item | undefined {
    const last = this.#undo.pop();
    if (!last) return undefined;
    last.item.label = last.label;
    this.#tell('marks');
    return last.item;
  }
}
