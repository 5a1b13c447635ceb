/** Contact sheets: many small pictures with their names on one page. */
import type { Image } from '../image/image.ts';
import { resizeBilinear } from '../image/resize.ts';
import { type Colour, canvas, ink, outline, paste } from './drawing.ts';
import { drawText, glyphHeight, glyphWidth } from './font.ts';

export interface Cell {
  /** 8-bit RGB of any size; shown with its aspect ratio. */
  readonly image: Image;
  readonly label: string;
  /** 0/1 [side, side] outlined in the picture. */
  readonly mask?: { readonly values: ArrayLike<number>; readonly side: number; readonly dim?: boolean };
  /** 0/1 [side, side]: what is not inspected is dimmed, its border drawn. */
  readonly inspected?: { readonly values: ArrayLike<number>; readonly side: number } | undefined;
}

export interface SheetOptions {
  readonly columns?: number;
  /** Pixels of a picture's longer side. */
  readonly side?: number;
  readonly title?: string;
}

const gap = 8;
const green = [70, 230, 120] as const;
const blue = [90, 170, 255] as const;

function shorten(text: string, width: number): string {
  const room = Math.floor(width / glyphWidth);
  return text.length > room ? `${text.slice(0, room - 2)}..` : text;
}

/** Outlines a mask in a picture; what is outside of it is dimmed where that is asked. */
function outlineMask(
  picture: Image,
  { values, side }: { readonly values: ArrayLike<number>; readonly side: number },
  colour: Colour,
  dim: boolean,
): void {
  const { width, height } = picture;
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const at = Math.floor((y * side) / height) * side + Math.floor((x * side) / width);
      const i = (y * width + x) * 3;
      if (values[at]) data.fill(255, i, i + 3);
      else if (dim) for (let c = 0; c < 3; c++) picture.data[i + c] = (picture.data[i + c] as number) >> 2;
    }
  outline(picture, { width, height, channels: 3, data }, colour);
}

/** A picture at the size of its place, with its masks. */
function drawCell({ image, mask, inspected }: Cell, side: number): Image {
  const scale = side / Math.max(image.width, image.height);
  const [width, height] = [image.width, image.height].map((length) =>
    Math.max(1, Math.round(length * scale)),
  ) as [number, number];
  const picture = resizeBilinear(image, width, height);
  if (inspected) outlineMask(picture, inspected, blue, true);
  if (mask) outlineMask(picture, mask, green, mask.dim ?? false);
  return picture;
}

/** Draws the pictures row by row. */
export function contactSheet(cells: readonly Cell[], options: SheetOptions = {}): Image {
  const { columns = 8, side = 128, title } = options;
  const wide = Math.max(1, Math.min(columns, cells.length));
  const rows = Math.max(1, Math.ceil(cells.length / wide));
  const cellHeight = side + glyphHeight + gap;
  const top = title ? glyphHeight + 2 * gap : gap;
  const target = canvas(gap + wide * (side + gap), top + rows * (cellHeight + gap));
  if (title) drawText(target, shorten(title, target.width - 2 * gap), gap, gap, ink);
  cells.forEach((cell, i) => {
    const x = gap + (i % wide) * (side + gap);
    const y = top + Math.floor(i / wide) * (cellHeight + gap);
    const picture = drawCell(cell, side);
    paste(
      target,
      picture,
      x + Math.floor((side - picture.width) / 2),
      y + Math.floor((side - picture.height) / 2),
    );
    drawText(target, shorten(cell.label, side), x, y + side + 3, ink);
  });
  return target;
}
