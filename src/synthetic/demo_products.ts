/**
 * Two procedural products for `aand demo`: a brushed metal washer and a woven fabric, with four kinds of
 * defect each. Good parts vary in place, size, light, texture and colour; every defect varies in place, size,
 * shape and strength. Seeded.
 */

import { RandomStream } from '../base/random.ts';
import type { Image } from '../image/image.ts';
import { perlinNoise } from './perlin.ts';

export const productSide = 256;

type Colour = [number, number, number];
type Shader = (x: number, y: number) => Colour;

/** A drawn part: its colours, and where on it a defect may lie. */
interface Part {
  readonly shade: Shader;
  /** How much of a pixel belongs to the part: defects do not leave it. */
  readonly inside: (x: number, y: number) => number;
  /** A random point on the part. */
  point(random: RandomStream): [number, number];
  /** What shows where the part is missing. */
  readonly behind: Shader;
}

/** A defect: how much of a pixel it covers (0..1), and what it looks like there. */
interface Defect {
  readonly cover: (x: number, y: number) => number;
  readonly shade: (x: number, y: number, part: Colour) => Colour;
}

export interface Product {
  readonly name: string;
  readonly part: (random: RandomStream) => Part;
  readonly defects: Readonly<Record<string, (part: Part, random: RandomStream) => Defect>>;
}

function noise(random: RandomStream, cells: number): (x: number, y: number) => number {
  const angles = Float64Array.from({ length: (cells + 1) ** 2 }, () => random.uniform(0, 2 * Math.PI));
  const field = perlinNoise(productSide, cells, cells, angles);
  const clamp = (v: number) => Math.min(productSide - 1, Math.max(0, Math.round(v)));
  return (x, y) => field[clamp(y) * productSide + clamp(x)] as number;
}

/** 1 inside, 0 outside, smooth over two pixels around the edge; distance negative inside. */
function edge(distance: number): number {
  return Math.min(1, Math.max(0, 0.5 - distance / 2));
}

function mix(a: Colour, b: Colour, t: number): Colour {
  return [a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t, a[2] + (b[2] - a[2]) * t];
}

function scale(colour: Colour, factor: number): Colour {
  return [colour[0] * factor, colour[1] * factor, colour[2] * factor];
}

/** A blob with a wavy outline around a point. */
function blob(
  random: RandomStream,
  [cx, cy]: [number, number],
  radius: number,
): (x: number, y: number) => number {
  const wave = Array.from(
    { length: 4 },
    (_, k) => [random.uniform(0, 0.35 / (k + 1)), random.uniform(0, 2 * Math.PI)] as const,
  );
  const squash = random.uniform(0.6, 1);
  const turn = random.uniform(0, Math.PI);
  return (x, y) => {
    const dx = x - cx;
    const dy = y - cy;
    const u = dx * Math.cos(turn) + dy * Math.sin(turn);
    const v = (dy * Math.cos(turn) - dx * Math.sin(turn)) / squash;
    const angle = Math.atan2(v, u);
    const outline = wave.reduce((sum, [size, phase], k) => sum + size * Math.sin((k + 2) * angle + phase), 1);
    return edge(Math.hypot(u, v) - radius * outline);
  };
}

/** A thin curved line starting at a point. */
function curve(
  random: RandomStream,
  [x0, y0]: [number, number],
  length: number,
  width: number,
): (x: number, y: number) => number {
  let angle = random.uniform(0, 2 * Math.PI);
  const bend = random.uniform(-0.04, 0.04);
  const points: [number, number][] = [];
  for (let i = 0, x = x0, y = y0; i < length; i += 2, angle += bend) {
    points.push([x, y]);
    x += 2 * Math.cos(angle);
    y += 2 * Math.sin(angle);
  }
  return (x, y) => {
    let nearest = Number.POSITIVE_INFINITY;
    for (const [px, py] of points) nearest = Math.min(nearest, Math.hypot(x - px, y - py));
    return edge(nearest - width);
  };
}

