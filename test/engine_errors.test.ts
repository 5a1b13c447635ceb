/**
 * What callers do wrong and what befalls a device: the error belongs to the call, and everything else goes
 * on.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { ClosedError, DeviceLostError, describedError, OutOfMemoryError } from '../src/base/errors.ts';
import { imageInput } from '../src/data/image_input.ts';
import { ParameterSet } from '../src/engine/graph/parameter_set.ts';
import { Tape } from '../src/engine/graph/tape.ts';
import { relu } from '../src/engine/ops/elementwise.ts';
import { Engine } from '../src/engine/runtime/engine.ts';
import { Program } from '../src/engine/runtime/program.ts';
import { ParameterStore } from '../src/engine/runtime/store.ts';

let engine: Engine;
const notices: string[] = [];
beforeAll(async () => {
  engine = await Engine.open({ onNotice: (message) => notices.push(message) });
});
afterAll(() => engine.close());
afterEach(() => {
  vi.restoreAllMocks();
});

/** relu of [1, 1, 1, 4], with a store of its own. */
async function positive(own = engine, debug = false): Promise<{ program: Program; store: ParameterStore }> {
  const tape = new Tape(new ParameterSet());
  const y = relu(tape, tape.input('x', [1, 1, 1, 4], 'channels'));
  const store = new ParameterStore(own, tape.parameters);
  return { program: await Program.compile(own, tape, { outputs: { y }, store, debug }), store };
}

const given = Float32Array.of(-1, 2, -3, 4);
const wanted = Float32Array.of(0, 2, 0, 4);
const expectWorks = async (program: Program) => expect((await program.run({ x: given })).y).toEqual(wanted);

/** Buffers that an engine makes from now on, with whether they were destroyed. */
function watchBuffers(own: Engine): { readonly made: { readonly destroyed: boolean }[] } {
  const made: { destroyed: boolean }[] = [];
  const createBuffer = own.createBuffer.bind(own);
  vi.spyOn(own, 'createBuffer').mockImplementation((...args) => {
    const buffer = createBuffer(...args);
    const entry = { destroyed: false };
    made.push(entry);
    const destroy = buffer.destroy.bind(buffer);
    buffer.destroy = () => {
      entry.destroyed = true;
      return destroy();
    };
    return buffer;
  });
  return { made };
}

/**
 * The device's next answer to a scope is that its memory is not enough; real exhaustion would take the
 * machine's memory with it.
 */
function playOutOfMemory({ device }: Engine): void {
  const popErrorScope = device.popErrorScope.bind(device);
  vi.spyOn(device, 'popErrorScope').mockImplementationOnce(async () => {
    await popErrorScope();
    return new GPUOutOfMemoryError('played by a test');
  });
}

describe('shapes that are none', () => {
  test.each([
    ['of no images', [0, 4, 4, 4]],
    ['of a negative size', [1, -4, 4, 4]],
    ['of half a pixel', [1, 4, 4.5, 4]],
    ['of no number', [1, 4, Number.NaN, 4]],
    ['without end', [1, Number.POSITIVE_INFINITY, 4, 4]],
  ])('%s are refused by name before they reach the device', (_, shape) => {
    const tape = new Tape(new ParameterSet());
    const message = `tensor photographs [${shape}]: every size must be a whole number of at least 1`;
    expect(() => tape.input('photographs', shape, 'channels')).toThrow(message);
    expect(tape.inputs).toEqual([]);
    expect(() => tape.constant('photographs', shape, 'dense', new Float32Array(0))).toThrow(message);
  });

  test('a batch of no images is refused by the name of its pixels', () => {
    expect(() => imageInput(new Tape(new ParameterSet()), 0, 32)).toThrow(
      /^tensor pixels \[0,768\]: every size/,
    );
  });
});

