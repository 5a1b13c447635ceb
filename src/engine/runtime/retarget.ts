/**
 * An engine under another target: kernels are chosen as for it, on the same device. For tests, the bench and
 * the tuner.
 */

import type { Target } from '../device/target.ts';
import type { Engine } from './engine.ts';

export function retarget(engine: Engine, target: Partial<Target>): Engine {
  const merged: Target = { ...engine.target, ...target };
  return new Proxy(engine, {
    get(object, key) {
      if (key === 'target') return merged;
      const value: unknown = Reflect.get(object, key);
      // Private members live on the engine itself, not on the proxy.
      return typeof value === 'function' ? value.bind(object) : value;
    },
  });
}
