/** Maps as pictures: colours with a fixed scale, over the image. */
import { type Calibration, normalizeScore } from '../src/eval/thresholds.ts';
import { type ColourMapName, colourMaps } from './colour_maps.ts';
import { element } from './dom.ts';

/** What is not inspected has no colour of the map. */
const notInspected = [12, 16, 20] as const;

/**
 * Values through `level` (0 to 1) into colours.
 *
 * @param inspected 1 where a value counts; other places are dark
 */
export function colouredCanvas(
  values: Float32Array,
  width: number,
  height: number,
  colours: ColourMapName,
  level: (value: number) => number,
  inspected?: Uint8Array | undefined,
): HTMLCanvasElement {
  const canvas = element('canvas', { width, height });
  const context = canvas.getContext('2d') as CanvasRenderingContext2D;
  const picture = context.createImageData(width, height);
  const table = colourMaps[colours];
  for (let i = 0; i < values.length; i++) {
    const at = Math.round(255 * Math.min(1, Math.max(0, level(values[i] as number)))) * 3;
    const colour = inspected && !inspected[i] ? notInspected : table.subarray(at, at + 3);
    picture.data.set(colour, i * 4);
    picture.data[i * 4 + 3] = 255;
  }
  context.putImageData(picture, 0, 0);
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

/**
 * Draws an image and its map over it; the map's middle colour is the threshold, for every image of a model
 * alike.
 */
export function drawOverlay(
  canvas: HTMLCanvasElement,
  image: CanvasImageSource,
  size: { readonly width: number; readonly height: number },
  map:
    | {
        readonly values: Float32Array;
        readonly width: number;
        readonly height: number;
        readonly inspected?: Uint8Array | undefined;
      }
    | undefined,
  options: { readonly pixel: Calibration; readonly colours: ColourMapName; readonly opacity: number },
): void {
  const scale = Math.min(1, 1024 / Math.max(size.width, size.height));
  canvas.width = Math.round(size.width * scale);
  canvas.height = Math.round(size.height * scale);
  const context = canvas.getContext('2d') as CanvasRenderingContext2D;
  context.globalAlpha = 1;
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  if (!map || options.opacity === 0) return;
  const heat = colouredCanvas(
    map.values,
    map.width,
    map.height,
    options.colours,
    (v) => normalizeScore(v, options.pixel),
    map.inspected,
  );
  context.globalAlpha = options.opacity;
  context.imageSmoothingEnabled = true;
  context.drawImage(heat, 0, 0, canvas.width, canvas.height);
  context.globalAlpha = 1;
}

export function drawLegend(canvas: HTMLCanvasElement, colours: ColourMapName): void {
  canvas.width = 1;
  canvas.height = 256;
  const context = canvas.getContext('2d') as CanvasRenderingContext2D;
  const picture = context.createImageData(1, 256);
  const table = colourMaps[colours];
  for (let y = 0; y < 256; y++)
    picture.data.set([...table.subarray((255 - y) * 3, (256 - y) * 3), 255], y * 4);
  context.putImageData(picture, 0, 0);
}
