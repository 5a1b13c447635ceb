/**
 * Writes the WGSL of every shipped variant to a folder, for editors, validators and reviewers, with a list of
 * what asks for each (`variants.json`).
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { KernelVariant } from '../../src/engine/dispatch.ts';
import { evaluate } from '../../src/engine/kernels/expand.ts';
import { linkKernel } from '../../src/engine/kernels/link.ts';
import { kernelContract } from '../../src/engine/kernels/own.ts';
import { allVariants, type ShippedVariant, shippedVariants } from './variants.ts';

/** A line of `variants.json`. */
interface ListedVariant {
  readonly file: string;
  readonly module: string;
  /** Entry points, with the threads of a workgroup in x, y and z. */
  readonly entries: Readonly<Record<string, readonly number[]>>;
  /** Those that are on. */
  readonly conditions: readonly string[];
  readonly constants: Readonly<Record<string, number>>;
  readonly operations: readonly string[];
  readonly profiles: readonly string[];
}

/** @throws Error naming the variant that does not link */
export async function writeVariants(folder: string): Promise<void> {
  mkdirSync(folder, { recursive: true });
  const list: ListedVariant[] = [];
  for (const [name, shipped] of shippedVariants(allVariants())) {
    const file = `${name}.wgsl`;
    writeFileSync(join(folder, file), await linkKernel(shipped.variant));
    list.push(listed(file, shipped));
  }
  writeFileSync(join(folder, 'variants.json'), `${JSON.stringify(list, null, 2)}\n`);
  console.log(`${list.length} variants in ${folder}`);
}

function listed(file: string, { variant, operations, profiles }: ShippedVariant): ListedVariant {
  const { module, conditions = {}, constants = {} } = variant;
  return {
    file,
    module,
    entries: Object.fromEntries(
      Object.keys(kernelContract(module)?.entries ?? {}).map((entry) => [
        entry,
        workgroupThreads({ ...variant, entry }),
      ]),
    ),
    conditions: Object.keys(conditions).filter((name) => conditions[name]),
    constants,
    operations: [...operations].sort(),
    profiles: [...profiles],
  };
}

/** Threads of a workgroup of a variant, in x, y and z. */
export function workgroupThreads({ module, entry, constants = {} }: KernelVariant): number[] {
  const size = kernelContract(module)?.entries[entry]?.workgroupSize ?? [];
  return size.map((expression) => evaluate(expression, new Map(Object.entries(constants))) ?? Number.NaN);
}
