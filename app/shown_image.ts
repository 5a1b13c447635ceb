/** The image that is shown: chosen from the list, decoded, on the stage, explained where it is clicked. */
import * as Comlink from 'comlink';
import { attempt, machine } from './connection.ts';
import { button, element, save } from './dom.ts';
import type { Inspection, Item } from './inspection.ts';
import { pictureOf } from './paint.ts';
import { explainSpot, spotText } from './spot.ts';
import { createStage } from './stage.ts';
import type { MapResult } from './types.ts';
import { createVerdict } from './verdict.ts';
import type { Point } from './zoom.ts';

const savedSide = 2048;

/** Judges an image by the open model. */
export async function predict({ file, name }: Pick<Item, 'file' | 'name'>): Promise<MapResult> {
  const bytes = await file.arrayBuffer();
  return machine.predict(Comlink.transfer(bytes, [bytes]), name);
}

/** An image's map: the one that is kept, or computed again. */
export const mapOf = async (item: Item): Promise<MapResult> => item.map ?? (await predict(item));

/** @param onLayers what is shown of images has changed */
export function createShownImage(inspection: Inspection, onLayers: () => void) {
  // The image that was chosen last: decoding takes a moment.
  let wanted: Item | undefined;
  // The selected image alone is kept decoded: a folder of photographs would fill the memory.
  let picture: ImageBitmap | undefined;
  const spot = element('div', { id: 'spot' });
  const heading = element('h3');
  let explained: Point | undefined;

  const drawHeading = () => {
    const { selected, scale } = inspection;
    if (explained && selected?.map) heading.textContent = spotText(selected.map, explained, scale);
  };
  const clearSpot = () => {
    explained = undefined;
    spot.replaceChildren();
    stage.markSpot(undefined);
  };

  const explain = (at: Point) =>
    attempt(async () => {
      const { selected } = inspection;
      if (!selected?.map) return;
      stage.markSpot(at);
      const found = await explainSpot(selected.file, at, stage.layers().colours);
      // Another image was chosen meanwhile.
      if (inspection.selected !== selected) return;
      explained = at;
      drawHeading();
      spot.replaceChildren(heading, ...found);
    });
  const stage = createStage(explain, onLayers);
  const verdict = createVerdict(inspection);
  inspection.onChange((change) => {
    for (const button of buttons) button.disabled = !inspection.selected;
    if (change !== 'limit') return;
    stage.rescale(inspection.scale);
    drawHeading();
  });

  /** The same as a click, without a pointer. */
  const explainPeak = () => {
    const result = inspection.selected?.map;
    if (!result) return;
    const { map, width, height } = result;
    const peak = map.reduce((best, value, i) => (value > (map[best] as number) ? i : best), 0);
    explain({ x: ((peak % width) + 0.5) / width, y: (Math.floor(peak / width) + 0.5) / height });
  };

  const show = (item: Item, bitmap: ImageBitmap, map: MapResult) => {
    if (item !== inspection.selected) clearSpot();
    const before = picture;
    picture = bitmap;
    inspection.keepMap(item, map);
    stage.show(bitmap, map, inspection.scale);
    before?.close();
    inspection.select(item);
  };

  const download = () => {
    const { painting } = stage;
    const { selected } = inspection;
    if (!painting || !selected) return;
    const name = selected.name.replace(/^.*\//, '').replace(/\.[^.]+$/, '');
    pictureOf(painting, stage.layers(), savedSide).toBlob(
      (blob) => blob && save(`${name}-heat.png`, blob, 'image/png'),
    );
  };

  const buttons = [button('Explain the peak', explainPeak), button('Save picture', download)] as const;
  for (const button of buttons) button.disabled = true;

  return {
    stage,
    parts: [stage.stage, stage.toolbar, ...verdict.parts] as const,
    buttons,
    /** What lies behind the clicked spot. */
    spot,
    explainPeak,
    async choose(item: Item): Promise<void> {
      wanted = item;
      const bitmap = await createImageBitmap(item.file);
      const map = await mapOf(item).catch((error) => {
        bitmap.close();
        throw error;
      });
      // Another image was chosen meanwhile, or the list is a new one.
      if (wanted !== item || !inspection.items.includes(item)) return bitmap.close();
      show(item, bitmap, map);
    },
    /** Nothing is shown any more. */
    clear(): void {
      wanted = undefined;
      picture?.close();
      picture = undefined;
      stage.clear();
      clearSpot();
      inspection.select(undefined);
    },
  };
}
