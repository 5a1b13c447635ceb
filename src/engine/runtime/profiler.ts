/** Times every dispatch of a program by the device's own clock. */
import { UnsupportedError } from '../../base/errors.ts';
import { dispatchBytes } from '../dispatch.ts';
import type { Engine } from './engine.ts';
import { encodeAlone, type Step } from './steps.ts';

/** Time and cost of one dispatch. */
export interface ProfileEntry {
  /** The operation's name, as `conv2d`. */
  readonly operation: string;
  /** The kernel's variant, or 'copy'. */
  readonly kernel: string;
  /** On the device's clock. */
  readonly milliseconds: number;
  /** Floating-point operations. */
  readonly flops: number;
  /** Bytes of all its operands. */
  readonly bytes: number;
}

// A query set holds 4096 timestamps at most, two a step.
const stepsPerQuerySet = 2000;

/** @throws Error where the adapter has no timestamps */
export async function profileSteps(engine: Engine, steps: readonly Step[]): Promise<ProfileEntry[]> {
  const entries: ProfileEntry[] = [];
  for (let start = 0; start < steps.length; start += stepsPerQuerySet)
    entries.push(...(await profilePart(engine, steps.slice(start, start + stepsPerQuerySet))));
  return entries;
}

/** @throws Error where the adapter has no timestamps */
export function checkTimestamps({ device }: Engine): void {
  if (!device.features.has('timestamp-query'))
    throw new UnsupportedError('this adapter offers no timestamp queries');
}

async function profilePart(engine: Engine, steps: readonly Step[]): Promise<ProfileEntry[]> {
  const { device } = engine;
  const querySet = device.createQuerySet({ type: 'timestamp', count: steps.length * 2 });
  const size = steps.length * 16;
  const usage = GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC;
  const resolved = engine.createBuffer('timestamps', size, usage);
  try {
    const encoder = device.createCommandEncoder();
    steps.forEach((step, i) => {
      encodeAlone(encoder, step, {
        timestampWrites: { querySet, beginningOfPassWriteIndex: 2 * i, endOfPassWriteIndex: 2 * i + 1 },
      });
    });
    encoder.resolveQuerySet(querySet, 0, steps.length * 2, resolved, 0);
    device.queue.submit([encoder.finish()]);
    const times = new BigInt64Array((await engine.read(resolved, 0, size)).buffer);
    return steps.map((step, i) => ({
      operation: step.operation,
      kernel: step.label,
      milliseconds: Number((times[2 * i + 1] as bigint) - (times[2 * i] as bigint)) / 1e6,
      flops: step.dispatch.flops ?? 0,
      bytes: dispatchBytes(step.dispatch),
    }));
  } finally {
    querySet.destroy();
    resolved.destroy();
  }
}
