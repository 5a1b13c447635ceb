/** Memory of a program: arenas for values, persistent memory for what the prologue prepares, constants, parameter pages. */
import type { Engine } from './device.ts';
import type { ParameterStore } from './parameters.ts';
import { type PlaceResult, place } from './place.ts';
import { type ImagePlacement, placeImages } from './place_images.ts';
import { type Binding, boundTensor, type Dispatch, isTensor, type PlannedNode } from './select.ts';
import type { Tape } from './tape.ts';
import { byteLength, bytesPerQuad, imageWidth, pack, roundUp, type Tensor } from './tensor.ts';

/** A range of a GPU buffer, in bytes. */
export interface Range {
  readonly buffer: GPUBuffer;
  readonly offset: number;
  readonly size: number;
}

/** Buffers and textures of one owner, freed together: also what comes after that, for instance of a compilation that has failed. */
export class OwnedMemory {
  readonly #engine: Engine;
  readonly #buffers: GPUBuffer[] = [];
  readonly #textures: GPUTexture[] = [];
  #destroyed = false;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  createBuffer(label: string, size: number, usage?: number): GPUBuffer {
    const buffer = this.#engine.createBuffer(label, size, usage);
    this.#buffers.push(buffer);
    if (this.#destroyed) buffer.destroy();
    return buffer;
  }

  createImage(label: string, height: number, half: boolean): GPUTexture {
    const texture = this.#engine.createImage(label, height, half);
    this.#textures.push(texture);
    if (this.#destroyed) texture.destroy();
    return texture;
  }

  /** GPU bytes of all. */
  get bytes(): number {
    const images = this.#textures.reduce(
      (sum, { width, height, format }) => sum + width * height * bytesPerQuad({ half: format === 'rgba16float' }),
      0,
    );
    return this.#buffers.reduce((sum, buffer) => sum + buffer.size, images);
  }

