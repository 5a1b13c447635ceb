/** Opening, closing and guarding a WebGPU device. The only place that knows adapters. */
import { adapterAdvice, nextTurn, openGpu, restWhile } from '#platform';
import { textureWidth } from '../../../kernels/sizes.ts';
import { describedError, NoAdapterError } from '../../base/errors.ts';
import type { Toggles } from '../../platform/toggles.ts';
import {
  type AdapterDescription,
  subgroupMatrixFeature,
  subgroupSizeControlFeature,
} from '../device/adapter.ts';
import type { ForcedChoices, LoweringContext } from '../device/context.ts';
import { matrixUnits } from '../device/matrix_units.ts';
import type { DeviceProfile } from '../device/profile.ts';
import type { OfferedTarget, Target } from '../device/target.ts';
import type { Tuning } from '../device/tuning.ts';
import { tunedKernels } from '../device/tuning.ts';
import { type KernelVariant, variantKey } from '../dispatch.ts';
import { roundUp } from '../graph/tensor.ts';
import { linkKernel } from '../kernels/link.ts';
import { checkMatrixUnits } from './matrix_check.ts';
import { openAdapter, usedFeatures } from './open_adapter.ts';
import { createPipeline, type Pipeline } from './pipeline.ts';
import { WarmUp } from './warm_up.ts';
import { type Attempt, allDone, DeviceWatch } from './watch.ts';

/** How a device is opened. All is optional. */
export interface EngineOptions {
  /**
   * Leave out optional features (subgroups, timestamps) and higher limits: what WebGPU guarantees everywhere.
   */
  readonly minimal?: boolean;
  /** Keep WebGPU's default limits (buffers of 256 MiB, bindings of 128 MiB) where the adapter offers more. */
  readonly defaultLimits?: boolean;
  /** Keep Dawn's checks in shaders where the driver makes its own; only Node can leave them out. */
  readonly shaderChecks?: boolean;
  /**
   * Use the GPU's matrix units where it offers them as subgroup matrices, an unfinished WebGPU extension, and
   * where a first product on them is right. `'if offered'` says nothing where there are none. The commands
   * with 16-bit floats do that; an engine that is opened without this option does not use them, because
   * kernels for them are compiled and tested here by arithmetic that stands for the units, but have not run
   * on real ones. In browsers it needs --enable-unsafe-webgpu.
   */
  readonly subgroupMatrices?: boolean | 'if offered';
  /** False: matrix units are used without a first product, which no device that computes nothing passes. */
  readonly checkMatrixUnits?: boolean;
  /** Let the device's clock count in its own steps, for measurements; only Node can, and on some drivers. */
  readonly exactTimestamps?: boolean;
  /** Chooses kernels as this profile does, in the place of the one that recognises the adapter (tests). */
  readonly profile?: DeviceProfile;
  /** Overrides what the device offers (tests). */
  readonly target?: Partial<Target>;
  /** Choices in the place of the profile's (tests). */
  readonly force?: ForcedChoices;
  /** Results of `aand tune`; those of other devices and older kernels are ignored. */
  readonly tunings?: readonly Tuning[];
  /** Told once when the adapter is a software driver, and of errors of the device that belong to no call. */
  readonly onNotice?: (message: string) => void;
}

async function requestDevice(adapter: GPUAdapter, descriptor: GPUDeviceDescriptor): Promise<GPUDevice> {
  try {
    return await adapter.requestDevice(descriptor);
  } catch (error) {
    const what = `the adapter ${adapter.info.description || adapter.info.vendor} gave no device`;
    throw new NoAdapterError(describedError(error, what).message, { cause: error });
  }
}

/** What an opened device offers. */
function offeredTarget(gpu: GPU, device: GPUDevice, adapter: AdapterDescription): OfferedTarget {
  const { vendor, architecture, description, subgroupSize, subgroupSizes } = adapter;
  const { limits, features } = device;
  return {
    name: `${vendor} ${architecture}`.trim() || 'unknown adapter',
    vendor,
    architecture,
    device: adapter.device,
    driver: description,
    subgroupSize: features.has('subgroups') ? subgroupSize : 0,
    subgroupSizes,
    subgroupSizeControl: features.has('subgroups') && features.has(subgroupSizeControlFeature),
    maxStorageBufferBindingSize: limits.maxStorageBufferBindingSize,
    maxTextureSize: limits.maxTextureDimension2D,
    maxWorkgroupMemory: limits.maxComputeWorkgroupStorageSize,
    maxWorkgroupThreads: limits.maxComputeInvocationsPerWorkgroup,
    half: features.has('shader-f16'),
    storageTextures: gpu.wgslLanguageFeatures?.has('readonly_and_readwrite_storage_textures') ?? false,
  };
}

