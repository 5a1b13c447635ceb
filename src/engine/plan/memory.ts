/** Where everything of a program lies, worked out before any memory is taken. */

import { textureWidth } from '../../../kernels/sizes.ts';
import { boundTensor } from '../dispatch.ts';
import type { Tape } from '../graph/tape.ts';
import { byteLength, bytesPerQuad, type Tensor } from '../graph/tensor.ts';
import { type PlaceResult, place } from './place.ts';
import { placeTextures, type TexturePlacement } from './place_textures.ts';
import { dispatchesOf, type PlannedNode } from './plan.ts';

export interface Plans {
  readonly prologue: readonly PlannedNode[];
  readonly main: readonly PlannedNode[];
  readonly outputs: readonly Tensor[];
}

/** Where everything of a program lies, before any memory is taken. */
export interface MemoryPlan {
  /** Values of a run. */
  readonly result: PlaceResult;
  /** What the prologue prepares for the runs. */
  readonly persistent: PlaceResult;
  /**
   * What the prologue needs on its way: it lies where the values of a run do, for no run is under way then.
   */
  readonly passing: PlaceResult;
  /** Bytes of the arenas of a run's values and of what the prologue needs on its way. */
  readonly arenaSizes: readonly number[];
  readonly textures: TexturePlacement;
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
  const parameterOf = new Map(
    [...tape.parameterGradients].map(([parameter, gradient]) => [gradient, parameter]),
  );
  const hasOwnMemory = (tensor: Tensor) =>
    tensor.role === 'parameter' ||
    tensor.role === 'constant' ||
    tensor.layout === 'texture' ||
    parameterOf.has(tensor);

  const result = place(
    dispatchesOf(plans.main),
    plans.outputs,
    (tensor) => hasOwnMemory(tensor) || prepared.has(tensor),
    maxBufferSize,
    maxStorageBufferBindingSize,
  );
  const persistent = place(
    dispatchesOf(plans.prologue),
    [...prepared].filter((tensor) => tensor.layout !== 'texture'),
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
  const arenaSizes = Array.from(
    { length: Math.max(result.arenaSizes.length, passing.arenaSizes.length) },
    (_, i) => Math.max(result.arenaSizes[i] ?? 0, passing.arenaSizes[i] ?? 0),
  );
  const textures = placeTextures([...dispatchesOf(plans.prologue), ...dispatchesOf(plans.main)], prepared);
  const sizes = [
    ...arenaSizes,
    ...persistent.arenaSizes,
    ...textures.textures.map((texture) => texture.height * textureWidth * bytesPerQuad(texture)),
    ...[...tape.constants.keys()].map(byteLength),
  ];
  return {
    result,
    persistent,
    passing,
    arenaSizes,
    textures,
    parameterOf,
    bytes: sizes.reduce((sum, size) => sum + size, 0),
  };
}
