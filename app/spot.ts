/** What lies behind one spot of a heat map: its score, and the three levels' maps, gate and residual. */
import * as Comlink from 'comlink';
import type { ColourMapName } from '../src/eval/colour_maps.ts';
import { coloursOf } from '../src/eval/heat_map.ts';
import type { Scale } from '../src/eval/marks.ts';
import { normalizeScore, scoreText } from '../src/eval/thresholds.ts';
import { machine } from './connection.ts';
import { element } from './dom.ts';
import { colouredCanvas } from './heat_map.ts';
import type { MapResult } from './types.ts';
import type { Point } from './zoom.ts';

const words = {
  distance:
    'Distance: how far the place differs from what the model expects of a good part; the heat map adds up ' +
    'the levels.',
  gate: 'Gate: how much the place looks like a defect to the model, 0 to 1.',
  residual: 'Residual: how strongly the model emphasises the difference there.',
} as const;

/** What a level looks at, by its number. */
const views = ['fine texture and edges', 'small shapes', 'larger parts and their place'] as const;

/** Where the spot is, and its value on the model's scale with the raw one; raw without a limit. */
export function spotText(result: MapResult, { x, y }: Point, scale: Scale | null): string {
  const { map, width, height } = result;
  const value = map[Math.floor(y * height) * width + Math.floor(x * width)] as number;
  const raw = `raw ${value.toFixed(4)}`;
  const shown = scale ? `${scoreText(normalizeScore(value, coloursOf(result, scale)))} (${raw})` : raw;
  return `At ${Math.round(100 * x)} %, ${Math.round(100 * y)} %: ${shown}`;
}

/** The levels behind a spot. @param spot 0 to 1 in both directions */
export async function explainSpot(
  file: File,
  { x, y }: Point,
  colours: ColourMapName,
): Promise<HTMLElement[]> {
  const bytes = await file.arrayBuffer();
  const levels = await machine.explain(Comlink.transfer(bytes, [bytes]), file.name);
  const rows = levels.map(({ side, distance, gate, residual }, level) => {
    const at = Math.floor(y * side) * side + Math.floor(x * side);
    const figure = (name: string, values: Float32Array | undefined) =>
      values &&
      element(
        'figure',
        {},
        colouredCanvas({ map: values, width: side, height: side }, colours, (v) => v),
        element('figcaption', {}, `level ${level + 1} ${name}: ${(values[at] as number).toFixed(3)}`),
      );
    return element(
      'div',
      {},
      element('p', { className: 'quiet' }, `Level ${level + 1} looks at ${views[level] ?? 'the whole'}.`),
      element(
        'div',
        { className: 'levels' },
        figure('distance', distance),
        figure('gate', gate),
        figure('residual', residual),
      ),
    );
  });
  const gated = levels.some(({ gate }) => gate);
  return [
    levels.length
      ? element(
          'p',
          { className: 'quiet' },
          gated ? `${words.distance} ${words.gate} ${words.residual}` : words.distance,
        )
      : element('p', { className: 'quiet' }, 'A memory bank has no levels: its map is all that there is.'),
    ...rows,
  ];
}
