/**
 * Writes `kernels/generated.ts` from the kernel files: the texts, the names and the contract of each. Whoever
 * adds a kernel adds its file. The build, the type check and the tests run this before anything else, so that
 * the file is never older than the kernels; it is not committed.
 */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { KernelContract } from '../../kernels/contract.ts';
import { reflectKernels } from '../../src/engine/kernels/reflect/reflect.ts';

const extension = '.wesl';

/** Kernel texts of a folder without their comments, by module name. */
export function readKernels(folder: string): Record<string, string> {
  const files = readdirSync(folder).filter((name) => name.endsWith(extension));
  return Object.fromEntries(
    files
      .sort()
      .map((name) => [
        name.slice(0, -extension.length),
        withoutComments(readFileSync(join(folder, name), 'utf8')),
      ]),
  );
}

/** WGSL has no text in quotes, so that every `//` begins a comment. */
function withoutComments(text: string): string {
  return text
    .split('\n')
    .map((line) => line.replace(/\/\/.*/, '').trim())
    .filter((line) => line !== '')
    .join('\n');
}

/**
 * Reads the kernels of a folder and writes its `generated.ts`, where that changes.
 *
 * @throws Error naming the file that is wrong
 */
export function generateKernels(folder = 'kernels'): void {
  const texts = readKernels(folder);
  const text = generatedText(texts, reflectKernels(texts));
  const path = join(folder, 'generated.ts');
  if (existsSync(path) && readFileSync(path, 'utf8') === text) return;
  // Whole at once: another process may be reading it.
  writeFileSync(`${path}.${process.pid}`, text);
  renameSync(`${path}.${process.pid}`, path);
}

/** The text of `generated.ts`. */
export function generatedText(
  texts: Readonly<Record<string, string>>,
  contracts: Readonly<Record<string, KernelContract>>,
): string {
  const digest = createHash('sha256').update(JSON.stringify(texts)).digest('hex').slice(0, 16);
  const names = Object.keys(contracts)
    .map((name) => `  | '${name}'`)
    .join('\n');
  return `/** Made from the .wesl files of this folder by scripts/kernels: do not edit. */
import type { KernelContract } from './contract.ts';

/** Kernel files that have entry points. */
export type KernelModule =
${names};

/** Of all texts; it changes with every kernel. */
export const kernelDigest = '${digest}';

/** What each declares. */
export const kernelContracts: Readonly<Record<KernelModule, KernelContract>> = ${entries(contracts)};

/** WESL by module name, without comments. */
export const kernelTexts: Readonly<Record<string, string>> = ${entries(texts)};
`;
}

function entries(record: Readonly<Record<string, unknown>>): string {
  const lines = Object.entries(record).map(([name, value]) => `  ${name}: ${JSON.stringify(value)},\n`);
  return `{\n${lines.join('')}}`;
}
