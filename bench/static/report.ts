/** What a check prints: a line per kernel, and what is wrong. */
import { analyse, judgeWork, type MeasuredLoop } from './amd_kernel.ts';
import type { Family } from './families.ts';
import { type KernelFigures, occupancyUnits, type Share } from './figures.ts';
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

/** What a turn of each loop of an AMD kernel takes. */
export function loopLines({ label, assembly, subgroup }: CompiledKernel, { generation }: Family): string {
  if (!assembly || !generation) return `${label}: loops are told of AMD kernels only`;
  const kernel = analyse(assembly, generation, subgroup);
  const line = (title: string, { own }: Pick<MeasuredLoop, 'own'>) => {
    const { useful, limit, cycles } = judgeWork(kernel, own);
    const lds = (own.ldsBytes * generation.simds) / 128;
    const memory = (own.memoryBytes * generation.simds) / 64;
    return (
      `  ${title}: ${own.multiplyAdds} multiply-adds, ${own.matrix} matrix; cycles: vector ${own.vector}, ` +
      `LDS ${lds}, memory ${memory}, scalar ${own.scalar}; useful ${percent(useful)}, ${limit} ${cycles}`
    );
  };
  const depth = (loop: MeasuredLoop['loop']) =>
    kernel.loops.filter((other) => other.loop !== loop && other.loop.body.has(loop.head)).length;
  return [
    label,
    line('outside loops', { own: kernel.straight }),
    ...kernel.loops.map(
      (loop) => `${'  '.repeat(depth(loop.loop))}${line(`loop BB${loop.loop.head}`, loop)}`,
    ),
  ].join('\n');
}
