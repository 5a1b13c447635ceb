/** The kernels that a program knows: those of the package, and those of its user (`registerKernel`). */
import type { KernelContract } from '../../../kernels/contract.ts';
import { kernelContracts, kernelTexts } from '../../../kernels/generated.ts';
import type { KernelVariant } from '../dispatch.ts';

interface OwnKernel {
  readonly text: string;
  readonly contract: KernelContract;
}

const own = new Map<string, OwnKernel>();

/** Keeps a kernel of the user's for all engines of this process. */
export function keepOwnKernel(name: string, kernel: OwnKernel): void {
  own.set(name, kernel);
}

/** The text of a kernel of the user's; undefined for other names. */
export function ownKernelText(name: KernelVariant['module']): string | undefined {
  return own.get(name)?.text;
}

/** What a module declares; undefined where no kernel has that name. */
export function kernelContract(name: KernelVariant['module']): KernelContract | undefined {
  return own.get(name)?.contract ?? (kernelContracts as Readonly<Record<string, KernelContract>>)[name];
}

/** Whether the package has a module of that name, with entry points or without. */
export function isPackaged(name: string): boolean {
  return name in kernelTexts;
}
