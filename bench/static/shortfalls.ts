/**
 * What is known to fall short, with the reason: a check prints these and does not fail for them. One that is
 * not found any more is printed as such, so that its line is removed.
 */
import type { Finding, FindingKind } from './ratchet.ts';

export interface Shortfall {
  /** Matches the family's whole name. */
  readonly family: RegExp;
  /** Matches the whole name of the kernel with its conditions and constants. */
  readonly kernel: RegExp;
  readonly kind: FindingKind;
  readonly reason: string;
}

export const shortfalls: readonly Shortfall[] = [];

/** What a check ends with. */
export interface Outcome {
  readonly failed: boolean;
  readonly text: string;
}

const whole = (pattern: RegExp, text: string) => new RegExp(`^(?:${pattern.source})$`).test(text);

function explains({ family, kernel, kind }: Shortfall, finding: Finding): boolean {
  return kind === finding.kind && whole(family, finding.family) && whole(kernel, finding.kernel);
}

function shortfallLine({ family, kernel, kind, reason }: Shortfall, count: number): string {
  const found = count ? `${count} findings` : 'not found: the line can go';
  return `  ${kind}, ${family.source}, ${kernel.source} (${found}): ${reason}`;
}

/**
 * The end of a check: the known shortfalls of the families that were checked, then what it fails for.
 *
 * @param everything whether all kernels were compiled; otherwise shortfalls that were not found may be there
 */
export function outcomeOf(
  findings: readonly Finding[],
  checked: readonly string[],
  everything: boolean,
  list: readonly Shortfall[] = shortfalls,
): Outcome {
  const known = list
    .filter(({ family }) => checked.some((name) => whole(family, name)))
    .map((shortfall) => ({
      shortfall,
      count: findings.filter((finding) => explains(shortfall, finding)).length,
    }))
    .filter(({ count }) => count || everything);
  const wrong = findings.filter((finding) => !list.some((shortfall) => explains(shortfall, finding)));
  const lines = [
    ...(known.length ? ['known shortfalls:'] : []),
    ...known.map(({ shortfall, count }) => shortfallLine(shortfall, count)),
    wrong.length ? `${wrong.length} findings:` : `${checked.length} families checked: nothing else is wrong`,
    ...wrong.map(({ family, kernel, kind, words }) => `  ${family}: ${kind}: ${words}: ${kernel}`),
  ];
  return { failed: wrong.length > 0, text: lines.join('\n') };
}
