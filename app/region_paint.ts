/** Paints a region of interest over a photograph, and what is being drawn of it. */
import { type RegionOfInterest, type RegionPoint, regionPixels } from '../src/data/region.ts';
import type { ShapeKind } from './region_shapes.ts';
import type { Tool } from './region_tools.ts';

const inspectedEdge = [94, 179, 255] as const;
const dark = [8, 12, 16, 178] as const;

/** A place of 0 to 1 in pixels of a canvas. */
export function placeOnCanvas(
  [x, y]: RegionPoint,
  { width, height }: { readonly width: number; readonly height: number },
): RegionPoint {
  return [x * width, y * height];
}

/** The picture with what is not inspected in the dark. */
export function paintRegion(context: CanvasRenderingContext2D, region: RegionOfInterest): void {
  const { width, height } = context.canvas;
  const pixels = regionPixels(region, width, height);
  const cover = new OffscreenCanvas(width, height);
  const shade = cover.getContext('2d');
  if (!shade) return;
  const layer = shade.createImageData(width, height);
  const inside = (x: number, y: number) =>
    x < 0 || y < 0 || x >= width || y >= height || pixels[y * width + x] === 1;
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const at = 4 * (y * width + x);
      if (!inside(x, y)) layer.data.set(dark, at);
      else if (!(inside(x - 1, y) && inside(x + 1, y) && inside(x, y - 1) && inside(x, y + 1)))
        layer.data.set([...inspectedEdge, 255], at);
    }
  shade.putImageData(layer, 0, 0);
  context.drawImage(cover, 0, 0);
}

/** A shape that is not whole yet. */
export interface Draft {
  readonly tool: Tool;
  readonly kind: ShapeKind;
  /** Its corners, 0 to 1. */
  readonly draft: readonly RegionPoint[];
  /** Where the pointer or the keys are. */
  readonly cross: RegionPoint | undefined;
  /** The keys draw. */
  readonly focused: boolean;
  /** Of the brush, in pixels of the canvas. */
  readonly radius: number;
  /** Pixels of the canvas for one of the screen. */
  readonly scale: number;
}

/** The lines of a draft, its first corner, and the cross of the keys. */
export function paintDraft(
  context: CanvasRenderingContext2D,
  { tool, kind, draft, cross, focused, radius, scale }: Draft,
): void {
  const [first] = draft;
  const places = (cross && tool !== 'stroke' && draft.length ? [...draft, cross] : draft).map((place) =>
    placeOnCanvas(place, context.canvas),
  );
  context.lineJoin = 'round';
  context.lineCap = 'round';
  const trace = (style: string, width: number) => {
    context.strokeStyle = style;
    context.lineWidth = width;
    context.stroke();
  };
  context.beginPath();
  if (tool === 'rectangle' && places.length > 1) {
    const [[x0, y0], [x1, y1]] = [places[0], places.at(-1)] as [RegionPoint, RegionPoint];
    context.rect(Math.min(x0, x1), Math.min(y0, y1), Math.abs(x1 - x0), Math.abs(y1 - y0));
  } else for (const [x, y] of places) context.lineTo(x, y);
  if (tool === 'stroke' && draft.length)
    trace(kind === 'inspect' ? 'rgb(94 179 255 / .6)' : 'rgb(8 12 16 / .7)', 2 * radius);
  else {
    trace('rgb(0 0 0 / .8)', 4 * scale);
    trace('#fff', 2 * scale);
  }
  if (tool === 'polygon' && first) {
    const [x, y] = placeOnCanvas(first, context.canvas);
    context.beginPath();
    context.arc(x, y, 6 * scale, 0, 2 * Math.PI);
    context.fillStyle = '#fff';
    context.fill();
    trace('rgb(0 0 0 / .8)', scale);
  }
  if (cross && focused) {
    const [x, y] = placeOnCanvas(cross, context.canvas);
    const arm = 12 * scale;
    context.beginPath();
    context.moveTo(x - arm, y);
    context.lineTo(x + arm, y);
    context.moveTo(x, y - arm);
    context.lineTo(x, y + arm);
    trace('rgb(0 0 0 / .8)', 4 * scale);
    trace('#fff', 2 * scale);
  }
}
