/**
 * Memory of a program: arenas for values, persistent memory for what the prologue prepares, constants,
 * parameter pages.
 */

import { type Binding, boundTensor, isTensor } from '../dispatch.ts';
import type { Tape } from '../graph/tape.ts';
import { byteLength, bytesPerQuad, pack, roundUp, type Tensor } from '../graph/tensor.ts';
import { type Plans, planMemory } from '../plan/memory.ts';
import type { PlaceResult } from '../plan/place.ts';
import { dispatchesOf } from '../plan/plan.ts';
import type { Engine } from './engine.ts';
import type { ParameterStore } from './store.ts';

/** A range of a GPU buffer, in bytes. */
export interface Range {
  readonly buffer: GPUBuffer;
  readonly offset: number;
  readonly size: number;
}

/**
 * Buffers and textures of one owner, freed together: also what comes after that, for instance of a
 * compilation that has failed.
 */
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

  createTexture(label: string, height: number, half: boolean): GPUTexture {
    const texture = this.#engine.createTexture(label, height, half);
    this.#textures.push(texture);
    if (this.#destroyed) texture.destroy();
    return texture;
  }

  /** GPU bytes of all. */
  get bytes(): number {
    const textures = this.#textures.reduce(
      (sum, { width, height, format }) =>
        sum + width * height * bytesPerQuad({ half: format === 'rgba16float' }),
      0,
    );
    return this.#buffers.reduce((sum, buffer) => sum + buffer.size, textures);
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
  /** The texture that a tensor of the `texture` layout lies in. */
  texture(binding: Binding | undefined): GPUTexture;
}

const alignment = 256;

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

/** Allocates everything that a program needs beside the parameters. */
export function allocate(
  engine: Engine,
  owned: OwnedMemory,
  tape: Tape,
  store: ParameterStore,
  plans: Plans,
): ProgramMemory {
  const {
    result,
    persistent,
    passing,
    arenaSizes,
    textures: placed,
    parameterOf,
  } = planMemory(tape, plans, engine.device.limits);
  const arenas = arenaSizes.map((size, i) => owned.createBuffer(`arena ${i}`, size));
  const fixed = persistent.arenaSizes.map((size, i) => owned.createBuffer(`prepared ${i}`, size));
  const constants = uploadConstants(engine, owned, tape, plans);
  const textures = placed.textures.map(({ height, half }, i) =>
    owned.createTexture(`texture ${i}`, height, half),
  );

  const locate = (tensor: Tensor): Range => {
    const constant = constants.get(tensor);
    if (constant) return constant;
    const parameter = tensor.role === 'parameter' ? tensor : parameterOf.get(tensor);
    if (parameter) {
      const { group, page, offset, size } = store.set.slot(parameter.name);
      return {
        buffer: store.page(group, page, parameter === tensor ? 'parameter' : 'gradient'),
        offset,
        size,
      };
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
      const texture = textures[placed.textureOf.get(binding) ?? -1];
      return texture ? texture.createView() : locate(binding);
    }
    const range = locate(binding.tensor);
    return { buffer: range.buffer, offset: range.offset + binding.offset, size: binding.size };
  };
  const texture = (binding: Binding | undefined) => {
    const tensor = binding && boundTensor(binding);
    const found = tensor && textures[placed.textureOf.get(tensor) ?? -1];
    if (!found) throw new Error(`tensor ${tensor?.name} lies in no texture`);
    return found;
  };
  return { owned, result, locate, resolve, texture };
}