function washer(random: RandomStream): Part {
  const cx = productSide / 2 + random.uniform(-9, 9);
  const cy = productSide / 2 + random.uniform(-9, 9);
  const outer = random.uniform(92, 102);
  const inner = random.uniform(38, 44);
  const metal = scale([178, 182, 190], random.uniform(0.88, 1.08));
  const light = random.uniform(0, 2 * Math.PI);
  const brushed = Float32Array.from({ length: 160 }, () => random.uniform(-1, 1));
  const cloudy = noise(random, 4);
  const table = noise(random, 8);
  const grain = noise(random, 64);
  const tableColour = scale([46, 50, 58], random.uniform(0.8, 1.2));
  const behind: Shader = (x, y) => scale(tableColour, 1 + 0.12 * table(x, y) + 0.1 * grain(x, y));
  const distanceFrom = (x: number, y: number) => {
    const radius = Math.hypot(x - cx, y - cy);
    return Math.max(radius - outer, inner - radius);
  };
  const shade: Shader = (x, y) => {
    const radius = Math.hypot(x - cx, y - cy);
    const distance = distanceFrom(x, y);
    const angle = Math.atan2(y - cy, x - cx);
    const bevel = 1 - 0.3 * Math.exp(-((distance + 5) ** 2) / 12);
    const shine = 1 + 0.13 * Math.cos(2 * (angle - light));
    const stripes =
      1 + 0.035 * (brushed[Math.floor(radius * 1.2) % brushed.length] as number) + 0.03 * cloudy(x, y);
    return mix(behind(x, y), scale(metal, bevel * shine * stripes), edge(distance));
  };
  return {
    shade,
    behind,
    inside: (x, y) => edge(distanceFrom(x, y)),
    point(from) {
      const angle = from.uniform(0, 2 * Math.PI);
      const radius = from.uniform(inner + 14, outer - 14);
      return [cx + radius * Math.cos(angle), cy + radius * Math.sin(angle)];
    },
  };
}

function fabric(random: RandomStream): Part {
  const period = random.uniform(11.5, 12.5);
  const turn = random.uniform(-0.05, 0.05);
  const [phaseX, phaseY] = [random.uniform(0, 12), random.uniform(0, 12)];
  const warp = noise(random, 4);
  const shadow = noise(random, 2);
  const fibre = noise(random, 64);
  const colour = scale([96, 128, 168], random.uniform(0.9, 1.1));
  const other = scale([150, 162, 180], random.uniform(0.92, 1.08));
  const shade: Shader = (x, y) => {
    const wx = x + 2 * warp(x, y);
    const wy = y + 2 * warp(y, x);
    const u = (wx * Math.cos(turn) + wy * Math.sin(turn) + phaseX) / period;
    const v = (wy * Math.cos(turn) - wx * Math.sin(turn) + phaseY) / period;
    const over = (Math.floor(u) + Math.floor(v)) % 2 === 0;
    const across = over ? u - Math.floor(u) : v - Math.floor(v);
    const along = over ? v - Math.floor(v) : u - Math.floor(u);
    const round = Math.sin(Math.PI * across) * (0.75 + 0.25 * Math.sin(Math.PI * along));
    const light = (0.55 + 0.5 * round) * (1 + 0.12 * shadow(x, y) + 0.06 * fibre(x, y));
    return scale(over ? colour : other, light);
  };
  return {
    shade,
    behind: () => [22, 20, 20],
    inside: () => 1,
    point: (from) => [from.uniform(40, productSide - 40), from.uniform(40, productSide - 40)],
  };
}

