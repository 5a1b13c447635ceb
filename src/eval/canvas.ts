/** Heat maps on canvases, in browsers. */
import { UnsupportedError } from '../base/errors.ts';
import { visibleMask } from './blobs.ts';
import { type ColourMapName, colourTable } from './colour_maps.ts';
import { colourPixels, heatPixels, type MapScale, type MapValues, outlinesOf } from './heat_map.ts';

/** A canvas, in a page or beside it. */
export type AnyCanvas = HTMLCanvasElement | OffscreenCanvas;

/** What is drawn below a heat map. */
export type Picture = AnyCanvas | HTMLImageElement | HTMLVideoElement | ImageBitmap | VideoFrame;

function contextOf(canvas: AnyCanvas): CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D {
  const context = canvas.getContext('2d') as CanvasRenderingContext2D | null;
  if (!context) throw new UnsupportedError('this canvas has no 2-D context: it has another one already');
  return context;
}

/** Makes a canvas as large as RGBA pixels, and puts them there. */
export function putPixels(
  canvas: AnyCanvas,
  {
    width,
    height,
    data,
  }: { readonly width: number; readonly height: number; readonly data: Uint8ClampedArray<ArrayBuffer> },
): void {
  canvas.width = width;
  canvas.height = height;
  contextOf(canvas).putImageData(new ImageData(data, width, height), 0, 0);
}

/** Puts values in colours on a canvas; `level` gives 0 to 1 of a value. */
export function drawValues(
  canvas: AnyCanvas,
  input: MapValues,
  colours: ColourMapName,
  level: (value: number) => number,
): void {
  const { width, height } = input;
  putPixels(canvas, { width, height, data: colourPixels(input, colours, level) });
}

/** How a heat map is drawn over its image. */
export interface OverlayOptions {
  /** That of the detector; null: the range of the map itself. */
  readonly scale: MapScale | null;
  /** Default jet. */
  readonly colours?: ColourMapName | undefined;
  /** Of the colours, 0 to 1; default 0.5. With 0 the image alone is drawn. */
  readonly opacity?: number | undefined;
  /** Pixels that are outlined, 0/1 of the map's size; undefined or null: none. */
  readonly mask?: Uint8Array | null | undefined;
  /** The longer side of the canvas, at most; default 1024. */
  readonly longest?: number | undefined;
}

const outlineColour = 'rgb(255, 40, 40)';

/** Draws the outlines of what is marked over the whole of a canvas. */
export function drawOutlines(
  canvas: AnyCanvas,
  mask: Uint8Array,
  { width, height }: Omit<MapValues, 'map'>,
): void {
  const context = contextOf(canvas);
  const [across, down] = [canvas.width / width, canvas.height / height];
  context.strokeStyle = outlineColour;
  context.lineWidth = Math.max(1.5, Math.max(canvas.width, canvas.height) / 320);
  context.lineJoin = 'round';
  context.beginPath();
  // A mark of one pixel is drawn larger, so that it is seen.
  for (const outline of outlinesOf(visibleMask({ mask, width, height }), width, height)) {
    for (const [x, y] of outline) context.lineTo(x * across, y * down);
    context.closePath();
  }
  context.stroke();
}

/** Width and height of a picture in its own pixels. */
function sizeOf(picture: Picture): { readonly width: number; readonly height: number } {
  if ('videoWidth' in picture) return { width: picture.videoWidth, height: picture.videoHeight };
  if ('naturalWidth' in picture) return { width: picture.naturalWidth, height: picture.naturalHeight };
  if ('displayWidth' in picture) return { width: picture.displayWidth, height: picture.displayHeight };
  return { width: picture.width, height: picture.height };
}

/**
 * Draws an image, its heat map over it, and the outlines of what is marked. The canvas gets the image's size,
 * or a smaller one of the same form.
 *
 * @param input a prediction; undefined: the image alone is drawn
 */
export function drawOverlay(
  canvas: AnyCanvas,
  picture: Picture,
  input: MapValues | undefined,
  options: OverlayOptions,
): void {
  const { scale, colours = 'jet', opacity = 0.5, mask, longest = 1024 } = options;
  const size = sizeOf(picture);
  const shrink = Math.min(1, longest / Math.max(size.width, size.height));
  canvas.width = Math.max(1, Math.round(size.width * shrink));
  canvas.height = Math.max(1, Math.round(size.height * shrink));
  const context = contextOf(canvas);
  context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  if (input && opacity > 0) {
    const heat = new OffscreenCanvas(input.width, input.height);
    putPixels(heat, heatPixels(input, scale, colours));
    context.globalAlpha = opacity;
    context.imageSmoothingEnabled = true;
    context.drawImage(heat, 0, 0, canvas.width, canvas.height);
    context.globalAlpha = 1;
  }
  if (input && mask) drawOutlines(canvas, mask, input);
}

/** Draws a colour map from 1 (top) to 0 (bottom), one pixel wide and 256 high: the page stretches it. */
export function drawLegend(canvas: AnyCanvas, colours: ColourMapName = 'jet'): void {
  const table = colourTable(colours);
  const data = new Uint8ClampedArray(256 * 4);
  for (let y = 0; y < 256; y++) data.set([...table.subarray((255 - y) * 3, (256 - y) * 3), 255], y * 4);
  putPixels(canvas, { width: 1, height: 256, data });
}
