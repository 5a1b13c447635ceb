/**
 * The width of Mesa's vectors, as it is set in the environment; that no bit depends on it is in test/full.
 */
import { describe, expect, test } from 'vitest';
import { widenMesaVectors } from '../src/platform/node/mesa.ts';

function widened(environment: NodeJS.ProcessEnv, wide: boolean): NodeJS.ProcessEnv {
  const result = { ...environment };
  widenMesaVectors(result, wide);
  return result;
}

describe('the width of vectors', () => {
  test('is widened where the processor can, in a cache of its own', () => {
    expect(widened({ XDG_CACHE_HOME: '/cache' }, true)).toEqual({
      XDG_CACHE_HOME: '/cache',
      LP_NATIVE_VECTOR_WIDTH: '512',
      MESA_SHADER_CACHE_DIR: '/cache/aand-webgpu/mesa-512-bits',
    });
    expect(widened({ MESA_SHADER_CACHE_DIR: '/own' }, true).MESA_SHADER_CACHE_DIR).toBe('/own/mesa-512-bits');
  });

  test('stays as it is where the processor cannot, or the user says so', () => {
    expect(widened({}, false)).toEqual({});
    const own = { LP_NATIVE_VECTOR_WIDTH: '256', MESA_SHADER_CACHE_DIR: '/own' };
    expect(widened(own, true)).toEqual(own);
    expect(widened({ LP_NATIVE_VECTOR_WIDTH: '128', MESA_SHADER_CACHE_DIR: '/own' }, true)).toEqual({
      LP_NATIVE_VECTOR_WIDTH: '128',
      MESA_SHADER_CACHE_DIR: '/own/mesa-128-bits',
    });
  });

  test('goes to child processes once', () => {
    const parent = widened({ XDG_CACHE_HOME: '/cache' }, true);
    expect(widened(parent, true)).toEqual(parent);
  });
});
