/** Paints an inspected image: the photograph, its heat map and the outline of what is marked. */
import { visibleMask } from '../src/eval/blobs.ts';
import type { ColourMapName } from '../src/eval/colour_maps.ts';
import { coloursOf, outlinesOf } from '../src/eval/heat_map.ts';
import { markedPixels, type Scale } from '../src/eval/marks.ts';
import { normalizeScore } from '../src/eval/thresholds.ts';
import { colouredCanvas } from './heat_map.ts';
import type { MapResult } from './types.ts';
import type { Placement, Point, Size } from './zoom.ts';

/** What is shown of an image. */
export interface Layers {
  readonly heat: boolean;
  readonly outline: boolean;
  /** Of the heat map, 0 to 1. */
  readonly opacity: number;
  readonly colours: ColourMapName;
}

/** An image with what lies over it, ready to be painted at any size. */
export interface Painting {
  readonly picture: ImageBitmap | OffscreenCanvas;
  readonly heat: HTMLCanvasElement;
  /** Lines around the marked regions, in pixels of the map. */
  readonly outline: Path2D;
  readonly map: Size;
}

/** The borders between marked pixels and others. */
function outlinePath(mask: Uint8Array, width: number, height: number): Path2D {
  const path = new Path2D();
  for (const outline of outlinesOf(mask, width, height)) {
    for (const [x, y] of outline) path.lineTo(x, y);
    path.closePath();
  }
  return path;
}

export function makePainting(
  picture: Painting['picture'],
  result: MapResult,
  scale: Scale | null,
  colours: ColourMapName,
): Painting {
  const { width, height } = result;
  const by = coloursOf(result, scale);
  const mask = markedPixels(result, scale);
  return {
    picture,
    heat: colouredCanvas(result, colours, (value) => normalizeScore(value, by)),
    outline: mask ? outlinePath(visibleMask({ mask, width, height }), width, height) : new Path2D(),
    map: { width, height },
  };
}

/** @param unit lines are this many pixels of the canvas wide */
export function paint(
  context: CanvasRenderingContext2D,
  { picture, heat, outline, map }: Painting,
  layers: Layers,
  { scale, left, top }: Placement,
  unit: number,
): void {
  const [width, height] = [picture.width * scale, picture.height * scale];
  context.imageSmoothingEnabled = scale < 4;
  context.imageSmoothingQuality = 'high';
  context.drawImage(picture, left, top, width, height);
  if (layers.heat && layers.opacity > 0) {
    context.globalAlpha = layers.opacity;
    context.imageSmoothingEnabled = true;
    context.drawImage(heat, left, top, width, height);
    context.globalAlpha = 1;
  }
  if (!layers.outline) return;
  const lines = new Path2D();
  lines.addPath(outline, new DOMMatrix([width / map.width, 0, 0, height / map.height, left, top]));
  context.lineCap = 'square';
  for (const [colour, thickness] of [
    ['#0009', 4],
    ['#ff3b30', 2],
  ] as const) {
    context.strokeStyle = colour;
    context.lineWidth = thickness * unit;
    context.stroke(lines);
  }
}

/** Marks the clicked place. @param at 0 to 1 */
export function paintSpot(
  context: CanvasRenderingContext2D,
  at: Point,
  picture: Size,
  { scale, left, top }: Placement,
  unit: number,
): void {
  const [x, y] = [left + at.x * picture.width * scale, top + at.y * picture.height * scale];
  context.beginPath();
  context.arc(x, y, 7 * unit, 0, 2 * Math.PI);
  for (const [dx, dy] of [
    [1, 0],
    [-1, 0],
    [0, 1],
    [0, -1],
  ] as const) {
    context.moveTo(x + 4 * dx * unit, y + 4 * dy * unit);
    context.lineTo(x + 13 * dx * unit, y + 13 * dy * unit);
  }
  context.lineCap = 'round';
  for (const [colour, thickness] of [
    ['#000', 4],
    ['#fff', 2],
  ] as const) {
    context.strokeStyle = colour;
    context.lineWidth = thickness * unit;
    context.stroke();
  }
}

/** The painting as a picture of its own, its longer side as given at most. */
export function pictureOf(painting: Painting, layers: Layers, longest: number): HTMLCanvasElement {
  const { width, height } = painting.picture;
  const scale = Math.min(1, longest / Math.max(width, height));
  const canvas = document.createElement('canvas');
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  const context = canvas.getContext('2d') as CanvasRenderingContext2D;
  paint(context, painting, layers, { scale, left: 0, top: 0 }, Math.max(1, canvas.width / 512));
  return canvas;
}
