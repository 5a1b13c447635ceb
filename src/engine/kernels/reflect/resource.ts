/** Resources of a kernel file: storage buffers, storage textures and the uniform block. */
import type { ExpressionElem, GlobalVarElem } from 'wesl';
import type { BindingKind } from '../../../../kernels/contract.ts';
import { type Declaration, kernelError } from './module.ts';

export interface Resource {
  readonly index: number;
  readonly kind: BindingKind | 'uniform';
  readonly format?: GPUTextureFormat;
  /** Name of a uniform block's struct. */
  readonly struct?: string;
}

export function isUniform(resource: Resource): boolean {
  return resource.kind === 'uniform';
}

/**
 * The resource that a declaration stands for, if any.
 *
 * @throws Error naming the file, where the host could not bind it
 */
export function resourceOf(declaration: Declaration): Resource | undefined {
  const { module, name, element } = declaration;
  if (element.kind !== 'gvar') return undefined;
  const group = attributeNumber(element, 'group');
  const index = attributeNumber(element, 'binding');
  if (group === undefined && index === undefined) return undefined;
  const fail = (message: string) => kernelError(module, `binding '${name}' ${message}`);
  if (group !== 0 || index === undefined) throw fail('is not at @group(0) @binding(N)');
  const type = element.name.typeRef;
  const typeName = type?.name.originalName ?? '';
  const space = element.template?.map((part) => part.name).join(', ');
  if (space === 'uniform') {
    if (index !== 0) throw fail('is uniform and not at @binding(0), where the host binds uniforms');
    return { index, kind: 'uniform', struct: typeName };
  }
  if (index === 0) throw fail('is at @binding(0), which is for uniforms');
  if (space === 'storage, read_write') return { index, kind: 'buffer' };
  // WebGPU tracks usage per buffer, and one buffer holds inputs and outputs.
  if (space !== undefined) throw fail(`is var<${space}>; the host binds var<storage, read_write>`);
  if (typeName === 'texture_2d') return { index, kind: 'sampled texture' };
  if (typeName !== 'texture_storage_2d')
    throw fail(`is a ${typeName}; the host binds texture_storage_2d and texture_2d`);
  const [format, access] = (type?.templateParams ?? []).map(text);
  if (access !== 'read' && access !== 'write') throw fail(`has access '${access}', not read or write`);
  return {
    index,
    kind: access === 'read' ? 'read texture' : 'written texture',
    format: format as GPUTextureFormat,
  };
}

function attributeNumber(element: GlobalVarElem, name: string): number | undefined {
  for (const { attribute } of element.attributes ?? [])
    if (attribute.kind === '@attribute' && attribute.name === name) {
      const [parameter] = attribute.params ?? [];
      return Number(parameter && text(parameter.expression));
    }
  return undefined;
}

function text(expression: ExpressionElem): string {
  if (expression.kind === 'ref') return expression.ident.originalName;
  if (expression.kind === 'type') return expression.name.originalName;
  return expression.kind === 'literal' ? expression.value : '';
}