describe('a call with wrong arguments rejects, and the next one works', () => {
  let program: Program;
  beforeAll(async () => {
    ({ program } = await positive());
  });
  afterAll(() => program.destroy());

  test.each([
    ['no input', {}, "input 'x' [1,1,1,4] is missing"],
    ['too few values', { x: new Float32Array(3) }, "input 'x': 3 values given, shape [1,1,1,4] needs 4"],
    ['too many values', { x: new Float32Array(5) }, "input 'x': 5 values given, shape [1,1,1,4] needs 4"],
    [
      'words for floats',
      { x: new Uint32Array(4) },
      "input 'x' [1,1,1,4] takes a Float32Array, not Uint32Array",
    ],
    ['64 bits', { x: new Float64Array(4) }, "input 'x' [1,1,1,4] takes a Float32Array, not Float64Array"],
    ['a list', { x: [1, 2, 3, 4] }, "input 'x' [1,1,1,4] takes a Float32Array, not Array"],
    ['nothing', { x: null }, "input 'x' [1,1,1,4] is missing"],
  ])('%s', async (_, inputs, message) => {
    await expect(program.run(inputs as never)).rejects.toMatchObject({ message });
    await expectWorks(program);
  });

  test('floats for words', async () => {
    const tape = new Tape(new ParameterSet());
    const images = imageInput(tape, 1, 4);
    const store = new ParameterStore(engine, tape.parameters);
    const pixels = await Program.compile(engine, tape, { outputs: { images }, store });
    const message = "input 'pixels' [1,12] takes a Uint32Array, not Float32Array";
    await expect(pixels.run({ pixels: new Float32Array(12) })).rejects.toMatchObject({
      message,
      code: 'invalid-argument',
    });
    const black = (await pixels.run({ pixels: new Uint32Array(12) })).images as Float32Array;
    expect(black[0]).toBeCloseTo(-0.485 / 0.229, 5);
    pixels.destroy();
  });

  test('an output that does not exist', async () => {
    await expect(program.run({ x: given }, ['z'])).rejects.toThrow("no output 'z' (there are: y)");
    await expectWorks(program);
  });

  test('values that are not finite go through, as they are', async () => {
    const { y } = await program.run({ x: Float32Array.of(Number.POSITIVE_INFINITY, 1, 1, 1) });
    expect(y?.[0]).toBe(Number.POSITIVE_INFINITY);
    await expectWorks(program);
  });

  test('runs of a program that is checked do not mix', async () => {
    const { program: checked } = await positive(engine, true);
    const results = await Promise.all(
      [1, 2, 3, 4].map((value) => checked.run({ x: new Float32Array(4).fill(value) })),
    );
    results.forEach(({ y }, i) => {
      expect(y).toEqual(new Float32Array(4).fill(i + 1));
    });
    checked.destroy();
  });
});

