/** What a check prints: a line per kernel, and what is wrong. */
import type { Family } from './families.ts';
import { analysed, type KernelFigures, occupancyUnits, type Share } from './figures.ts';
import type { MeasuredLoop } from './kernel.ts';
import type { FamilyFigures } from './ratchet.ts';
import type { CompiledKernel } from './records.ts';

const percent = (share: number) => `${(100 * share).toFixed(0)} %`;

interface Column {
  readonly title: string;
  readonly value: (figures: KernelFigures) => string | number | undefined;
}

const shareOf = (share: Share | undefined) => share && `${percent(share.share)} ${share.limit}`;

const columns: readonly Column[] = [
  { title: 'subgroup', value: ({ subgroup }) => subgroup },
  { title: 'registers', value: ({ registers }) => registers },
  { title: 'spills', value: ({ spills, fills }) => (fills === undefined ? spills : `${spills}:${fills}`) },
  { title: 'scratch', value: ({ scratch }) => scratch },
  { title: 'LDS', value: ({ lds }) => lds },
  { title: 'occupancy', value: ({ occupancy }) => occupancy },
  { title: 'instructions', value: ({ instructions }) => instructions },
  { title: 'cycles', value: ({ cycles }) => cycles },
  { title: 'per product', value: ({ cyclesPerMultiplyAdd }) => cyclesPerMultiplyAdd },
  { title: 'arithmetic', value: ({ arithmetic }) => arithmetic?.toFixed(1) },
  { title: 'load/store', value: ({ loadStore }) => loadStore?.toFixed(1) },
  { title: 'main loop', value: ({ mainLoop }) => shareOf(mainLoop) },
  { title: 'K step', value: ({ step }) => shareOf(step) },
];

/** Rows as text columns, each as wide as its widest cell; the last one is as long as it is. */
function aligned(rows: readonly (readonly string[])[]): string {
  const widths = rows.reduce<number[]>(
    (most, row) => row.map((cell, i) => Math.max(most[i] ?? 0, cell.length)),
    [],
  );
  return rows
    .map((row) =>
      row.map((cell, i) => (i === row.length - 1 ? cell : cell.padStart(widths[i] ?? 0))).join('  '),
    )
    .join('\n');
}

/** A line per kernel; columns of which this compiler tells nothing are left out. */
export function kernelTable(family: Family, { kernels, driver, profile }: FamilyFigures): string {
  const list = Object.entries(kernels);
  const shown = columns.filter(({ value }) => list.some(([, figures]) => value(figures) !== undefined));
  const rows = [
    [...shown.map(({ title }) => title), 'kernel (programs)'],
    ...list.map(([label, figures]) => [
      ...shown.map(({ value }) => String(value(figures) ?? '-')),
      `${label} (${figures.programs.join(', ')})`,
    ]),
  ];
  const occupancy = shown.some(({ title }) => title === 'occupancy')
    ? `; occupancy: ${occupancyUnits[family.vendor]}`
    : '';
  return `${family.name}: ${family.title}; ${driver}; profile ${profile}${occupancy}\n${aligned(rows)}`;
}

/** What a turn of each loop takes, of kernels whose code is read here. */
export function loopLines(compiled: CompiledKernel, family: Family): string {
  const kernel = analysed(compiled, family);
  if (!kernel) return `${compiled.label}: loops are told of AMD's and Intel's kernels only`;
  const line = (title: string, { own }: Pick<MeasuredLoop, 'own'>) => {
    const { useful, limit, cycles } = kernel.judge(own);
    return (
      `  ${title}: ${own.multiplyAdds} multiply-adds, ${own.matrix} matrix; vector ${own.vector} cycles, ` +
      `LDS ${own.ldsBytes} bytes, memory ${own.memoryBytes} bytes, scalar ${own.scalar}; ` +
      `useful ${percent(useful)}, limit ${limit} ${cycles} cycles`
    );
  };
  const depth = ({ loop }: MeasuredLoop) =>
    kernel.loops.filter((other) => other.loop !== loop && other.loop.body.has(loop.head)).length;
  return [
    compiled.label,
    line('outside loops', { own: kernel.straight }),
    ...kernel.loops.map((loop) => `${'  '.repeat(depth(loop))}${line(`loop ${loop.loop.head}`, loop)}`),
  ].join('\n');
}
