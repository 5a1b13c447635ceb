/**
 * Compiles kernels ahead of their first use, for drivers whose profile says `compilesAtDispatch`: they
 * compile at a kernel's first dispatch, whatever asynchronous creation promises. A dispatch of no workgroups
 * makes them compile, in one thread per device. Where that turns out slow, a second device compiles a part of
 * the kernels, and the first one finds them in the driver's cache on disk.
 */

import type { KernelVariant } from '../dispatch.ts';
import type { KernelBinding } from '../kernels/contract.ts';
import { createPipeline, type Pipeline } from './pipeline.ts';

interface Task {
  readonly variant: KernelVariant;
  readonly pipeline: Pipeline;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

// A kernel that the driver has in its cache takes a few milliseconds.
const slowMilliseconds = 60;
const slot = 256;

/** A device with something to bind wherever a kernel wants it. */
class Bench {
  readonly device: GPUDevice;
  readonly #storage: GPUBuffer;
  readonly #uniforms: GPUBuffer;
  readonly #noWorkgroups: GPUBuffer;
  readonly #textures = new Map<string, GPUTextureView>();

  constructor(device: GPUDevice) {
    this.device = device;
    this.#storage = device.createBuffer({ label: 'warm-up', size: slot * 32, usage: GPUBufferUsage.STORAGE });
    this.#uniforms = device.createBuffer({
      label: 'warm-up uniforms',
      size: slot,
      usage: GPUBufferUsage.UNIFORM,
    });
    this.#noWorkgroups = device.createBuffer({
      label: 'no workgroups',
      size: 16,
      usage: GPUBufferUsage.INDIRECT,
    });
  }

  /** @param onStart told when the device has ended what it was doing before */
  async compile({ pipeline, layout, kernel }: Pipeline, onStart?: () => void): Promise<void> {
    const { device } = this;
    if (onStart) device.queue.onSubmittedWorkDone().then(onStart, () => {});
    const entries = [...kernel.bindings.values()].map((binding): GPUBindGroupEntry => {
      const { index, kind } = binding;
      // A range for each: a buffer's range cannot be bound twice for writing.
      if (kind === 'buffer')
        return { binding: index, resource: { buffer: this.#storage, offset: slot * index, size: slot } };
      return { binding: index, resource: this.#texture(binding) };
    });
    if (kernel.readsUniforms) entries.push({ binding: 0, resource: { buffer: this.#uniforms } });
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, device.createBindGroup({ layout, entries }));
    // Indirect, because a direct dispatch of nothing is left out.
    pass.dispatchWorkgroupsIndirect(this.#noWorkgroups, 0);
    pass.end();
    device.queue.submit([encoder.finish()]);
    await device.queue.onSubmittedWorkDone();
  }

  /**
   * Made once: such a driver may make and destroy views of textures only while it computes nothing (a fault
   * of the profile `mesa-cpu`), and the caller would wait.
   */
  #texture({ kind, format }: KernelBinding): GPUTextureView {
    const key = `${kind} ${format}`;
    let view = this.#textures.get(key);
    if (!view) {
      view = this.device
        .createTexture({
          label: key,
          size: [1, 1],
          format: format ?? 'rgba32float',
          usage: GPUTextureUsage.STORAGE_BINDING | GPUTextureUsage.TEXTURE_BINDING,
        })
        .createView();
      this.#textures.set(key, view);
    }
    return view;
  }
}

export class WarmUp {
  readonly #own: Bench;
  readonly #openHelper: () => Promise<GPUDevice>;
  readonly #queue: Task[] = [];
  #working = false;
  #helping = false;
  #helperDevice: GPUDevice | undefined;

  /** @param openHelper opens another device of the same adapter */
  constructor(device: GPUDevice, openHelper: () => Promise<GPUDevice>) {
    this.#own = new Bench(device);
    this.#openHelper = openHelper;
  }

  /** Resolves when the driver has compiled a kernel. */
  compile(variant: KernelVariant, pipeline: Pipeline): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ variant, pipeline, resolve, reject });
      if (!this.#working) void this.#work();
    });
  }

  /**
   * In the order asked for; where two devices share the work, the longest first, so that both end at about
   * the same time.
   */
  #next(): Task | undefined {
    if (!this.#helping) return this.#queue.shift();
    const length = ({ pipeline }: Task) => pipeline.code.length;
    const longest = this.#queue.reduce<Task | undefined>(
      (best, task) => (best && length(best) >= length(task) ? best : task),
      undefined,
    );
    if (longest) this.#queue.splice(this.#queue.indexOf(longest), 1);
    return longest;
  }

  async #work(): Promise<void> {
    this.#working = true;
    let slow: ReturnType<typeof setTimeout> | undefined;
    const watch = () => {
      slow = setTimeout(() => {
        // What is already taken needs no help.
        if (!this.#helping && this.#queue.length) void this.#help();
      }, slowMilliseconds);
    };
    for (let task = this.#next(); task; task = this.#next()) {
      await this.#own.compile(task.pipeline, watch).then(task.resolve, task.reject);
      clearTimeout(slow);
    }
    this.#working = false;
  }

  async #help(): Promise<void> {
    this.#helping = true;
    try {
      const device = await this.#openHelper();
      this.#helperDevice = device;
      const bench = new Bench(device);
      for (let task = this.#next(); task; task = this.#next()) {
        // What the helper cannot compile, the device itself compiles at its first use.
        await createPipeline(device, task.variant)
          .then((pipeline) => bench.compile(pipeline))
          .catch(() => {});
        task.resolve();
      }
    } catch {
      // No second device: the first does all.
    } finally {
      this.#helperDevice?.destroy();
      this.#helperDevice = undefined;
      this.#helping = false;
    }
  }

  /** Rejects what is not compiled yet. */
  close(): void {
    for (const { reject } of this.#queue.splice(0))
      reject(new Error('the engine was closed while its kernels were compiled'));
    this.#helperDevice?.destroy();
  }
}