/** An open device with its pipelines. Close it, or the process stays alive. */
export class Engine implements AsyncDisposable {
  /** The WebGPU device. */
  readonly device: GPUDevice;
  /** What the adapter says of itself. */
  readonly adapter: AdapterDescription;
  /** Dawn's toggles in force; none in browsers. */
  readonly toggles: Toggles;
  /** Why matrix units that the adapter offers are not used, a sentence for each. */
  readonly matrixFaults: readonly string[];
  /** WebGPU's entry point, as the platform gives it. */
  readonly gpu: GPU;
  #lowering: LoweringContext;
  readonly #watch: DeviceWatch;
  #closing: Promise<void> | undefined;
  #resting = false;
  readonly #pipelines = new Map<string, Promise<Pipeline>>();
  #warmUp: WarmUp | undefined;
  #linked: Promise<unknown> = Promise.resolve();

  private constructor(
    {
      gpu,
      device,
      adapter,
      toggles,
      matrixFaults,
    }: Pick<Engine, 'gpu' | 'device' | 'adapter' | 'toggles' | 'matrixFaults'>,
    lowering: LoweringContext,
    onNotice: EngineOptions['onNotice'],
  ) {
    this.gpu = gpu;
    this.device = device;
    this.adapter = adapter;
    this.toggles = toggles;
    this.matrixFaults = matrixFaults;
    this.#lowering = lowering;
    this.#watch = new DeviceWatch(device, onNotice);
  }

