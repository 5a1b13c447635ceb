/** Arithmetic of {@link When}: every result is in one shape, without redundant alternatives. */
import { holds, type When } from '../../../../kernels/contract.ts';

export const never: When = [];

type Table = readonly boolean[];

// A table has two to the power of its conditions; kernels have a dozen in all.
const mostConditions = 16;

/** The conditions that a When asks for. */
export function conditionsOf(when: When): string[] {
  return when === true ? [] : [...new Set(when.flat().map((literal) => literal.replace(/^!/, '')))];
}

export function and(a: When, b: When): When {
  if (a === true) return b;
  if (b === true) return a;
  return combined([a, b], ([left, right]) => left && right);
}

export function or(a: When, b: When): When {
  if (a === true || b === true) return true;
  return combined([a, b], ([left, right]) => left || right);
}

export function not(a: When): When {
  return a === true ? never : combined([a], ([value]) => !value);
}

export function isNever(when: When): boolean {
  return when !== true && when.length === 0;
}

function combined(of: readonly When[], value: (values: boolean[]) => boolean | undefined): When {
  const names = [...new Set(of.flatMap(conditionsOf))].sort();
  if (names.length > mostConditions)
    throw new Error(`more than ${mostConditions} conditions meet in one place`);
  const table = Array.from({ length: 2 ** names.length }, (_, row) => {
    // The first condition decides between the halves of the table.
    const conditions = Object.fromEntries(
      names.map((name, i) => [name, ((row >> (names.length - 1 - i)) & 1) === 1]),
    );
    return value(of.map((when) => holds(when, conditions))) === true;
  });
  const { cubes } = cover(table, table, names);
  return cubes.length === 1 && cubes[0]?.length === 0 ? true : cubes;
}

/**
 * Alternatives that hold wherever `least` does and nowhere that `most` does not, none of them redundant
 * (Minato, "Fast generation of prime-irredundant covers from binary decision diagrams", 1993).
 */
function cover(least: Table, most: Table, names: readonly string[]): { cubes: string[][]; table: Table } {
  if (!least.includes(true)) return { cubes: [], table: least };
  if (!most.includes(false)) return { cubes: [[]], table: most };
  const [name, ...rest] = names as [string, ...string[]];
  const half = least.length / 2;
  const [least0, least1] = [least.slice(0, half), least.slice(half)];
  const [most0, most1] = [most.slice(0, half), most.slice(half)];
  const off = cover(
    least0.map((value, i) => value && !most1[i]),
    most0,
    rest,
  );
  const on = cover(
    least1.map((value, i) => value && !most0[i]),
    most1,
    rest,
  );
  const both = cover(
    least0.map((value, i) => (value && !off.table[i]) || (least1[i] === true && !on.table[i])),
    most0.map((value, i) => value && most1[i] === true),
    rest,
  );
  const within = (part: Table) => part.map((value, i) => value || both.table[i] === true);
  return {
    cubes: [
      ...on.cubes.map((cube) => [name, ...cube]),
      ...off.cubes.map((cube) => [`!${name}`, ...cube]),
      ...both.cubes,
    ],
    table: [...within(off.table), ...within(on.table)],
  };
}