describe('an error of WebGPU belongs to the call that caused it', () => {
  test('one call fails among others that are under way', async () => {
    const { program } = await positive();
    const runs = [program.run({ x: given }), program.run({ x: given })];
    const { verdict } = engine.attempt('a wrong call', () =>
      engine.device.createBuffer({ size: 16, usage: 0 }),
    );
    runs.push(program.run({ x: given }));
    await expect(verdict).rejects.toThrow(
      /^a wrong call: WebGPU reported an error: Buffer usages must not be 0/,
    );
    for (const { y } of await Promise.all(runs)) expect(y).toEqual(wanted);
    program.destroy();
  });

  test('reading beyond a buffer rejects, reading it works', async () => {
    const buffer = engine.createBuffer('sixteen bytes', 16);
    engine.write(buffer, 0, given);
    await expect(engine.read(buffer, 0, 4096)).rejects.toThrow(
      /^reading a buffer: WebGPU reported an error: \S/,
    );
    expect(await engine.read(buffer)).toEqual(given);
    buffer.destroy();
  });

  test('one that belongs to no call is told, and no call rejects', async () => {
    const { program } = await positive();
    notices.length = 0;
    engine.device.createBuffer({ size: 16, usage: 0 });
    await expectWorks(program);
    await vi.waitFor(() => expect(notices).toHaveLength(1));
    expect(notices[0]).toMatch(
      /^WebGPU reported an error that belongs to no call: Buffer usages must not be 0/,
    );
    program.destroy();
  });

  test('a program whose memory is not there rejects, is freed, and is compiled when it is there', async () => {
    const { program } = await positive();
    const { made } = watchBuffers(engine);
    playOutOfMemory(engine);
    const failing = positive();
    await expect(failing).rejects.toThrow(OutOfMemoryError);
    await expect(failing).rejects.toThrow(
      "allocating the memory of a program: the GPU's memory is not enough (played by a test)",
    );
    expect(made.length).toBeGreaterThan(0);
    expect(made.every(({ destroyed }) => destroyed)).toBe(true);
    await expectWorks(program);
    const { program: another } = await positive();
    await expectWorks(another);
    for (const each of [program, another]) each.destroy();
  });

  test('parameters whose memory is not there stay refused, others work', async () => {
    const set = new ParameterSet();
    set.define({
      name: 'w',
      group: 'g',
      shape: [4],
      layout: 'channels',
      initial: { kind: 'constant', value: 0 },
    });
    const store = new ParameterStore(engine, set);
    playOutOfMemory(engine);
    store.write('w', given);
    await expect(store.ready()).rejects.toThrow(OutOfMemoryError);
    await expect(store.read(['w'])).rejects.toThrow(/the parameters' memory \(g\/0\/parameter, 16 bytes\)/);
    store.destroy();
    const next = new ParameterStore(engine, set);
    next.write('w', given);
    expect((await next.read(['w'])).get('w')).toEqual(given);
    next.destroy();
  });

  test('a kernel that did not compile is compiled at the next call', async () => {
    await using own = await Engine.open();
    const { made } = watchBuffers(own);
    vi.spyOn(own.device, 'createComputePipelineAsync').mockRejectedValueOnce(
      new DOMException('', 'OperationError'),
    );
    await expect(positive(own)).rejects.toThrow(
      /^kernel elementwise\.relu.* does not compile: .*OperationError$/,
    );
    expect(own.pipelineCount).toBe(0);
    expect(made.length).toBeGreaterThan(0);
    expect(made.every(({ destroyed }) => destroyed)).toBe(true);
    await expectWorks((await positive(own)).program);
  });
});

describe('what is closed refuses', () => {
  test('a program', async () => {
    const { program, store } = await positive();
    const run = program.run({ x: given });
    program.destroy();
    program.destroy();
    await expect(run).rejects.toThrow(new ClosedError('the program was closed during a run'));
    await expect(program.run({ x: given })).rejects.toThrow(new ClosedError('the program is closed'));
    await expect(program.refresh()).rejects.toThrow(ClosedError);
    store.destroy();
  });

  test('parameters, and programs that read them', async () => {
    const { program, store } = await positive();
    await expectWorks(program);
    store.destroy();
    store.destroy();
    await expect(program.run({ x: given })).rejects.toThrow(ClosedError);
    await expect(store.read([])).rejects.toThrow(ClosedError);
    expect(() => store.page('g', 0, 'parameter')).toThrow(
      new ClosedError('the parameters are closed: their memory was freed'),
    );
    program.destroy();
  });

  test('an engine, with all that was made on it and all that is under way', async () => {
    const own = await Engine.open();
    const { program, store } = await positive(own);
    const buffer = own.createBuffer('four values', 16);
    const runs = [1, 2, 3, 4].map(() => program.run({ x: given }));
    const compiling = positive(own);
    const settled = Promise.allSettled([...runs, compiling, own.guard(new Promise(() => {}))]);
    const closing = own.close();
    expect(own.close()).toBe(closing);
    await closing;
    const closed = new ClosedError('the engine is closed');
    for (const { status, reason } of (await settled) as PromiseRejectedResult[]) {
      expect(status).toBe('rejected');
      expect(reason).toEqual(closed);
    }
    for (const late of [
      program.run({ x: given }),
      program.refresh(),
      store.ready(),
      own.read(buffer),
      positive(own),
      own.pipeline({ module: 'elementwise', entry: 'relu' }),
      own.guard(Promise.resolve()),
    ])
      await expect(late).rejects.toThrow(closed);
    expect(() => own.createBuffer('late', 16)).toThrow(closed);
    expect(() => own.write(buffer, 0, given)).toThrow(closed);
    expect(await own.ended).toEqual(closed);
  });

  test('a lost device ends its engine alone', async () => {
    const own = await Engine.open();
    const { program, store } = await positive(own);
    const { program: other } = await positive();
    const waiting = Promise.allSettled([program.run({ x: given }), program.run({ x: given }), positive(own)]);
    own.device.destroy();
    for (const { status, reason } of (await waiting) as PromiseRejectedResult[]) {
      expect(status).toBe('rejected');
      expect(reason).toBeInstanceOf(DeviceLostError);
      expect(reason.message).toMatch(/^the GPU device was lost \(destroyed\): \S/);
    }
    for (const late of [program.run({ x: given }), positive(own), store.ready()])
      await expect(late).rejects.toThrow(DeviceLostError);
    expect(await own.ended).toBeInstanceOf(DeviceLostError);
    await own.close();
    await expect(program.run({ x: given })).rejects.toThrow(DeviceLostError);
    await expectWorks(other);
    other.destroy();
  });

  test('an opening that fails half-way leaves no device', async () => {
    const destroy = vi.spyOn(GPUDevice.prototype, 'destroy');
    const mine = new Error('the caller has failed');
    const onNotice = () => {
      throw mine;
    };
    // A software driver, which this test runs on, is told of.
    await expect(Engine.open({ onNotice, subgroupMatrices: true })).rejects.toBe(mine);
    expect(destroy).toHaveBeenCalledTimes(1);
  });
});

test('every reason becomes an error with a message', () => {
  const own = new Error('mine');
  expect(describedError(own, 'it failed')).toBe(own);
  expect(describedError('no memory', 'it failed').message).toBe('it failed: no memory');
  expect(describedError(undefined, 'it failed').message).toBe('it failed, and no reason was given');
  expect(describedError(new DOMException('', 'AbortError'), 'it failed').message).toBe(
    'it failed: AbortError',
  );
  expect(describedError(new Error(''), 'it failed').message).toBe('it failed: Error');
});
