/** Colour maps as tables of 256 colours. */
import { interpolateInferno, interpolateTurbo, interpolateViridis } from 'd3-scale-chromatic';
import { jet } from '../src/eval/colour_maps.ts';

function table(colour: (value: number) => readonly number[]): Uint8Array {
  const result = new Uint8Array(256 * 3);
  for (let i = 0; i < 256; i++) result.set(colour(i / 255), i * 3);
  return result;
}

/** The numbers of '#rrggbb' or 'rgb(r, g, b)'. */
function parse(text: string): number[] {
  if (text.startsWith('#')) return [1, 3, 5].map((at) => Number.parseInt(text.slice(at, at + 2), 16));
  return (text.match(/\d+/g) ?? []).slice(0, 3).map(Number);
}

export const colourMaps = {
  jet: table(jet),
  turbo: table((value) => parse(interpolateTurbo(value))),
  inferno: table((value) => parse(interpolateInferno(value))),
  viridis: table((value) => parse(interpolateViridis(value))),
} as const;

export type ColourMapName = keyof typeof colourMaps;
