/** Entry of a page with the drawing area alone, and of the rule for pixels in a browser. */
import { createRegionEditor } from '../../app/region_editor.ts';
import { type RegionOfInterest, rasterizeRegion } from '../../src/data/region.ts';
import { parseRegion, regionText } from '../../src/data/region_json.ts';

function pixels(json: string, width: number, height: number): string {
  return rasterizeRegion(parseRegion(json, 'a region'), width, height).join('');
}

let region: RegionOfInterest | undefined;
const problems: string[] = [];
const editor = createRegionEditor(
  (changed) => {
    region = changed;
  },
  (error) => problems.push((error as Error).message),
);

/** Shows a photograph of this size. */
async function show(width: number, height: number): Promise<void> {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext('2d') as OffscreenCanvasRenderingContext2D;
  context.fillStyle = '#c9b48a';
  context.fillRect(0, 0, width, height);
  context.fillStyle = '#5a6f80';
  context.beginPath();
  context.ellipse(width / 2, height / 2, width / 3, height / 3, 0, 0, 2 * Math.PI);
  context.fill();
  editor.show(await createImageBitmap(canvas));
}

const main = document.createElement('main');
main.append(editor.element);
document.documentElement.lang = 'en';
const viewport = document.createElement('meta');
viewport.name = 'viewport';
viewport.content = 'width=device-width, initial-scale=1';
document.head.append(viewport);
document.body.append(main);

Object.assign(globalThis, {
  regionPage: {
    pixels,
    show,
    region: () => region && regionText(region),
    problems: () => problems,
    open: (json: string) => editor.open(parseRegion(json, 'a region')),
  },
});
