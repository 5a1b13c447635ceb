/** What lies behind one spot of a heat map: its score, and the three levels' maps, gate and residual. */
import * as Comlink from 'comlink';
import { type Calibration, normalizeScore } from '../src/eval/thresholds.ts';
import type { ColourMapName } from './colour_maps.ts';
import { machine } from './connection.ts';
import { element } from './dom.ts';
import { colouredCanvas } from './heat_map.ts';
import type { MapResult } from './types.ts';

/** @param spot 0 to 1 in both directions */
export async function explainSpot(
  file: File,
  { map, width, height }: MapResult,
  { x, y }: { readonly x: number; readonly y: number },
  pixel: Calibration,
  colours: ColourMapName,
): Promise<HTMLElement[]> {
  const value = map[Math.floor(y * height) * width + Math.floor(x * width)] as number;
  const bytes = await file.arrayBuffer();
  const levels = await machine.explain(Comlink.transfer(bytes, [bytes]), file.name);
  const figures = levels.flatMap(({ side, distance, gate, residual }, level) => {
    const at = Math.floor(y * side) * side + Math.floor(x * side);
    const figure = (name: string, values: Float32Array | undefined) =>
      values &&
      element(
        'figure',
        {},
        colouredCanvas(values, side, side, colours, (v) => v),
        element('figcaption', {}, `level ${level + 1} ${name}: ${(values[at] as number).toFixed(3)}`),
      );
    return [figure('distance', distance), figure('gate', gate), figure('residual', residual)].filter(
      (made) => made !== undefined,
    );
  });
  const where = `At ${Math.round(100 * x)} %, ${Math.round(100 * y)} %`;
  return [
    element('h3', {}, `${where}: ${value.toFixed(4)} raw, ${normalizeScore(value, pixel).toFixed(3)}`),
    element('div', { className: 'levels' }, ...figures),
  ];
}
