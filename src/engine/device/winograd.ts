/** When Winograd's form pays for its transforms. */
import type { WinogradProblem, WinogradTile } from './families.ts';

// Tiles of an image that fill the rows of a kernel.
const fewestTiles = 16;

/** The kernel files of the tiles. */
export function winogradModule(tile: WinogradTile): 'winograd_f2' | 'winograd_f4' {
  return tile === 4 ? 'winograd_f4' : 'winograd_f2';
}

/**
 * The tiles of which an image has enough, the larger first: fewer multiplications.
 *
 * @param fewestChannels of input and output from which the multiplications that are saved pay for the
 *   transforms
 */
export function winogradTiles(
  { height, width, inputChannels, outputChannels }: WinogradProblem,
  fewestChannels: number,
): WinogradTile[] {
  if (Math.min(inputChannels, outputChannels) < fewestChannels) return [];
  const tiles = (side: number) => Math.ceil(height / side) * Math.ceil(width / side);
  return ([4, 2] as const).filter((side) => tiles(side) >= fewestTiles);
}
