/** Which cases a user asks for. */
import type { BenchCase } from './case.ts';
import { benchCases } from './cases.ts';
import { ownCases } from './own_shapes.ts';

export interface Selection {
  /** Parts of names, or regular expressions between slashes: what any of them meets. */
  readonly filters?: readonly string[];
  /** Own shapes, as {@link ownCases} reads them. */
  readonly shapes?: readonly string[];
  /** The short list. */
  readonly quick?: boolean;
  /** 16-bit weights and activations: the models, and own shapes that can have them. */
  readonly half?: boolean;
}

/** @throws Error where a regular expression is none */
export function namePattern(filter: string): (name: string) => boolean {
  const [, source, flags] = /^\/(.+)\/([a-z]*)$/s.exec(filter) ?? [];
  if (source === undefined) return (name) => name.includes(filter);
  try {
    // Global and sticky expressions remember where they stopped.
    const pattern = new RegExp(source, flags?.replace(/[gy]/g, ''));
    return (name) => pattern.test(name);
  } catch (error) {
    throw new Error(`${filter}: ${(error as Error).message}`);
  }
}

/**
 * The cases, each once: own shapes first, then those of the list that a filter names. Shapes without a filter
 * stand alone. Cases of half an hour come only where a filter names them.
 *
 * @throws Error naming the shape or the expression that does not fit, or the filters that no case meets
 */
export function chooseCases({
  filters = [],
  shapes = [],
  quick = false,
  half = false,
}: Selection): BenchCase[] {
  const own = shapes.flatMap((shape) => ownCases(shape, half ? 'f16' : 'f32'));
  const patterns = filters.map(namePattern);
  const listed =
    own.length && !filters.length
      ? []
      : benchCases(half).filter(
          (each) =>
            (!quick || each.quick) &&
            (patterns.length ? patterns.some((meets) => meets(each.name)) : !each.long),
        );
  const chosen = new Map([...own, ...listed].map((each) => [each.name, each]));
  if (!chosen.size)
    throw new Error(
      `no case has ${filters.map((filter) => `'${filter}'`).join(' or ')} in its name; there are:\n` +
        benchCases(half)
          .map(({ name }) => `  ${name}`)
          .join('\n'),
    );
  return [...chosen.values()];
}
