/**
 * An engine under another profile or target: kernels are chosen as for it, on the same device. For tests, the
 * bench and the tuner.
 */
import type { LoweringContext } from '../device/context.ts';
import type { Target } from '../device/target.ts';
import type { Engine } from './engine.ts';

/** What is different; what is left out stays as the engine has it. */
export type Retargeting = Omit<Partial<LoweringContext>, 'target' | 'phase'> & {
  readonly target?: Partial<Target>;
};

/** The engine, with kernels chosen as for another device. Its own choices stay as they are. */
export function retarget(engine: Engine, { target, ...changes }: Retargeting): Engine {
  const { lowering } = engine;
  const changed: LoweringContext = { ...lowering, ...changes, target: { ...lowering.target, ...target } };
  return new Proxy(engine, {
    get(object, key) {
      if (key === 'lowering') return changed;
      if (key === 'target' || key === 'profile') return changed[key];
      const value: unknown = Reflect.get(object, key);
      // Private members live on the engine itself, not on the proxy.
      return typeof value === 'function' ? value.bind(object) : value;
    },
  });
}
