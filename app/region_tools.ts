/** The tools that draw a region of interest, as their buttons and hints say them. */
import type { Shape, ShapeKind } from './region_shapes.ts';

/** How a shape is drawn. */
export type Tool = Shape['form'];

export const tools: readonly { readonly tool: Tool; readonly name: string; readonly hint: string }[] = [
  {
    tool: 'rectangle',
    name: 'Rectangle',
    hint: 'Drag from corner to corner. With keys: arrows move the cross, the space bar sets a corner.',
  },
  {
    tool: 'polygon',
    name: 'Polygon',
    hint:
      'Click or tap each corner, then the first one again. With keys: the space bar sets a corner, Enter ' +
      'closes the polygon.',
  },
  {
    tool: 'stroke',
    name: 'Brush',
    hint: 'Paint over the part. With keys: the space bar starts and ends a stroke, arrows paint.',
  },
];

/** What a shape does to the region. */
export const effects: readonly { readonly kind: ShapeKind; readonly name: string }[] = [
  { kind: 'inspect', name: 'Inspect only this' },
  { kind: 'ignore', name: 'Ignore this' },
];
