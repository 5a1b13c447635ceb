/** Opening, closing and guarding a WebGPU device. The only place that knows adapters. */
import { adapterAdvice, nextTurn, openGpu, restWhile } from '#platform';
import type { GpuSettings } from '../platform/gpu_settings.ts';
import { DeviceLostError, OutOfMemoryError } from './errors.ts';
import { type KernelVariant, linkKernel, variantKey } from './kernel.ts';
import { matrixUnits, subgroupMatrixConfigs, subgroupMatrixFeature } from './matrix_units.ts';
import { createPipeline, type Pipeline } from './pipeline.ts';
import type { Target } from './select.ts';
import { imageWidth, roundUp } from './tensor.ts';
import { type Tuning, tunedConfigurations } from './tuner.ts';
import { WarmUp } from './warm_up.ts';

export interface EngineOptions {
  /** Leave out optional features (subgroups, timestamps) and higher limits: what WebGPU guarantees everywhere. */
  readonly minimal?: boolean;
  /** Keep WebGPU's default limits (buffers of 256 MiB, bindings of 128 MiB) where the adapter offers more. */
  readonly defaultLimits?: boolean;
  /** Keep Dawn's checks in shaders where the driver makes its own; only Node can leave them out. */
  readonly shaderChecks?: boolean;
  /**
   * Use the GPU's matrix units where it offers them as subgroup matrices, an unfinished WebGPU extension: kernels for them are compiled
   * and tested here by arithmetic that stands for the units, but have not run on real ones. In browsers it needs
   * --enable-unsafe-webgpu.
   */
  readonly subgroupMatrices?: boolean;
  /** Overrides what the adapter says about itself: selects kernels as for another kind of adapter (tests, tuning). */
  readonly target?: Partial<Target>;
  /** Results of `aand tune`; those of other devices and older kernels are ignored. */
  readonly tunings?: readonly Tuning[];
  /** Told once when the adapter is a software driver. */
  readonly onNotice?: (message: string) => void;
}

export interface AdapterDescription {
  readonly vendor: string;
  readonly architecture: string;
  readonly description: string;
  readonly features: readonly string[];
  readonly subgroupSize: number;
  readonly software: boolean;
}

function describe(adapter: GPUAdapter): AdapterDescription {
  const info = adapter.info;
  const text = `${info.vendor} ${info.architecture} ${info.device} ${info.description}`.toLowerCase();
  const fallback = (info as GPUAdapterInfo & { isFallbackAdapter?: boolean }).isFallbackAdapter === true;
  const fixed = info.subgroupMinSize === info.subgroupMaxSize ? info.subgroupMinSize : 0;
  return {
    vendor: info.vendor,
    architecture: info.architecture,
    description: info.description || info.device,
    features: [...adapter.features].sort(),
    subgroupSize: adapter.features.has('subgroups') ? (fixed ?? 0) : 0,
    software: fallback || /swiftshader|llvmpipe|lavapipe|software|\bcpu\b/.test(text),
  };
}

/** Mesa's software driver: the code that it compiles checks every access to a buffer or texture. */
function isMesaSoftware({ description }: AdapterDescription): boolean {
  return description.includes('llvmpipe');
}

async function requestAdapter(settings: GpuSettings): Promise<{ gpu: GPU; adapter: GPUAdapter }> {
  const { gpu } = openGpu(settings);
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter) throw new Error(adapterAdvice);
  return { gpu, adapter };
}

/** Whether shaders may read storage textures. */
function readsImages(gpu: GPU): boolean {
  return gpu.wgslLanguageFeatures?.has('readonly_and_readwrite_storage_textures') ?? false;
}

/** An open device with its pipelines. Close it, or the process stays alive. */
export class Engine implements AsyncDisposable {
  readonly device: GPUDevice;
  readonly adapter: AdapterDescription;
  target: Target;
  /** Rejects when the device is lost or reports an error outside of a scope; never resolves. */
  readonly failure: Promise<never>;
  #fail: (error: Error) => void = () => {};
  // Held while open and dropped on close: Dawn's Node binding keeps the process alive as long as it is reachable.
  gpu: GPU | undefined;
  #closed = false;
  #waiting = 0;
  #resting = false;
  readonly #pipelines = new Map<string, Promise<Pipeline>>();
  #warmUp: WarmUp | undefined;
  #linked: Promise<unknown> = Promise.resolve();

