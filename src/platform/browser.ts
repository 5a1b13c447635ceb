/** What differs in browsers: WebGPU comes from `navigator.gpu`. Chosen by the package's `imports` conditions. */

export function openGpu(): { gpu: GPU } {
  if (!navigator.gpu)
    throw new Error('This browser offers no WebGPU here: it needs a secure context (https or localhost) and WebGPU enabled.');
  return { gpu: navigator.gpu };
}

export const adapterAdvice =
  'No WebGPU adapter was found: check that hardware acceleration is on, or start Chromium with --enable-unsafe-webgpu.';
