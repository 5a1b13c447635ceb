/** An engine whose new memory is full of NaN: a result that depends on what lay there before shows it. */
import { textureWidth } from '../../kernels/sizes.ts';
import { Engine, type EngineOptions } from '../../src/engine/runtime/engine.ts';

export async function openPoisoned(options: EngineOptions = {}): Promise<Engine> {
  const engine = await Engine.open(options);
  const { device } = engine;
  const createBuffer = engine.createBuffer.bind(engine);
  engine.createBuffer = (label, size, usage) => {
    const buffer = createBuffer(label, size, usage);
    if (buffer.usage & GPUBufferUsage.COPY_DST && !(buffer.usage & GPUBufferUsage.MAP_READ))
      engine.write(buffer, 0, new Uint32Array(buffer.size / 4).fill(0xffffffff));
    return buffer;
  };
  const createTexture = engine.createTexture.bind(engine);
  engine.createTexture = (label, height, half) => {
    const texture = createTexture(label, height, half);
    const bytesPerRow = textureWidth * (half ? 8 : 16);
    const values = new Uint32Array((bytesPerRow * height) / 4).fill(0xffffffff);
    device.queue.writeTexture({ texture }, values, { bytesPerRow }, [textureWidth, height]);
    return texture;
  };
  return engine;
}

/** The text between a bracket and the one that closes it, and what follows. */
function bracketed(text: string, start: number, open: string, close: string): [inside: string, end: number] {
  let depth = 0;
  for (let i = start; i < text.length; i++) {
    if (text[i] === open) depth++;
    else if (text[i] === close && --depth === 0) return [text.slice(start + 1, i), i + 1];
  }
  throw new Error(`the WGSL has no '${close}' for the '${open}' at ${start}`);
}

interface WgslFunction {
  readonly name: string;
  readonly attributes: string;
  /** Where the list of parameters ends, and where the body begins, behind its bracket. */
  readonly parametersEnd: number;
  readonly parameters: string;
  readonly bodyStart: number;
  readonly body: string;
}

function functionsOf(code: string): WgslFunction[] {
  return [...code.matchAll(/((?:@\w+(?:\([^()]*\))?\s*)*)\bfn (\w+)\s*\(/g)].map((match) => {
    const [all, attributes = '', name = ''] = match;
    const [parameters, end] = bracketed(code, match.index + all.length - 1, '(', ')');
    const brace = code.indexOf('{', end);
    const [body] = bracketed(code, brace, '{', '}');
    return { name, attributes, parameters, parametersEnd: end - 1, bodyStart: brace + 1, body };
  });
}

/** Everything that a function names, and that the functions which it calls name. */
function namedBy(first: WgslFunction, all: readonly WgslFunction[]): Set<string> {
  const names = new Set<string>();
  const waiting = [first];
  for (let next = waiting.pop(); next; next = waiting.pop())
    for (const [word] of next.body.matchAll(/[A-Za-z_]\w*/g)) {
      if (names.has(word)) continue;
      names.add(word);
      waiting.push(...all.filter(({ name }) => name === word));
    }
  return names;
}

/**
 * WGSL whose entry points fill the workgroup memory that they use with NaN (whole numbers: all bits set)
 * before they do anything else; undefined where they use none.
 */
export function withPoisonedWorkgroups(code: string): string | undefined {
  const variables = [...code.matchAll(/var<workgroup>\s+(\w+)\s*:\s*array</g)].map((match) => {
    const [inside] = bracketed(code, match.index + match[0].length - 1, '<', '>');
    // The first one outside of brackets: types and lengths have commas of their own.
    const comma = [...inside].findIndex(
      (letter, i) => letter === ',' && !/[<(]/.test(inside.slice(0, i).replace(/[<(][^<>()]*[>)]/g, '')),
    );
    return {
      name: match[1] as string,
      element: inside.slice(0, comma).trim(),
      length: inside.slice(comma + 1).trim(),
    };
  });
  const declared = code.match(/var<workgroup/g)?.length ?? 0;
  if (declared !== variables.length) throw new Error('workgroup memory that is no array is not poisoned');
  const functions = functionsOf(code);
  let result = code;
  let poisoned = false;
  // From the end, so that places before stay.
  for (const entry of functions.filter(({ attributes }) => attributes.includes('@compute')).reverse()) {
    const named = namedBy(entry, functions);
    const used = variables.filter(({ name }) => named.has(name));
    if (!used.length) continue;
    poisoned = true;
    const size = /@workgroup_size\(([^()]*)\)/.exec(entry.attributes)?.[1] ?? '1';
    const threads = size
      .split(',')
      .map((each) => each.trim())
      .filter(Boolean)
      .join(' * ');
    const index = /@builtin\(local_invocation_index\)\s*(\w+)/.exec(entry.parameters)?.[1];
    const own = index ?? 'poison_index';
    const filled = used.map(({ name, element, length }) => {
      const type = new RegExp(`alias ${element} = ([^;]+);`).exec(code)?.[1] ?? element;
      const value = /u32/.test(type)
        ? `${element}(0xffffffffu)`
        : `${element}(${/f16|\dh/.test(type) ? 'f16(poison)' : 'poison'})`;
      return `for (var at = ${own}; at < ${length}; at += ${threads}) { ${name}[at] = ${value}; }`;
    });
    const lines = [
      // Never zero, but not known when it is compiled: WGSL has no NaN that is.
      `let poison = bitcast<f32>(select(0x7fc00000u, 0u, ${own} > 4096u));`,
      ...filled,
      'workgroupBarrier();',
    ];
    const comma = /,\s*$/.test(entry.parameters) || !entry.parameters.trim() ? '' : ', ';
    const added = index ? '' : `${comma}@builtin(local_invocation_index) poison_index: u32`;
    result =
      result.slice(0, entry.parametersEnd) +
      added +
      result.slice(entry.parametersEnd, entry.bodyStart) +
      `\n{ ${lines.join('\n')} }\n` +
      result.slice(entry.bodyStart);
  }
  return poisoned ? result : undefined;
}

/**
 * Fills workgroup memory with NaN in every kernel that is compiled from now on. WebGPU promises zeros there,
 * which some drivers do not keep (Mali, Imagination).
 *
 * @returns the modules whose kernels were changed, filled as they are compiled
 */
export function poisonWorkgroups({ device }: Engine): ReadonlySet<string> {
  const modules = new Set<string>();
  const createShaderModule = device.createShaderModule.bind(device);
  device.createShaderModule = (descriptor) => {
    const code = withPoisonedWorkgroups(descriptor.code);
    if (code !== undefined) modules.add((descriptor.label ?? '').split('.')[0] as string);
    return createShaderModule({ ...descriptor, code: code ?? descriptor.code });
  };
  return modules;
}
