/** The part of the picture that the open model inspects: drawn anew on an image of the list. */
import type { RegionOfInterest } from '../src/data/region.ts';
import { attempt } from './connection.ts';
import { button, element } from './dom.ts';
import type { Inspection } from './inspection.ts';
import { createRegionBox } from './region_box.ts';

const afterwards =
  'The limit was drawn from scores of what was inspected before: it is gone. Mark good images, then ' +
  'recalibrate below.';

/** @param apply lets the open model inspect this part from now on */
export function createModelRegion(
  inspection: Inspection,
  apply: (region: RegionOfInterest | undefined) => Promise<void>,
): HTMLElement {
  const said = element('p', { className: 'quiet', aria: { role: 'status' } });
  const use = button(
    'Inspect this part',
    () =>
      attempt(async () => {
        use.disabled = true;
        try {
          await apply(box.region());
          said.textContent = afterwards;
        } finally {
          refreshButton(box.region());
        }
      }),
    'primary',
  );
  const refreshButton = (drawn: RegionOfInterest | undefined) => {
    use.disabled = JSON.stringify(drawn) === JSON.stringify(inspection.settings?.region);
  };
  const box = createRegionBox({
    photographs: () => [inspection.selected ?? inspection.items[0]].flatMap((item) => item?.file ?? []),
    noPhotograph: 'Open an image first: the region is drawn on it.',
    purpose:
      'Leave out what is no part of the product, or what this model need not judge. Images are judged ' +
      'anew, and the limit has to be drawn anew from good images.',
    actions: [element('div', { className: 'row' }, use), said],
    onChange: refreshButton,
  });
  box.element.hidden = true;
  inspection.onChange((change) => {
    if (change === 'selection') box.refresh();
    if (change !== 'model') return;
    const { settings } = inspection;
    box.element.hidden = !settings;
    said.textContent = '';
    box.open(settings?.region);
  });
  return box.element;
}