  private constructor(gpu: GPU, device: GPUDevice, adapter: AdapterDescription, target: Partial<Target>) {
    this.gpu = gpu;
    this.device = device;
    this.adapter = adapter;
    this.target = {
      name: `${adapter.vendor} ${adapter.architecture}`.trim() || 'unknown adapter',
      subgroupSize: device.features.has('subgroups') ? adapter.subgroupSize : 0,
      software: adapter.software,
      parallelism: adapter.software ? 16 : 512,
      maxStorageBufferBindingSize: device.limits.maxStorageBufferBindingSize,
      // Mesa's software driver reads a storage texture's quad three times faster than a storage buffer's: it checks bounds per
      // texel instead of per float and lane (docs/performance.md).
      images: isMesaSoftware(adapter) && readsImages(gpu) && device.features.has('subgroups'),
      maxImageSize: device.limits.maxTextureDimension2D,
      winograd: adapter.software,
      epilogueStatistics: !adapter.software,
      ...target,
    };
    this.failure = new Promise((_, reject) => {
      this.#fail = reject;
    });
    this.failure.catch(() => {});
    device.lost.then((info) => {
      if (!this.#closed) this.#fail(new DeviceLostError(`the GPU device was lost (${info.reason}): ${info.message}`));
    });
    device.addEventListener('uncapturederror', (event) => {
      const { error } = event as GPUUncapturedErrorEvent;
      this.#fail(
        error instanceof GPUOutOfMemoryError
          ? new OutOfMemoryError(`the GPU's memory is not enough: ${error.message}`)
          : new Error(`WebGPU reported an error: ${error.message}`),
      );
    });
  }

