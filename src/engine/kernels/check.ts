/**
 * Compares the dispatches of a plan with what their kernels declare, before anything is allocated or
 * compiled: takes a plan, gives nothing or an error that names operation, dispatch and kernel.
 */
import { KernelError } from '../../base/errors.ts';
import { type Dispatch, type KernelVariant, variantKey } from '../dispatch.ts';
import type { PlannedNode } from '../plan/plan.ts';
import { type KernelInterface, kernelInterface, type UniformField } from './contract.ts';

/**
 * @throws Error naming the operation, which of its dispatches, the kernel with its variant, and everything
 *   that is missing, unknown or of another type there
 */
export function checkPlan(plan: readonly PlannedNode[]): void {
  for (const { node, dispatches } of plan)
    dispatches.forEach((dispatch, index) => {
      if (dispatch.kernel === 'copy') return;
      const where = `operation '${node.definition.name}', dispatch ${index + 1} of ${dispatches.length}`;
      checkDispatch(dispatch, dispatch.kernel, where);
    });
}

function checkDispatch(dispatch: Dispatch, kernel: KernelVariant, where: string): void {
  let problems: string[];
  try {
    problems = problemsOf(dispatch, kernelInterface(kernel));
  } catch (error) {
    throw new KernelError(`${where}: ${(error as Error).message}`, { cause: error });
  }
  if (problems.length)
    throw new KernelError(`${where}: kernel ${variantKey(kernel)}: ${problems.join('; ')}`);
}

/** What is wrong with a dispatch of a kernel. */
function problemsOf({ bindings, uniforms, writes }: Dispatch, kernel: KernelInterface): string[] {
  const problems: string[] = [];
  for (const name of kernel.bindings.keys())
    if (!bindings[name]) problems.push(`the binding '${name}' is missing`);
  for (const name of Object.keys(bindings))
    if (!kernel.bindings.has(name)) problems.push(`it uses no binding '${name}'`);
  for (const field of kernel.uniforms.values()) {
    const value = uniforms[field.name];
    if (value !== undefined) problems.push(...wrongValue(field, value));
    else if (field.used) problems.push(`the uniform '${field.name}' is missing`);
  }
  for (const name of Object.keys(uniforms))
    if (!kernel.uniforms.has(name)) problems.push(`it has no uniform '${name}'`);
  for (const name of kernel.writes)
    if (!writes.includes(name)) problems.push(`it stores to '${name}', which is not among the writes`);
  for (const name of writes)
    if (!kernel.writes.has(name)) problems.push(`it does not store to '${name}', which is among the writes`);
  return problems;
}

const ranges = { u32: [0, 2 ** 32 - 1], i32: [-(2 ** 31), 2 ** 31 - 1] } as const;

function wrongValue({ name, type }: UniformField, value: number): string[] {
  if (type === 'f32') return Number.isNaN(value) ? [`the uniform '${name}' is not a number`] : [];
  const [least, most] = ranges[type];
  const fits = Number.isInteger(value) && value >= least && value <= most;
  return fits ? [] : [`the uniform '${name}' is ${value}, which is no ${type}`];
}
