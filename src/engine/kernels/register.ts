/** Kernels of the user's own, for operations of the user's own. */

import { kernelTexts } from '../../../kernels/generated.ts';
import { KernelError } from '../../base/errors.ts';
import type { OwnModule } from '../dispatch.ts';
import { isPackaged, keepOwnKernel, ownKernelText } from './own.ts';
import { reflectKernels } from './reflect/reflect.ts';

const validName = /^[a-z][a-z0-9_]*$/;

/**
 * Makes a kernel known to all engines of this process. Its text is WESL (WGSL with imports and conditions,
 * https://wesl-lang.dev) as in the package's `kernels/` folder: storage buffers and textures in group
 * 0, an optional uniform block of `u32`, `i32` and `f32` at binding 0, and entry points. Buffers are
 * `var<storage, read_write>`. It may import from the package's modules, as `import package::math::tanh_1;`.
 *
 * What the text declares is checked against every dispatch: a binding or a uniform that is missing is an
 * error that names it.
 *
 * @param name lower case letters, digits and underscores; not that of a kernel of the package
 * @returns the module, for `KernelVariant.module` of an operation's dispatches
 * @throws Error naming the kernel, where the name is taken by another text, or the text does not parse or
 *   declares what the host cannot bind
 */
export function registerKernel(name: string, text: string): OwnModule {
  if (!validName.test(name))
    throw new KernelError(`kernel '${name}': a name has lower case letters, digits and underscores`);
  if (isPackaged(name)) throw new KernelError(`kernel '${name}': the package has a kernel of that name`);
  const known = ownKernelText(name as OwnModule);
  if (known !== undefined && known !== text)
    throw new KernelError(`kernel '${name}' is registered already, with another text`);
  if (known === undefined) {
    const contract = reflectKernels({ ...kernelTexts, [name]: text })[name];
    if (!contract) throw new KernelError(`kernel '${name}' has no entry point (@compute fn)`);
    keepOwnKernel(name, { text, contract });
  }
  return name as OwnModule;
}
