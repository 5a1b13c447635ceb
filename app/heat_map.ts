/** Maps and pixels as canvases of the page. */
import { drawValues } from '../src/eval/canvas.ts';
import type { ColourMapName } from '../src/eval/colour_maps.ts';
import type { MapValues } from '../src/eval/heat_map.ts';
import { element } from './dom.ts';

/** Values through `level` (0 to 1) into colours. */
export function colouredCanvas(
  values: MapValues,
  colours: ColourMapName,
  level: (value: number) => number,
): HTMLCanvasElement {
  const canvas = element('canvas');
  drawValues(canvas, values, colours, level);
  return canvas;
}

/** RGB bytes as a canvas. */
export function pixelCanvas(pixels: Uint8Array, width: number, height: number): HTMLCanvasElement {
  const canvas = element('canvas', { width, height });
  const context = canvas.getContext('2d') as CanvasRenderingContext2D;
  const picture = context.createImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) picture.data[i * 4 + c] = pixels[i * 3 + c] as number;
    picture.data[i * 4 + 3] = 255;
  }
  context.putImageData(picture, 0, 0);
  return canvas;
}
