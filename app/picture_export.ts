/** All inspected images as pictures with heat map and outline, and their table, in one ZIP file. */
import { Zip, ZipDeflate, ZipPassThrough } from 'fflate';
import { ask } from './ask.ts';
import { button, element, save } from './dom.ts';
import { scoresTable } from './image_table.ts';
import type { Inspection, Item } from './inspection.ts';
import type { Layers } from './paint.ts';
import { makePainting, pictureOf } from './paint.ts';
import type { MapResult } from './types.ts';

const longestSide = 1600;

/** Collects a ZIP file part by part; the parts lie where the browser puts its blobs. */
class ZipFile {
  readonly #parts: Uint8Array<ArrayBuffer>[] = [];
  readonly #whole: Promise<void>;
  readonly #zip: Zip;

  constructor() {
    let ended: () => void;
    let failed: (error: Error) => void;
    this.#whole = new Promise((resolve, reject) => {
      ended = resolve;
      failed = reject;
    });
    this.#zip = new Zip((error, part, last) => {
      if (error) return failed(error);
      this.#parts.push(part as Uint8Array<ArrayBuffer>);
      if (last) ended();
    });
  }

  /** @param packed the bytes are compressed already */
  add(name: string, bytes: Uint8Array, packed: boolean): void {
    const entry = packed ? new ZipPassThrough(name) : new ZipDeflate(name);
    this.#zip.add(entry);
    entry.push(bytes, true);
  }

  async end(): Promise<Blob> {
    this.#zip.end();
    await this.#whole;
    return new Blob(this.#parts, { type: 'application/zip' });
  }
}

/** Names that are no two alike, without steps upwards: `rust/000.png` becomes `pictures/rust/000.png`. */
export function pictureNames(items: readonly { readonly name: string }[]): string[] {
  const taken = new Set<string>();
  return items.map(({ name }) => {
    const parts = name.split('/').filter((part) => part && part !== '.' && part !== '..');
    const stem = parts.join('/').replace(/\.[^./]+$/, '');
    let free = stem;
    for (let i = 2; taken.has(free); i++) free = `${stem} (${i})`;
    taken.add(free);
    return `pictures/${free}.png`;
  });
}

async function pngOf(
  item: Item,
  result: MapResult,
  inspection: Inspection,
  layers: Layers,
): Promise<Uint8Array> {
  const picture = await createImageBitmap(item.file);
  try {
    const painting = makePainting(picture, result, inspection.scale, layers.colours);
    const canvas = pictureOf(painting, layers, longestSide);
    const blob = await new Promise<Blob | null>((made) => canvas.toBlob(made, 'image/png'));
    if (!blob) throw new Error(`${item.name}: the browser makes no picture of it`);
    return new Uint8Array(await blob.arrayBuffer());
  } finally {
    picture.close();
  }
}

export interface ExportHooks {
  layers(): Layers;
  mapOf(item: Item): Promise<MapResult>;
}

/** The button, and the line of its progress with a way to stop it. */
export function createPictureExport(inspection: Inspection, hooks: ExportHooks) {
  let stopping = false;
  const said = element('span', { aria: { role: 'status' } });
  const stop = button('Stop', () => {
    stopping = true;
  });
  const progress = element('div', { className: 'row', hidden: true }, said, stop);

  /** @returns undefined where it was stopped */
  const pack = async (items: readonly Item[]): Promise<Blob | undefined> => {
    const zip = new ZipFile();
    zip.add('scores.csv', new TextEncoder().encode(scoresTable(inspection)), false);
    const names = pictureNames(items);
    // What one sees is what is saved; but of photographs without any layer there would be copies only.
    const shown = hooks.layers();
    const layers = shown.heat || shown.outline ? shown : { ...shown, heat: true, outline: true };
    for (const [i, item] of items.entries()) {
      if (stopping) return undefined;
      said.textContent = `picture ${i + 1} of ${items.length}`;
      zip.add(names[i] as string, await pngOf(item, await hooks.mapOf(item), inspection, layers), true);
    }
    return zip.end();
  };

  const choose = async (): Promise<readonly Item[]> => {
    const all = inspection.items;
    const bad = all.filter((item) => inspection.isAnomalous(item));
    if (!bad.length || bad.length === all.length) return all;
    const [every, some] = [`All ${all.length}`, `The ${bad.length} anomalous`];
    const answer = await ask(
      'Save pictures',
      'One ZIP file holds a picture of each image, as it is shown now, and the table of scores.',
      [every, some, 'Cancel'],
    );
    return answer === every ? all : answer === some ? bad : [];
  };

  return {
    progress,
    /** @throws Error where an image cannot be read any more */
    async run(): Promise<void> {
      if (!progress.hidden) return;
      const items = await choose();
      if (!items.length) return;
      stopping = false;
      progress.hidden = false;
      try {
        const blob = await pack(items);
        if (blob) save('pictures.zip', blob, 'application/zip');
      } finally {
        progress.hidden = true;
        said.textContent = '';
      }
    },
  };
}