/** The products of the demo. */
export const demoProducts: readonly Product[] = [
  {
    name: 'washer',
    part: washer,
    defects: {
      scratch(part, random) {
        const bright = random.next() < 0.5;
        const strength = random.uniform(0.45, 0.8);
        return {
          cover: curve(random, part.point(random), random.uniform(40, 90), random.uniform(1.2, 2.4)),
          shade: (_x, _y, c) => mix(c, bright ? [245, 245, 250] : [50, 48, 52], strength),
        };
      },
      dent(part, random) {
        const [cx, cy] = part.point(random);
        const radius = random.uniform(9, 16);
        const light = random.uniform(0, 2 * Math.PI);
        return {
          cover: blob(random, [cx, cy], radius),
          shade: (x, y, c) => {
            const slope = ((x - cx) * Math.cos(light) + (y - cy) * Math.sin(light)) / radius;
            return scale(c, 0.72 + 0.5 * slope);
          },
        };
      },
      rust(part, random) {
        const spots = noise(random, 32);
        return {
          cover: blob(random, part.point(random), random.uniform(11, 22)),
          shade: (x, y, c) =>
            mix(c, [150 + 40 * spots(x, y), 82 + 30 * spots(x, y), 38], 0.6 + 0.3 * spots(y, x)),
        };
      },
      chip(part, random) {
        return {
          cover: blob(random, part.point(random), random.uniform(10, 18)),
          shade: (x, y) => part.behind(x, y),
        };
      },
    },
  },
  {
    name: 'fabric',
    part: fabric,
    defects: {
      hole(part, random) {
        return {
          cover: blob(random, part.point(random), random.uniform(8, 16)),
          shade: (x, y) => part.behind(x, y),
        };
      },
      loose_thread(part, random) {
        const tone = random.next() < 0.5 ? 235 : 40;
        return {
          cover: curve(random, part.point(random), random.uniform(50, 110), random.uniform(1.8, 3)),
          shade: (_x, _y, c) => mix(c, [tone, tone, tone * 0.95], 0.85),
        };
      },
      stain(part, random) {
        const strength = random.uniform(0.45, 0.7);
        return {
          cover: blob(random, part.point(random), random.uniform(16, 30)),
          shade: (_x, _y, c) => mix(c, [92, 62, 36], strength),
        };
      },
      wrong_weave(part, random) {
        const stretch = random.uniform(1.8, 2.6);
        const [cx, cy] = part.point(random);
        return {
          cover: blob(random, [cx, cy], random.uniform(18, 30)),
          shade: (x, y) => part.shade(cx + (x - cx) / stretch, cy + (y - cy) * 0.25),
        };
      },
    },
  },
];

export interface DrawnPart {
  readonly image: Image;
  /** 0/255 grey; undefined for a good part. */
  readonly mask?: Image;
}

/** Draws a part, with a defect or without; the same name, seed and index give the same picture. */
export function drawPart(
  product: Product,
  defectName: string | undefined,
  seed: number,
  index: number,
): DrawnPart {
  const random = new RandomStream('demo', seed, product.name, defectName ?? 'good', index);
  const part = product.part(random);
  const defect = defectName === undefined ? undefined : product.defects[defectName]?.(part, random);
  const sensor = random.uniform(2, 5);
  const exposure = random.uniform(0.94, 1.06);
  const data = new Uint8Array(productSide * productSide * 3);
  const mask = new Uint8Array(productSide * productSide);
  for (let y = 0; y < productSide; y++)
    for (let x = 0; x < productSide; x++) {
      let colour = part.shade(x, y);
      const cover = defect ? defect.cover(x, y) * part.inside(x, y) : 0;
      if (defect && cover > 0) colour = mix(colour, defect.shade(x, y, colour), cover);
      const i = y * productSide + x;
      mask[i] = cover > 0.5 ? 255 : 0;
      for (let c = 0; c < 3; c++) {
        const value = (colour[c] as number) * exposure + sensor * (random.next() + random.next() - 1);
        data[i * 3 + c] = Math.min(255, Math.max(0, Math.round(value)));
      }
    }
  const image: Image = { width: productSide, height: productSide, channels: 3, data };
  return defect
    ? { image, mask: { width: productSide, height: productSide, channels: 1, data: mask } }
    : { image };
}
