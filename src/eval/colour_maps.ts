/** Colour maps: what colour a value of 0 to 1 has. */
import { interpolateInferno, interpolateTurbo, interpolateViridis } from 'd3-scale-chromatic';

/** The JET colour map: blue for 0, green for 0.5, red for 1. */
export function jet(value: number): readonly [number, number, number] {
  const channel = (centre: number) =>
    Math.round(255 * Math.min(1, Math.max(0, 1.5 - Math.abs(4 * value - centre))));
  return [channel(3), channel(2), channel(1)];
}

/** The numbers of '#rrggbb' or 'rgb(r, g, b)'. */
function parse(text: string): number[] {
  if (text.startsWith('#')) return [1, 3, 5].map((at) => Number.parseInt(text.slice(at, at + 2), 16));
  return (text.match(/\d+/g) ?? []).slice(0, 3).map(Number);
}

/** Names of the colour maps; the first is the usual one. */
export const colourMapNames = ['jet', 'turbo', 'inferno', 'viridis'] as const;

/** A colour map: jet (blue, green, red), turbo (the same, smoother), inferno and viridis (even in print). */
export type ColourMapName = (typeof colourMapNames)[number];

const colourOf: Readonly<Record<ColourMapName, (value: number) => readonly number[]>> = {
  jet,
  turbo: (value) => parse(interpolateTurbo(value)),
  inferno: (value) => parse(interpolateInferno(value)),
  viridis: (value) => parse(interpolateViridis(value)),
};

const tables = new Map<ColourMapName, Uint8Array>();

/** The colours of 0, 1/255, ... 1 of a colour map: red, green, blue of 256 steps, one after the other. */
export function colourTable(name: ColourMapName): Uint8Array {
  let table = tables.get(name);
  if (!table) {
    table = new Uint8Array(256 * 3);
    for (let i = 0; i < 256; i++) table.set(colourOf[name](i / 255), i * 3);
    tables.set(name, table);
  }
  return table;
}