  /** Opens the default adapter. Throws an Error that says what to install where there is none. */
  static async open(options: EngineOptions = {}): Promise<Engine> {
    const experiments = options.subgroupMatrices ?? false;
    let { gpu, adapter } = await requestAdapter({ shaderChecks: true, zeros: true, experiments });
    const description = describe(adapter);
    // Checked twice, a run takes a fifth longer; filling images with zeros takes longer than what is then written to them.
    // What an adapter is can only be asked with the checks already chosen.
    if (isMesaSoftware(description))
      ({ gpu, adapter } = await requestAdapter({
        shaderChecks: options.shaderChecks ?? false,
        zeros: false,
        experiments,
      }));
    const wanted: GPUFeatureName[] = options.minimal ? [] : ['subgroups', 'timestamp-query', 'shader-f16'];
    if (options.subgroupMatrices) wanted.push(subgroupMatrixFeature);
    const { limits, features } = adapter;
    const descriptor: GPUDeviceDescriptor = {
      label: 'aand-webgpu',
      requiredFeatures: wanted.filter((feature) => features.has(feature)),
      requiredLimits:
        options.minimal || options.defaultLimits
          ? {}
          : {
              maxStorageBufferBindingSize: limits.maxStorageBufferBindingSize,
              maxBufferSize: limits.maxBufferSize,
              maxTextureDimension2D: limits.maxTextureDimension2D,
            },
    };
    const device = await adapter.requestDevice(descriptor);
    if (description.software)
      options.onNotice?.(
        `running on a software driver (${description.description || description.architecture}), not on a GPU`,
      );
    const units = device.features.has(subgroupMatrixFeature) ? matrixUnits(subgroupMatrixConfigs(adapter)) : [];
    if (options.subgroupMatrices && !units.length)
      options.onNotice?.('this adapter offers no subgroup matrices that the kernels could use');
    const engine = new Engine(gpu, device, description, {
      ...(units.length && { matrixUnits: units }),
      ...options.target,
    });
    engine.useTunings(options.tunings ?? []);
    if (isMesaSoftware(description))
      engine.#warmUp = new WarmUp(device, async () => {
        const other = await gpu.requestAdapter({ powerPreference: 'high-performance' });
        if (!other) throw new Error(adapterAdvice);
        return other.requestDevice(descriptor);
      });
    return engine;
  }

  /** Programs compiled from now on take these results of `aand tune`; those of other devices and older kernels are ignored. */
  useTunings(tunings: readonly Tuning[]): void {
    for (const tuning of tunings) {
      const tuned = tunedConfigurations(tuning, this);
      if (tuned) this.target = { ...this.target, tuned };
    }
  }

  /** Runs work that fails with the device's failure instead of hanging. */
  async guard<T>(work: Promise<T>): Promise<T> {
    this.#waiting++;
    if (this.adapter.software && !this.#resting) {
      this.#resting = true;
      restWhile(() => {
        this.#resting = this.#waiting > 0;
        return this.#resting;
      });
    }
    try {
      return await Promise.race([work, this.failure]);
    } catch (error) {
      throw await this.#cause(error);
    } finally {
      this.#waiting--;
    }
  }

  /** The device's failure, if it comes soon after another error: browsers reject pending work before they tell of a lost device. */
  async #cause(error: unknown): Promise<unknown> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const patience = new Promise<unknown>((resolve) => {
      timer = setTimeout(() => resolve(error), 500);
    });
    const failure = this.failure.catch((failed: Error) => failed);
    const cause = await Promise.race([failure, patience]);
    clearTimeout(timer);
    return cause;
  }

  /** A buffer whose content is undefined until it is written. */
  createBuffer(label: string, size: number, usage = 0): GPUBuffer {
    return this.device.createBuffer({
      label,
      size: roundUp(Math.max(size, 16), 16),
      usage: usage || GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
    });
  }

  /** A texture for images of up to `height` lines; its content is undefined until it is written. */
  createImage(label: string, height: number, half: boolean): GPUTexture {
    const usage = GPUTextureUsage.STORAGE_BINDING | GPUTextureUsage.COPY_DST;
    return this.device.createTexture({
      label,
      size: [imageWidth, height],
      format: half ? 'rgba16float' : 'rgba32float',
      usage,
    });
  }

  write(buffer: GPUBuffer, offset: number, data: Float32Array | Uint32Array | Uint16Array): void {
    this.device.queue.writeBuffer(buffer, offset, data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
  }

  /** Reads a whole buffer or a range of it. For set-up and tests; programs have their own staging ring. */
  async read(buffer: GPUBuffer, offset = 0, size = buffer.size - offset): Promise<Float32Array<ArrayBuffer>> {
    const staging = this.createBuffer('read', size, GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST);
    try {
      const encoder = this.device.createCommandEncoder();
      encoder.copyBufferToBuffer(buffer, offset, staging, 0, size);
      this.device.queue.submit([encoder.finish()]);
      await this.guard(staging.mapAsync(GPUMapMode.READ));
      return new Float32Array(staging.getMappedRange(0, size).slice(0));
    } finally {
      staging.destroy();
    }
  }

  /** Number of different pipelines created so far. */
  get pipelineCount(): number {
    return this.#pipelines.size;
  }

  /** The pipeline of a kernel variant with exactly these storage bindings; created once. */
  pipeline(variant: KernelVariant, bindings: readonly string[]): Promise<Pipeline> {
    const key = variantKey(variant);
    let result = this.#pipelines.get(key);
    if (!result) {
      result = this.#createPipeline(variant, bindings);
      this.#pipelines.set(key, result);
    }
    return result;
  }

  async #createPipeline(variant: KernelVariant, bindings: readonly string[]): Promise<Pipeline> {
    try {
      // One by one, so that the driver compiles the first kernels while the others are linked.
      const linked = this.#linked.then(() => linkKernel(variant));
      this.#linked = linked.then(nextTurn, () => {});
      await linked;
      const pipeline = await createPipeline(this.device, variant, bindings);
      await this.#warmUp?.compile(variant, pipeline);
      return pipeline;
    } catch (error) {
      throw await this.#cause(error);
    }
  }

  /** Destroys the device and lets the process exit. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#warmUp?.close();
    this.device.destroy();
    await this.device.lost;
    this.gpu = undefined;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
