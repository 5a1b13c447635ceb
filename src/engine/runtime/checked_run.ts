/** Runs a program dispatch by dispatch and looks at every value that a kernel writes. */
import { NotFiniteError } from '../../base/errors.ts';
import { boundTensor } from '../dispatch.ts';
import { elements, type Tensor } from '../graph/tensor.ts';
import type { Engine } from './engine.ts';
import type { Range } from './memory.ts';
import { encodeSteps, type Step, submit } from './steps.ts';

/** @throws Error naming kernel, tensor and element of the first value that is NaN or infinite */
export async function runChecked(
  engine: Engine,
  steps: readonly Step[],
  locate: (tensor: Tensor) => Range,
): Promise<void> {
  for (const step of steps) {
    submit(engine.device, encodeSteps(engine.device, [step]));
    for (const name of step.dispatch.writes) {
      const binding = step.dispatch.bindings[name];
      const tensor = binding && boundTensor(binding);
      // Textures hold copies and transforms of values that are checked where they lie in buffers.
      if (!tensor || tensor.layout === 'texture') continue;
      const range = locate(tensor);
      const count = tensor.layout === 'dense' ? elements(tensor.shape) : range.size / 4;
      const memory = await engine.read(range.buffer, range.offset, range.size);
      // An exponent of ones is infinity or NaN.
      const bad = tensor.half
        ? new Uint16Array(memory.buffer).findIndex((value) => (value & 0x7c00) === 0x7c00)
        : new Uint32Array(memory.buffer, 0, count).findIndex((value) => (value & 0x7f800000) === 0x7f800000);
      if (bad >= 0 && tensor.role !== 'input')
        throw new NotFiniteError(
          `non-finite value in ${name} of ${step.operation} (kernel ${step.label}), tensor ${tensor.name} ` +
            `[${tensor.shape}], element ${bad} of its memory`,
        );
    }
  }
}
