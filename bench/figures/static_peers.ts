/** The table of other engines' kernels on the compilers of GPUs. */
import { familyNamed } from '../static/families.ts';
import { compareBest, type PeerFigures } from '../static/peers.ts';
import { table } from './markdown.ts';

/** Every engine on every family, this engine first: as `npm run bench:peers -- --static` records it. */
export interface FamilyPeers {
  readonly family: string;
  readonly engines: readonly PeerFigures[];
}

/** Each engine's best kernel on each family, and how far this engine's is ahead of the others' better one. */
export function staticPeersTable(families: readonly FamilyPeers[]): string {
  const names = families[0]?.engines.map(({ engine }) => engine) ?? [];
  const rows = families.map(({ family, engines }) => {
    const compared = compareBest(engines);
    const ahead = compared.flatMap((each) => each.ahead ?? []);
    return [
      // Whose compiler it is stands above the table, and so does what is counted.
      `${familyNamed(family).title.replace(/ \(Mesa.*\)$/, '')} (\`${family}\`)`,
      ...compared.map(({ best }) => best.replace(/ (?:instructions|cycles)$/, '')),
      ahead.length ? Math.min(...ahead).toFixed(2) : 'not told',
      compared.map(({ spilling }) => spilling).join(' / '),
    ];
  });
  const engines = ['this engine', ...names.slice(1)];
  return table(['GPU', ...engines, 'times the better of them', 'kernels that spill'], rows);
}