  /** Opens the default adapter. Throws an Error that says what to install where there is none. */
  static async open(options: EngineOptions = {}): Promise<Engine> {
    const { minimal = false, subgroupMatrices = false, onNotice } = options;
    const experiments = subgroupMatrices !== false && !minimal;
    const use = {
      shaderChecks: options.shaderChecks ?? false,
      experiments,
      exactTimestamps: options.exactTimestamps ?? false,
    };
    const platform = { openGpu, adapterAdvice };
    const { gpu, adapter, description, profile, toggles } = await openAdapter(platform, use, options.profile);
    const { compilesAtDispatch } = profile.treatment;
    const { limits } = adapter;
    const descriptor: GPUDeviceDescriptor = {
      label: 'aand-webgpu',
      requiredFeatures: usedFeatures(adapter, { minimal, experiments }),
      requiredLimits:
        minimal || options.defaultLimits
          ? {}
          : {
              maxStorageBufferBindingSize: limits.maxStorageBufferBindingSize,
              maxBufferSize: limits.maxBufferSize,
              maxTextureDimension2D: limits.maxTextureDimension2D,
            },
    };
    const device = await requestDevice(adapter, descriptor);
    try {
      if (profile.processor === 'cpu')
        options.onNotice?.(
          `running on a software driver (${description.description || description.architecture}), ` +
            'not on a GPU',
        );
      const listed = device.features.has(subgroupMatrixFeature)
        ? matrixUnits(description.matrixProducts)
        : [];
      if (subgroupMatrices === true && !listed.length)
        onNotice?.('this adapter offers no subgroup matrices that the kernels could use');
      const offered = offeredTarget(gpu, device, description);
      const target = profile.target({ ...offered, ...(listed.length && { matrixUnits: listed }) });
      const trying: LoweringContext = { target, profile, phase: 'run' };
      const { units, faults } =
        options.checkMatrixUnits === false
          ? { units: target.matrixUnits ?? [], faults: [] }
          : await checkMatrixUnits(device, trying);
      for (const fault of faults) onNotice?.(`not used: ${fault}`);
      const { matrixUnits: _, ...rest } = target;
      const lowering: LoweringContext = {
        target: { ...rest, ...(units.length && { matrixUnits: units }), ...options.target },
        profile,
        phase: 'run',
        ...(options.force && { force: options.force }),
      };
      const engine = new Engine(
        { gpu, device, adapter: description, toggles, matrixFaults: faults },
        lowering,
        onNotice,
      );
      engine.useTunings(options.tunings ?? []);
      if (compilesAtDispatch)
        engine.#warmUp = new WarmUp(device, async () => {
          const other = await gpu.requestAdapter({ powerPreference: 'high-performance' });
          if (!other) throw new NoAdapterError(adapterAdvice);
          return requestDevice(other, descriptor);
        });
      return engine;
    } catch (error) {
      device.destroy();
      throw error;
    }
  }

  /** What passes and operations choose by. */
  get lowering(): LoweringContext {
    return this.#lowering;
  }

  /** What the device is and offers. */
  get target(): Target {
    return this.#lowering.target;
  }

  /** What this package does differently on this kind of device. */
  get profile(): DeviceProfile {
    return this.#lowering.profile;
  }

  /** Whether kernels run on the processor (a software driver), which is 10 to 100 times slower than a GPU. */
  get isSoftware(): boolean {
    return this.profile.processor === 'cpu';
  }

  /**
   * Programs compiled from now on take these results of `aand tune`; those of other devices and older kernels
   * are ignored.
   */
  useTunings(tunings: readonly Tuning[]): void {
    for (const tuning of tunings) {
      const tuned = tunedKernels(tuning, this);
      if (tuned) this.#lowering = { ...this.#lowering, tuned };
    }
  }

  /**
   * Resolves when the engine has ended: with a DeviceLostError where the device was lost, with a ClosedError
   * after `close`. Every call that waits, and every later one of this engine and of what was opened on it,
   * rejects with the same.
   */
  get ended(): Promise<Error> {
    return this.#watch.ended;
  }

  /** @throws DeviceLostError or ClosedError, where the engine has ended */
  check(): void {
    this.#watch.check();
  }

  /** Whether the device is lost or the engine closed. */
  get isEnded(): boolean {
    return this.#watch.isEnded;
  }

  /**
   * Does work that creates or submits and does not wait; `verdict` rejects with what WebGPU has against it.
   *
   * @param what begins the messages of its errors
   */
  attempt<T>(what: string, work: () => T): Attempt<T> {
    return this.#watch.attempt(what, work);
  }

  /**
   * Waits for the device, and rejects when it ends instead of waiting for ever.
   *
   * @param what what failed, for errors that have no message
   */
  guard<T>(work: Promise<T>, what = 'the work on the device failed'): Promise<T> {
    const guarded = this.#watch.wait(what, work);
    if (this.profile.treatment.sharesProcessor && !this.#resting && this.#watch.isBusy) {
      this.#resting = true;
      restWhile(() => {
        this.#resting = this.#watch.isBusy;
        return this.#resting;
      });
    }
    return guarded;
  }

  /** A buffer whose content is undefined until it is written. */
  createBuffer(label: string, size: number, usage = 0): GPUBuffer {
    this.check();
    return this.device.createBuffer({
      label,
      size: roundUp(Math.max(size, 16), 16),
      usage: usage || GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
    });
  }

  /**
   * A storage texture of `height` lines of `textureWidth` quads; its content is undefined until it is
   * written.
   */
  createTexture(label: string, height: number, half: boolean): GPUTexture {
    this.check();
    const usage =
      GPUTextureUsage.STORAGE_BINDING | GPUTextureUsage.TEXTURE_BINDING | GPUTextureUsage.COPY_DST;
    return this.device.createTexture({
      label,
      size: [textureWidth, height],
      format: half ? 'rgba16float' : 'rgba32float',
      usage,
    });
  }

  /** Writes values into a buffer, before all that is submitted afterwards. `offset` is in bytes. */
  write(buffer: GPUBuffer, offset: number, data: Float32Array | Uint32Array | Uint16Array): void {
    this.check();
    this.device.queue.writeBuffer(
      buffer,
      offset,
      data.buffer as ArrayBuffer,
      data.byteOffset,
      data.byteLength,
    );
  }

  /** Reads a whole buffer or a range of it. For set-up and tests; programs have their own staging ring. */
  async read(buffer: GPUBuffer, offset = 0, size = buffer.size - offset): Promise<Float32Array<ArrayBuffer>> {
    let staging: GPUBuffer | undefined;
    try {
      const { result, verdict } = this.attempt('reading a buffer', () => {
        staging = this.createBuffer('read', size, GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST);
        const encoder = this.device.createCommandEncoder();
        encoder.copyBufferToBuffer(buffer, offset, staging, 0, size);
        this.device.queue.submit([encoder.finish()]);
        return { staging, mapped: staging.mapAsync(GPUMapMode.READ) };
      });
      await this.guard(allDone([verdict, result.mapped]), 'reading a buffer failed');
      return new Float32Array(result.staging.getMappedRange(0, size).slice(0));
    } finally {
      staging?.destroy();
    }
  }

  /** Number of different pipelines created so far. */
  get pipelineCount(): number {
    return this.#pipelines.size;
  }

  /**
   * The pipeline of a kernel variant; created once, and tried again where that failed.
   *
   * @throws Error naming the kernel, where it declares something else or does not compile
   */
  pipeline(variant: KernelVariant): Promise<Pipeline> {
    const key = variantKey(variant);
    let result = this.#pipelines.get(key);
    if (!result) {
      result = this.guard(this.#createPipeline(variant), `kernel ${key} was not compiled`);
      this.#pipelines.set(key, result);
      result.catch(() => this.#pipelines.delete(key));
    }
    return result;
  }

  async #createPipeline(variant: KernelVariant): Promise<Pipeline> {
    // One by one, so that the driver compiles the first kernels while the others are linked.
    const linked = this.#linked.then(() => linkKernel(variant));
    this.#linked = linked.then(nextTurn, () => {});
    await linked;
    this.check();
    const pipeline = await createPipeline(this.device, variant);
    await this.#warmUp?.compile(variant, pipeline);
    return pipeline;
  }

  /**
   * Destroys the device and lets the process exit. Calls under way and later ones, also of what was opened on
   * the engine, reject with a ClosedError.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#watch.close();
    this.#warmUp?.close();
    this.#pipelines.clear();
    this.device.destroy();
    await this.device.lost;
  }

  /** Closes the engine: `await using` does it. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
