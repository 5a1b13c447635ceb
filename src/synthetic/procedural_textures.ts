/**
 * The default texture source: 512 seeded procedural textures (stripes, checks, spots, cells, fibres, clouds,
 * ripples, cracks) in random colours. Free of any data set's licence.
 */

import { RandomStream } from '../base/random.ts';
import type { Image } from '../image/image.ts';
import type { TextureSource } from './anomaly.ts';
import { perlinNoise } from './perlin.ts';

const side = 256;
const count = 512;

type Pattern = (random: RandomStream) => (x: number, y: number) => number;

function noiseField(random: RandomStream, cells: number): Float32Array {
  const angles = Float64Array.from({ length: (cells + 1) ** 2 }, () => random.uniform(0, 2 * Math.PI));
  return perlinNoise(side, cells, cells, angles);
}

/** Sum of octaves of noise, about -1..1. */
function clouds(random: RandomStream, first: number, octaves: number): Float32Array {
  const sum = new Float32Array(side * side);
  for (let octave = 0; octave < octaves; octave++) {
    const field = noiseField(random, first << octave);
    for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] as number) + (field[i] as number) / 2 ** octave;
  }
  return sum;
}

function points(random: RandomStream, total: number): [number, number][] {
  return Array.from({ length: total }, () => [random.uniform(0, side), random.uniform(0, side)]);
}

/** Distances to the nearest and the second nearest point, on a torus. */
function nearest(list: readonly [number, number][], x: number, y: number): [number, number] {
  let first = Number.POSITIVE_INFINITY;
  let second = first;
  for (const [px, py] of list) {
    const dx = Math.min(Math.abs(x - px), side - Math.abs(x - px));
    const dy = Math.min(Math.abs(y - py), side - Math.abs(y - py));
    const d = dx * dx + dy * dy;
    if (d < first) [first, second] = [d, first];
    else if (d < second) second = d;
  }
  return [Math.sqrt(first), Math.sqrt(second)];
}

const patterns: readonly Pattern[] = [
  // Stripes, straight or wavy.
  (random) => {
    const angle = random.uniform(0, Math.PI);
    const period = random.uniform(6, 48);
    const wave = noiseField(random, 4);
    const waviness = random.uniform(0, 30);
    return (x, y) => {
      const t = x * Math.cos(angle) + y * Math.sin(angle) + waviness * (wave[y * side + x] as number);
      return 0.5 + 0.5 * Math.sin((2 * Math.PI * t) / period);
    };
  },
  // Checks.
  (random) => {
    const angle = random.uniform(0, Math.PI / 2);
    const period = random.uniform(8, 40);
    return (x, y) => {
      const u = Math.floor((x * Math.cos(angle) + y * Math.sin(angle)) / period);
      const v = Math.floor((y * Math.cos(angle) - x * Math.sin(angle)) / period);
      return (u + v) & 1;
    };
  },
  // Spots.
  (random) => {
    const list = points(random, random.integer(20, 90));
    const radius = random.uniform(4, 14);
    return (x, y) => 1 / (1 + Math.exp(nearest(list, x, y)[0] - radius));
  },
  // Cells, as in cracked or crystalline surfaces.
  (random) => {
    const list = points(random, random.integer(15, 80));
    const width = random.uniform(1, 6);
    return (x, y) => {
      const [a, b] = nearest(list, x, y);
      return Math.min(1, (b - a) / width);
    };
  },
  // Fibres: noise stretched along one direction.
  (random) => {
    const angle = random.uniform(0, Math.PI);
    const field = clouds(random, 8, 3);
    const stretch = random.uniform(4, 16);
    return (x, y) => {
      const u = (x * Math.cos(angle) + y * Math.sin(angle)) / stretch;
      const v = y * Math.cos(angle) - x * Math.sin(angle);
      const wrap = (value: number) => ((Math.floor(value) % side) + side) % side;
      return 0.5 + 0.7 * (field[wrap(v) * side + wrap(u)] as number);
    };
  },
  // Clouds.
  (random) => {
    const field = clouds(random, random.integer(2, 8), 4);
    return (x, y) => 0.5 + 0.6 * (field[y * side + x] as number);
  },
  // Ripples around a centre.
  (random) => {
    const [cx, cy] = [random.uniform(0, side), random.uniform(0, side)];
    const period = random.uniform(6, 40);
    const bend = noiseField(random, 3);
    return (x, y) =>
      0.5 +
      0.5 *
        Math.sin((2 * Math.PI * Math.hypot(x - cx, y - cy)) / period + 3 * (bend[y * side + x] as number));
  },
  // Grain: coarse random dots.
  (random) => {
    const grain = random.integer(1, 4);
    const values = Float32Array.from({ length: side * side }, () => random.next());
    return (x, y) => values[Math.floor(y / grain) * side + Math.floor(x / grain)] as number;
  },
];

function colour(random: RandomStream): [number, number, number] {
  const grey = random.next() < 0.3;
  const level = random.uniform(0, 255);
  return grey
    ? [level, level, level]
    : [random.uniform(0, 255), random.uniform(0, 255), random.uniform(0, 255)];
}

function draw(index: number): Image {
  const random = new RandomStream('procedural texture', index);
  const pattern = (patterns[index % patterns.length] as Pattern)(random);
  const low = colour(random);
  const high = colour(random);
  const shade = clouds(random, 2, 3);
  const depth = random.uniform(0, 60);
  const data = new Uint8Array(side * side * 3);
  for (let y = 0; y < side; y++)
    for (let x = 0; x < side; x++) {
      const t = Math.min(1, Math.max(0, pattern(x, y)));
      const s = depth * (shade[y * side + x] as number);
      for (let c = 0; c < 3; c++) {
        const value = (low[c] as number) + t * ((high[c] as number) - (low[c] as number)) + s;
        data[(y * side + x) * 3 + c] = Math.min(255, Math.max(0, Math.round(value)));
      }
    }
  return { width: side, height: side, channels: 3, data };
}

export interface DrawnTextures extends TextureSource {
  texture(index: number): Image;
}

/** Procedural textures, drawn on first use. */
export function proceduralTextures(): DrawnTextures {
  const drawn = new Map<number, Image>();
  return {
    name: 'procedural',
    count,
    // Another number where another picture is drawn.
    digest: 'procedural/1',
    texture(index) {
      let image = drawn.get(index);
      if (!image) {
        image = draw(index);
        drawn.set(index, image);
      }
      return image;
    },
  };
}
