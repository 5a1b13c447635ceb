/** A region of interest: a drawing area on one of some photographs, opened on demand. */
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
  /** Takes over a region in the place of what is drawn. */
  open(region: RegionOfInterest | undefined): void;
}

interface RegionBoxOptions {
  /** To draw on, in their order. */
  readonly photographs: () => readonly File[];
  /** What is said where there is none. */
  readonly noPhotograph: string;
  /** What a region is drawn for, in a sentence or two. */
  readonly purpose: string;
  /** What is done with the drawn region, below the drawing. */
  readonly actions?: readonly HTMLElement[];
  readonly onChange?: (region: RegionOfInterest | undefined) => void;
}

export function createRegionBox(options: RegionBoxOptions): RegionBox {
  const { photographs, noPhotograph, purpose, actions = [], onChange } = options;
  let shown = 0;
  let current: File | undefined;
  const note = element('span', { className: 'quiet' });
  const tell = (region: RegionOfInterest | undefined) => {
    note.textContent = region ? 'a part of the picture' : 'all of the picture';
    onChange?.(region);
  };
  const editor = createRegionEditor(tell, showProblem);
  const name = element('span', { className: 'quiet' });
  const show = async () => {
    const files = photographs();
    const file = files[shown % Math.max(1, files.length)];
    name.textContent = file ? `Drawn on ${file.name}.` : noPhotograph;
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
  const body = element(
    'div',
    {},
    element('div', { className: 'row' }, name, next),
    editor.element,
    ...actions,
  );
  const box = element(
    'details',
    { className: 'region-box' },
    element('summary', {}, 'Inspect: ', note),
    element('p', { className: 'quiet' }, purpose),
    body,
  );
  box.addEventListener('toggle', () => {
    if (box.open) show();
  });
  tell(undefined);
  return {
    element: box,
    region: editor.region,
    open(region) {
      editor.open(region);
      tell(editor.region());
    },
    refresh() {
      next.hidden = photographs().length < 2;
      if (box.open) show();
    },
  };
}
