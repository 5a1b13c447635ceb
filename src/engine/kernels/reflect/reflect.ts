/**
 * Reads the contract of kernels from their texts with WESL's parser: takes the files of a folder, gives what
 * the host must know of each (`kernels/contract.ts`). The build runs it; programs do not.
 */
import type { ExpressionElem, FnElem, StructElem } from 'wesl';
import type {
  BindingContract,
  EntryContract,
  KernelContract,
  UniformContract,
  UniformType,
  When,
} from '../../../../kernels/contract.ts';
import { conditional, type Declaration, type KernelFile, kernelError, parseKernels } from './module.ts';
import { isUniform, resourceOf } from './resource.ts';
import { UsageReader } from './usage.ts';
import { and, isNever, never } from './when.ts';

/**
 * The contract of every file that has entry points.
 *
 * @param texts WESL by module name (file name without `.wesl`)
 * @throws Error naming the file and what the host could not bind in it, or what does not parse
 */
export function reflectKernels(texts: Readonly<Record<string, string>>): Record<string, KernelContract> {
  const files = parseKernels(texts);
  const reader = new UsageReader(files);
  const contracts: Record<string, KernelContract> = {};
  for (const file of files.values()) {
    for (const name of file.imports.keys()) reader.resolve(file, name);
    const contract = contractOf(file, reader);
    if (Object.keys(contract.entries).length) contracts[file.name] = contract;
  }
  return contracts;
}

function contractOf(file: KernelFile, reader: UsageReader): KernelContract {
  const usages = file.declarations.map((declaration) => ({ declaration, usage: reader.of(declaration) }));
  // What a file declares is in its text whether it is used or not.
  const reached = new Set(usages.flatMap(({ usage }) => [...usage.declarations]));
  const conditions = new Set([...file.conditions, ...usages.flatMap(({ usage }) => [...usage.conditions])]);
  const bindings = bindingsOf(file, reached);
  const uniforms = uniformsOf(file, reached, reader);
  const entries: Record<string, EntryContract> = {};
  for (const { declaration, usage } of usages) {
    const { element, name } = declaration;
    if (element.kind !== 'fn' || !isEntry(element)) continue;
    const unknown = [...usage.uniforms.keys()].find((field) => !uniforms.some((own) => own.name === field));
    if (unknown)
      throw kernelError(
        file.name,
        `entry point '${name}' reads the uniform '${unknown}', which is not declared`,
      );
    entries[name] = {
      workgroupSize: workgroupSize(file, element, reader),
      bindings: sorted(usage.bindings),
      writes: sorted(usage.writes),
      uniforms: sorted(usage.uniforms),
    };
    checkIndices(file, name, bindings, usage.bindings);
  }
  return {
    conditions: [...conditions].sort(),
    constants: [...new Set(usages.flatMap(({ usage }) => [...usage.constants]))].sort(),
    extensions: [...reached]
      .filter(({ module }) => module === 'extensions')
      .map(({ name }) => name)
      .sort(),
    bindings,
    uniforms,
    entries,
  };
}

function sorted(uses: ReadonlyMap<string, When>): Record<string, When> {
  return Object.fromEntries(
    [...uses].filter(([, when]) => !isNever(when)).sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}

/** Nothing where it always holds. */
function unless(when: When): { when?: When } {
  return when === true ? {} : { when };
}

function bindingsOf(file: KernelFile, reached: ReadonlySet<Declaration>): BindingContract[] {
  const bindings: (BindingContract & { readonly module: string })[] = [];
  for (const declaration of reached) {
    const resource = resourceOf(declaration);
    if (!resource || resource.kind === 'uniform') continue;
    const { name, module, when } = declaration;
    for (const other of bindings)
      if (other.name === name && !isNever(and(other.when ?? true, when)))
        throw kernelError(file.name, `two bindings are called '${name}' (in ${other.module} and ${module})`);
    const { index, kind, format } = resource;
    bindings.push({ name, module, index, kind, ...(format && { format }), ...unless(when) });
  }
  bindings.sort((a, b) => a.index - b.index || (a.name < b.name ? -1 : 1));
  return bindings.map(({ module: _, ...binding }) => binding);
}

function checkIndices(
  file: KernelFile,
  entry: string,
  bindings: readonly BindingContract[],
  uses: ReadonlyMap<string, When>,
): void {
  const used = ({ name, when = true }: BindingContract) => and(when, uses.get(name) ?? never);
  bindings.forEach((binding, i) => {
    for (const other of bindings.slice(0, i))
      if (other.index === binding.index && !isNever(and(used(other), used(binding))))
        throw kernelError(
          file.name,
          `'${other.name}' and '${binding.name}' have the same @binding(${binding.index}), and entry point ` +
            `'${entry}' uses both`,
        );
  });
}

function uniformsOf(
  file: KernelFile,
  reached: ReadonlySet<Declaration>,
  reader: UsageReader,
): UniformContract[] {
  const blocks = [...reached].filter((declaration) => {
    const resource = resourceOf(declaration);
    return resource !== undefined && isUniform(resource);
  });
  const [block] = blocks;
  if (!block) return [];
  if (blocks.length > 1)
    throw kernelError(
      file.name,
      `it has ${blocks.length} uniform blocks: ${blocks.map(({ name }) => name).join(', ')}`,
    );
  const struct = [...reader.of(block).declarations].find(({ element }) => element.kind === 'struct');
  if (!struct) throw kernelError(block.module, `the uniform block '${block.name}' is not a struct`);
  const fields: UniformContract[] = [];
  for (const [member, when] of conditional((struct.element as StructElem).members)) {
    const type = member.typeRef.name.originalName;
    if (type !== 'u32' && type !== 'i32' && type !== 'f32')
      throw kernelError(block.module, `the uniform '${member.name.name}' is a ${type}, not u32, i32 or f32`);
    fields.push({ name: member.name.name, type: type satisfies UniformType, ...unless(when) });
  }
  return fields;
}

function isEntry(element: FnElem): boolean {
  return (element.attributes ?? []).some(
    ({ attribute }) => attribute.kind === '@attribute' && attribute.name === 'compute',
  );
}

function workgroupSize(file: KernelFile, entry: FnElem, reader: UsageReader): [string, string, string] {
  for (const { attribute } of entry.attributes ?? [])
    if (attribute.kind === '@attribute' && attribute.name === 'workgroup_size') {
      const [x = '1', y = '1', z = '1'] = (attribute.params ?? []).map(({ expression }) =>
        expressionText(file, expression, reader),
      );
      return [x, y, z];
    }
  throw kernelError(file.name, `entry point '${entry.name.ident.originalName}' has no @workgroup_size`);
}

/** An expression over literals and the host's constants. */
function expressionText(file: KernelFile, expression: ExpressionElem, reader: UsageReader): string {
  switch (expression.kind) {
    case 'literal':
      return expression.value;
    case 'parenthesized-expression':
      return `(${expressionText(file, expression.expression, reader)})`;
    case 'binary-expression': {
      const [left, right] = [expression.left, expression.right].map((side) =>
        expressionText(file, side, reader),
      );
      return `${left} ${expression.operator.value} ${right}`;
    }
    case 'ref': {
      const target = reader.resolve(file, expression.ident.originalName);
      if (target.kind === 'constant') return target.name;
      const declaration = target.kind === 'global' ? target.declarations[0] : undefined;
      const element = declaration?.element;
      if (element?.kind === 'const' && element.init)
        return `(${expressionText(reader.file(declaration?.module as string), element.init, reader)})`;
    }
  }
  throw kernelError(file.name, 'the size of a workgroup is not made of whole numbers and constants');
}