  destroy(): void {
    this.#destroyed = true;
    for (const resource of [...this.#buffers, ...this.#textures]) resource.destroy();
  }
}

export interface ProgramMemory {
  readonly owned: OwnedMemory;
  /** Placement of the values of one run. */
  readonly result: PlaceResult;
  /** Where a tensor lies; throws for one that nothing computes or reads. */
  locate(tensor: Tensor): Range;
  resolve(binding: Binding): GPUBindingResource;
  /** The texture of an image. */
  image(binding: Binding | undefined): GPUTexture;
}

export interface Plans {
  readonly prologue: readonly PlannedNode[];
  readonly main: readonly PlannedNode[];
  readonly outputs: readonly Tensor[];
}

const alignment = 256;

/** The dispatches of a plan, in their order. */
export function dispatchesOf(plan: readonly PlannedNode[]): Dispatch[] {
  return plan.flatMap(({ dispatches }) => dispatches);
}

/** Uploads the constants that the plans read, into one buffer. */
function uploadConstants(
  engine: Engine,
  owned: OwnedMemory,
  tape: Tape,
  { prologue, main }: Plans,
): Map<Tensor, Range> {
  const used = new Set<Tensor>();
  for (const { bindings } of dispatchesOf([...prologue, ...main]))
    for (const binding of Object.values(bindings)) {
      const tensor = boundTensor(binding);
      if (tensor?.role === 'constant') used.add(tensor);
    }
  const ranges = new Map<Tensor, Range>();
  if (!used.size) return ranges;
  const offsets: number[] = [];
  let end = 0;
  for (const tensor of used) {
    const offset = roundUp(end, alignment);
    offsets.push(offset);
    end = offset + byteLength(tensor);
  }
  const buffer = owned.createBuffer('constants', end);
  [...used].forEach((tensor, i) => {
    const offset = offsets[i] as number;
    engine.write(buffer, offset, pack(tape.constants.get(tensor) as Float32Array, tensor, tensor.name));
    ranges.set(tensor, { buffer, offset, size: byteLength(tensor) });
  });
  return ranges;
}

/** Where everything of a program lies, before any memory is taken. */
interface MemoryPlan {
  /** Values of a run. */
  readonly result: PlaceResult;
  /** What the prologue prepares for the runs. */
  readonly persistent: PlaceResult;
  /** What the prologue needs on its way: it lies where the values of a run do, for no run is under way then. */
  readonly passing: PlaceResult;
  /** Bytes of the arenas of a run's values and of what the prologue needs on its way. */
  readonly arenaSizes: readonly number[];
  readonly images: ImagePlacement;
  readonly parameterOf: ReadonlyMap<Tensor, Tensor>;
  /** Bytes of all of it and of the constants; parameters are not counted. */
  readonly bytes: number;
}

export interface MemoryLimits {
  readonly maxBufferSize: number;
  readonly maxStorageBufferBindingSize: number;
}

/** Plans a program's memory without a device, so that it is known before the first run. */
export function planMemory(tape: Tape, plans: Plans, limits: MemoryLimits): MemoryPlan {
  const { maxBufferSize, maxStorageBufferBindingSize } = limits;
  // Of what the prologue computes, the runs' own operands persist.
  const computed = new Set<Tensor>(plans.prologue.flatMap(({ node }) => Object.values(node.outputs)));
  const prepared = new Set<Tensor>();
  for (const { bindings } of dispatchesOf(plans.main))
    for (const binding of Object.values(bindings)) {
      const tensor = boundTensor(binding);
      if (tensor && computed.has(tensor)) prepared.add(tensor);
    }
  const parameterOf = new Map([...tape.parameterGradients].map(([parameter, gradient]) => [gradient, parameter]));
  const hasOwnMemory = (tensor: Tensor) =>
    tensor.role === 'parameter' || tensor.role === 'constant' || tensor.layout === 'image' || parameterOf.has(tensor);

  const result = place(
    dispatchesOf(plans.main),
    plans.outputs,
    (tensor) => hasOwnMemory(tensor) || prepared.has(tensor),
    maxBufferSize,
    maxStorageBufferBindingSize,
  );
  const persistent = place(
    dispatchesOf(plans.prologue),
    [...prepared].filter((tensor) => tensor.layout !== 'image'),
    (tensor) => hasOwnMemory(tensor) || !prepared.has(tensor),
    maxBufferSize,
    maxStorageBufferBindingSize,
  );
  const passing = place(
    dispatchesOf(plans.prologue),
    [],
    (tensor) => hasOwnMemory(tensor) || prepared.has(tensor),
    maxBufferSize,
    maxStorageBufferBindingSize,
  );
  const arenaSizes = Array.from({ length: Math.max(result.arenaSizes.length, passing.arenaSizes.length) }, (_, i) =>
    Math.max(result.arenaSizes[i] ?? 0, passing.arenaSizes[i] ?? 0),
  );
  const images = placeImages([...dispatchesOf(plans.prologue), ...dispatchesOf(plans.main)], prepared);
  const sizes = [
    ...arenaSizes,
    ...persistent.arenaSizes,
    ...images.textures.map((texture) => texture.height * imageWidth * bytesPerQuad(texture)),
    ...[...tape.constants.keys()].map(byteLength),
  ];
  return {
    result,
    persistent,
    passing,
    arenaSizes,
    images,
    parameterOf,
    bytes: sizes.reduce((sum, size) => sum + size, 0),
  };
}

/** Allocates everything that a program needs beside the parameters. */
export function allocate(
  engine: Engine,
  owned: OwnedMemory,
  tape: Tape,
  store: ParameterStore,
  plans: Plans,
): ProgramMemory {
  const { result, persistent, passing, arenaSizes, images, parameterOf } = planMemory(
    tape,
    plans,
    engine.device.limits,
  );
  const arenas = arenaSizes.map((size, i) => owned.createBuffer(`arena ${i}`, size));
  const fixed = persistent.arenaSizes.map((size, i) => owned.createBuffer(`prepared ${i}`, size));
  const constants = uploadConstants(engine, owned, tape, plans);
  const textures = images.textures.map(({ height, half }, i) => owned.createImage(`image ${i}`, height, half));

  const locate = (tensor: Tensor): Range => {
    const constant = constants.get(tensor);
    if (constant) return constant;
    const parameter = tensor.role === 'parameter' ? tensor : parameterOf.get(tensor);
    if (parameter) {
      const { group, page, offset, size } = store.set.slot(parameter.name);
      return { buffer: store.page(group, page, parameter === tensor ? 'parameter' : 'gradient'), offset, size };
    }
    const kept = persistent.placements.get(tensor);
    if (kept) return { buffer: fixed[kept.arena] as GPUBuffer, offset: kept.offset, size: kept.size };
    const placement = result.placements.get(tensor) ?? passing.placements.get(tensor);
    if (!placement) throw new Error(`tensor ${tensor.name} has no memory: nothing computes or reads it`);
    return { buffer: arenas[placement.arena] as GPUBuffer, offset: placement.offset, size: placement.size };
  };
  const resolve = (binding: Binding): GPUBindingResource => {
    if ('kind' in binding) {
      const buffer = store.page(binding.group, binding.page, binding.kind);
      return { buffer, offset: 0, size: buffer.size };
    }
    if (isTensor(binding)) {
      const texture = textures[images.textureOf.get(binding) ?? -1];
      return texture ? texture.createView() : locate(binding);
    }
    const range = locate(binding.tensor);
    return { buffer: range.buffer, offset: range.offset + binding.offset, size: binding.size };
  };
  const image = (binding: Binding | undefined) => {
    const tensor = binding && boundTensor(binding);
    const texture = tensor && textures[images.textureOf.get(tensor) ?? -1];
    if (!texture) throw new Error(`tensor ${tensor?.name} is not an image`);
    return texture;
  };
  return { owned, result, locate, resolve, image };
}
