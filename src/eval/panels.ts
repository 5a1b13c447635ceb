/**
 * Result pictures: image | ground truth | heat map | mask, side by side, with a legend. The model's scale
 * fixes the colours of the heat map, 0 to 1: 0.5, the limit, is always its middle. Without a limit there is
 * no mask, and the colours run from 0 to the largest raw value of the picture's own map.
 */
import type { Image } from '../image/image.ts';
import { resizeBilinear, resizeNearest } from '../image/resize.ts';
import { visibleMask } from './blobs.ts';
import { jet } from './colour_maps.ts';
import { type Colour, canvas, ink, outline, paste } from './drawing.ts';
import { drawText, glyphHeight, glyphWidth } from './font.ts';
import { type Calibration, normalizeScore, scoreText } from './thresholds.ts';

/** Side of a panel in pixels. */
export const panelSide = 256;
const side = panelSide;
const gap = 6;
const header = 18;
const legend = 56;
const red: Colour = [255, 40, 40];
const white: Colour = [255, 255, 255];
/** Grey of what is not inspected. */
const notInspected = 64;

interface Size {
  readonly width: number;
  readonly height: number;
}

/** A mask as a black and white picture of another size. */
function binary(mask: Uint8Array, size: Size, to: Size): Image {
  const data = new Uint8Array(mask.length * 3);
  mask.forEach((value, i) => {
    data.fill(value ? 255 : 0, i * 3, i * 3 + 3);
  });
  const { width, height } = size;
  return resizeNearest({ width, height, channels: 3, data }, to.width, to.height);
}

/** The calibration that the colours follow. */
function coloursOf({ map, scale }: MapPicture): Calibration {
  if (scale) return scale;
  const largest = map.reduce((a, b) => Math.max(a, b), 0);
  return { threshold: largest / 2, min: 0, max: largest, rule: 'the range of this map' };
}

/** The map in colours, brought to another size before it is coloured. */
function coloured({ map, width, height }: MapPicture, scale: Calibration, to: Size): Image {
  const grey = new Uint8Array(width * height);
  map.forEach((value, i) => {
    grey[i] = Math.round(255 * normalizeScore(value, scale));
  });
  const scaled = resizeBilinear({ width, height, channels: 1, data: grey }, to.width, to.height);
  const data = new Uint8Array(3 * scaled.data.length);
  scaled.data.forEach((value, i) => {
    data.set(jet(value / 255), 3 * i);
  });
  return { width: to.width, height: to.height, channels: 3, data };
}

/** Where a picture of the map's image shows what is not inspected, 255 per channel; undefined: nowhere. */
function leftOut({ inspected, width, height }: MapPicture, to: Size): Image | undefined {
  if (!inspected) return undefined;
  return binary(
    inspected.map((value) => (value ? 0 : 1)),
    { width, height },
    to,
  );
}

/** The map in colours, in its own size; grey where the image is not inspected. */
export function colouredMap(input: MapPicture): Image {
  const heat = coloured(input, coloursOf(input), input);
  leftOut(input, input)?.data.forEach((value, i) => {
    if (value) heat.data[i] = notInspected;
  });
  return heat;
}

/**
 * 50 % blend of the coloured map over an image of any size. What is not inspected is dark and without colours
 * of the map.
 */
function overlay(image: Image, input: MapPicture, scale: Calibration): Image {
  const heat = coloured(input, scale, image);
  const dark = leftOut(input, image)?.data;
  image.data.forEach((value, i) => {
    heat.data[i] = dark?.[i] ? (value + notInspected) >> 2 : (value + (heat.data[i] as number)) >> 1;
  });
  return heat;
}

/** The heat map over an image, with marked regions outlined in red; in the image's size. */
export function heatPicture(image: Image, input: MapPicture): Image {
  const heat = overlay(image, input, coloursOf(input));
  if (input.mask) outline(heat, binary(visibleMask({ ...input, mask: input.mask }), input, image), red);
  return heat;
}

/** Labels from 0 to 1; raw values where there is no limit that they could be measured by. */
function drawLegend(target: Image, x: number, y: number, { scale, map }: MapPicture): void {
  const top = scale ? 1 : map.reduce((a, b) => Math.max(a, b), 0);
  const height = side - 2;
  for (let row = 0; row < height; row++) {
    const colour = jet(1 - row / (height - 1));
    for (let column = 0; column < 12; column++)
      target.data.set(colour, ((y + row) * target.width + x + column) * 3);
  }
  for (const [value, at] of [
    [1, 0],
    [0.5, height / 2],
    [0, height - glyphHeight],
  ] as const) {
    const text = scale ? String(value) : (value * top).toFixed(2);
    drawText(target, text, x + 16, Math.round(y + at - (value === 0.5 ? glyphHeight / 2 : 0)), ink);
  }
}

/** A map and what is marked in it. */
export interface MapPicture extends Size {
  /** [height, width], as the mask. */
  readonly map: Float32Array;
  /** Null, as the calibration, for a detector without a threshold. */
  readonly mask: Uint8Array | null;
  /** 1 where the image is inspected, else 0, [height, width]; absent where all of it is. */
  readonly inspected?: Uint8Array | undefined;
  /** Of the map's values: 0 to 1 from blue to red, 0.5 at the limit. */
  readonly scale: Calibration | null;
}

/** What a result picture shows: the image, its map, the mask and the ground truth. */
export interface PanelInput extends MapPicture {
  readonly image: Image;
  /** 0/1 [height, width]; undefined where it is not known. */
  readonly truth?: Uint8Array | undefined;
  readonly score: number;
  /** Null, as the verdict, for a detector without a threshold. */
  readonly normalizedScore: number | null;
  readonly anomalous: boolean | null;
  /** What the image is, for the header. */
  readonly label: string;
}

function verdictOf({ anomalous, normalizedScore, score }: PanelInput): string {
  const raw = `raw ${score.toFixed(3)}`;
  if (anomalous === null || normalizedScore === null) return `${raw} no threshold`;
  return `${anomalous ? 'anomalous' : 'good'} ${scoreText(normalizedScore)} ${raw}`;
}

/**
 * The picture of one result, 1110 x 280 pixels; one panel less without ground truth, and without a threshold.
 */
export function drawPanels(input: PanelInput): Image {
  const image = resizeBilinear(input.image, side, side);
  const mask = input.mask && binary(input.mask, input, image);
  if (mask)
    leftOut(input, image)?.data.forEach((value, i) => {
      if (value) mask.data[i] = notInspected;
    });
  const heat = heatPicture(image, input);
  const panels: { title: string; picture: Image }[] = [{ title: input.label, picture: image }];
  if (input.truth) {
    const truth = binary(input.truth, input, image);
    outline(heat, truth, white);
    panels.push({ title: 'ground truth', picture: truth });
  }
  panels.push({ title: verdictOf(input), picture: heat });
  if (mask) panels.push({ title: 'mask', picture: mask });
  const target = canvas(panels.length * (side + gap) + gap + legend, side + header + gap);
  panels.forEach(({ title, picture }, i) => {
    const x = gap + i * (side + gap);
    paste(target, picture, x, header);
    const room = Math.floor(side / glyphWidth);
    drawText(
      target,
      title.length > room ? `${title.slice(0, room - 2)}..` : title,
      x,
      6,
      picture === heat && input.anomalous ? [255, 120, 110] : ink,
    );
  });
  drawLegend(target, gap + panels.length * (side + gap), header, input);
  return target;
}
