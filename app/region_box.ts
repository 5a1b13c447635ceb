/** The region of interest of a training: a drawing area on a chosen photograph, opened on demand. */
import type { RegionOfInterest } from '../src/data/region.ts';
import { showProblem } from './connection.ts';
import { button, element } from './dom.ts';
import { createRegionEditor } from './region_editor.ts';

export interface RegionBox {
  readonly element: HTMLElement;
  /** What is drawn; undefined: all of the photographs is inspected. */
  region(): RegionOfInterest | undefined;
  /** After other photographs were chosen. */
  refresh(): void;
}

/** @param photographs to draw on, in their order */
export function createRegionBox(photographs: () => readonly File[]): RegionBox {
  let shown = 0;
  let current: File | undefined;
  const note = element('span', { className: 'quiet' });
  const tell = (region: RegionOfInterest | undefined) => {
    note.textContent = region ? 'a part of the picture' : 'all of the picture';
  };
  const editor = createRegionEditor(tell, showProblem);
  const name = element('span', { className: 'quiet' });
  const show = async () => {
    const files = photographs();
    const file = files[shown % Math.max(1, files.length)];
    name.textContent = file ? `Drawn on ${file.name}.` : 'Choose good photographs first.';
    if (!file || file === current) return;
    current = file;
    try {
      const bitmap = await createImageBitmap(file);
      if (current === file) editor.show(bitmap);
      else bitmap.close();
    } catch {
      name.textContent = `${file.name} cannot be shown here.`;
    }
  };
  const next = button('Next photograph', () => {
    shown++;
    show();
  });
  const body = element('div', {}, element('div', { className: 'row' }, name, next), editor.element);
  const box = element(
    'details',
    { className: 'region-box' },
    element('summary', {}, 'Inspect: ', note),
    element(
      'p',
      { className: 'quiet' },
      'Leave out what is no part of the product: the background, a clamp, a label that always differs. ' +
        'Draw it once: it holds for every photograph, so the part should lie in the same place.',
    ),
    body,
  );
  box.addEventListener('toggle', () => {
    if (box.open) show();
  });
  tell(undefined);
  return {
    element: box,
    region: editor.region,
    refresh() {
      next.hidden = photographs().length < 2;
      if (box.open) show();
    },
  };
}
