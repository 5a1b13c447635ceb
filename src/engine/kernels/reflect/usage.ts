/**
 * What a declaration of a kernel file uses, through everything that it refers to: bindings, uniform fields,
 * constants, conditions. A use is what WGSL calls a static access: whether it runs does not matter.
 */
import type { AbstractElem, AttributeElem, ExpressionElem } from 'wesl';
import type { When } from '../../../../kernels/contract.ts';
import { conditional, type Declaration, type KernelFile, kernelError } from './module.ts';
import { isUniform, type Resource, resourceOf } from './resource.ts';
import { and, conditionsOf, isNever, never, or } from './when.ts';

export interface Usage {
  /** Bindings that are read or written, and those that are stored to, by name. */
  readonly bindings: Map<string, When>;
  readonly writes: Map<string, When>;
  readonly uniforms: Map<string, When>;
  readonly constants: Set<string>;
  readonly conditions: Set<string>;
  /** Declarations that are reached, the own one included. */
  readonly declarations: Set<Declaration>;
}

/** Names of a function or block, with the conditions under which they are declared. */
type Locals = ReadonlyMap<string, When>[];

type Target =
  | { readonly kind: 'local' }
  | { readonly kind: 'constant'; readonly name: string }
  | { readonly kind: 'global'; readonly declarations: readonly Declaration[] }
  | { readonly kind: 'builtin' };

export class UsageReader {
  readonly #files: ReadonlyMap<string, KernelFile>;
  readonly #known = new Map<Declaration, Usage>();
  readonly #active = new Set<Declaration>();

  constructor(files: ReadonlyMap<string, KernelFile>) {
    this.#files = files;
  }

  /** @throws Error naming the file and what is wrong with it */
  of(declaration: Declaration): Usage {
    const known = this.#known.get(declaration);
    if (known) return known;
    const { module, name, element } = declaration;
    if (this.#active.has(declaration)) throw kernelError(module, `'${name}' refers to itself`);
    this.#active.add(declaration);
    const usage: Usage = {
      bindings: new Map(),
      writes: new Map(),
      uniforms: new Map(),
      constants: new Set(),
      conditions: new Set([...this.file(module).conditions, ...conditionsOf(declaration.when)]),
      declarations: new Set([declaration]),
    };
    new Walk(this, this.file(module), usage).declaration(element);
    this.#active.delete(declaration);
    this.#known.set(declaration, usage);
    return usage;
  }

  /** What a name stands for in a file, where no function declares it. */
  resolve(file: KernelFile, name: string): Target {
    const path = name.split('::');
    const constant = path[0] === 'constants' ? path[1] : file.constants.get(name);
    if (constant !== undefined) return { kind: 'constant', name: constant };
    const imported =
      path[0] === 'package' && path.length === 3
        ? { module: path[1] as string, name: path[2] as string }
        : file.imports.get(name);
    const own = imported ?? { module: file.name, name };
    const declarations = this.#files
      .get(own.module)
      ?.declarations.filter((declaration) => declaration.name === own.name);
    if (declarations?.length) return { kind: 'global', declarations };
    if (imported)
      throw kernelError(
        file.name,
        `it imports '${own.name}' from '${own.module}', which does not declare it`,
      );
    return { kind: 'builtin' };
  }

  /** The file of a declaration. */
  file(module: string): KernelFile {
    return this.#files.get(module) as KernelFile;
  }
}

function add(map: Map<string, When>, name: string, when: When): void {
  map.set(name, or(map.get(name) ?? never, when));
}

class Walk {
  readonly #reader: UsageReader;
  readonly #file: KernelFile;
  readonly #usage: Usage;

  constructor(reader: UsageReader, file: KernelFile, usage: Usage) {
    this.#reader = reader;
    this.#file = file;
    this.#usage = usage;
  }

  declaration(element: AbstractElem): void {
    if (element.kind === 'struct') this.#list(element.members, true, [new Map()]);
    else if (element.kind === 'gvar') this.#children(element, true, [new Map()]);
    else if (element.kind === 'fn') {
      const locals = new Map<string, When>();
      this.#attributes(element.attributes);
      this.#list(element.params, true, [locals]);
      for (const { name } of element.params) locals.set(name.decl.ident.originalName, true);
      if (element.returnType) this.#walk(element.returnType, true, [locals]);
      this.#walk(element.body, true, [locals]);
    } else this.#children(element, true, [new Map()]);
  }

  /** Of an entry point: the size of its workgroups may name constants. */
  #attributes(attributes: readonly AttributeElem[] = []): void {
    for (const { attribute } of attributes)
      if (attribute.kind === '@attribute')
        for (const { expression } of attribute.params ?? []) this.#walk(expression, true, [new Map()]);
  }

  #list(elements: readonly AbstractElem[], when: When, locals: Locals): void {
    for (const [element, own] of conditional(elements)) {
      for (const name of conditionsOf(own)) this.#usage.conditions.add(name);
      this.#walk(element, and(when, own), locals);
    }
  }

  #walk(element: AbstractElem, when: When, locals: Locals): void {
    switch (element.kind) {
      case 'ref':
        this.#refer(element.ident.originalName, when, locals);
        return;
      case 'type':
        this.#refer(element.name.originalName, when, locals);
        for (const parameter of element.templateParams ?? []) this.#walk(parameter, when, locals);
        return;
      case 'component-member-expression': {
        const uniform = this.#uniform(element.base, when, locals);
        if (uniform) this.#useUniform(uniform, element.access.name, when);
        else this.#walk(element.base, when, locals);
        return;
      }
      case 'assign':
        if (element.lhs.kind !== 'phony') {
          this.#store(element.lhs, when, locals);
          this.#walk(element.lhs, when, locals);
        }
        this.#walk(element.rhs, when, locals);
        return;
      case 'increment':
      case 'decrement':
        this.#store(element.target, when, locals);
        this.#walk(element.target, when, locals);
        return;
      case 'call-expression': {
        const called = element.function.kind === 'ref' ? element.function.ident.originalName : '';
        const [first] = element.arguments;
        const stores = called === 'textureStore' || (called.startsWith('atomic') && called !== 'atomicLoad');
        if (stores && first) this.#store(first, when, locals);
        else if (called !== 'atomicLoad' && called !== 'arrayLength')
          for (const argument of element.arguments) this.#refusePointer(argument, when, locals);
        this.#children(element, when, locals);
        return;
      }
      case 'block':
        this.#list(element.body, when, [...locals, new Map()]);
        return;
      case 'for': {
        const own = [...locals, new Map()];
        for (const part of [element.init, element.condition, element.update, element.body])
          if (part) this.#walk(part, when, own);
        return;
      }
      case 'let':
      case 'var':
      case 'const': {
        this.#children(element, when, locals);
        const scope = locals.at(-1) as Map<string, When>;
        add(scope, element.name.decl.ident.originalName, when);
        return;
      }
      default:
        this.#children(element, when, locals);
    }
  }

  #children(element: AbstractElem, when: When, locals: Locals): void {
    for (const [key, value] of Object.entries(element)) {
      if (key === 'attributes' || key === 'typeScope' || key === 'decl') continue;
      for (const child of Array.isArray(value) ? (value as unknown[]) : [value as unknown])
        if (isElement(child)) this.#walk(child, when, locals);
    }
  }

  #target(name: string, when: When, locals: Locals): Target {
    const declared = locals.map((scope) => scope.get(name) ?? never).reduce(or, never);
    if (
      declared === true ||
      (!isNever(declared) && JSON.stringify(and(when, declared)) === JSON.stringify(when))
    )
      return { kind: 'local' };
    const target = this.#reader.resolve(this.#file, name);
    if (isNever(and(when, declared)) || target.kind === 'builtin') return target;
    throw kernelError(
      this.#file.name,
      `'${name}' is a local name under some conditions and a name of the file under others`,
    );
  }

  #refer(name: string, when: When, locals: Locals): void {
    const target = this.#target(name, when, locals);
    if (target.kind === 'constant') this.#usage.constants.add(target.name);
    if (target.kind !== 'global') return;
    for (const declaration of target.declarations) {
      const resource = resourceOf(declaration);
      if (resource && isUniform(resource))
        throw kernelError(this.#file.name, `'${name}' is used whole: read its fields by name`);
      if (resource) add(this.#usage.bindings, name.split('::').at(-1) as string, when);
      const own = this.#reader.of(declaration);
      const reached = and(when, declaration.when);
      for (const [binding, use] of own.bindings) add(this.#usage.bindings, binding, and(reached, use));
      for (const [binding, use] of own.writes) add(this.#usage.writes, binding, and(reached, use));
      for (const [field, use] of own.uniforms) add(this.#usage.uniforms, field, and(reached, use));
      for (const constant of own.constants) this.#usage.constants.add(constant);
      for (const condition of own.conditions) this.#usage.conditions.add(condition);
      for (const other of own.declarations) this.#usage.declarations.add(other);
    }
  }

  /** The uniform block behind an expression. */
  #uniform(expression: ExpressionElem, when: When, locals: Locals): Declaration | undefined {
    if (expression.kind !== 'ref') return undefined;
    const target = this.#target(expression.ident.originalName, when, locals);
    const declaration = target.kind === 'global' ? target.declarations[0] : undefined;
    const resource = declaration && resourceOf(declaration);
    return resource && isUniform(resource) ? declaration : undefined;
  }

  #useUniform(declaration: Declaration, field: string, when: When): void {
    add(this.#usage.uniforms, field, when);
    for (const other of this.#reader.of(declaration).declarations) this.#usage.declarations.add(other);
  }

  /** The resource that an expression is a part of. */
  #resource(
    expression: ExpressionElem,
    when: When,
    locals: Locals,
  ): (Resource & { readonly name: string }) | undefined {
    switch (expression.kind) {
      case 'component-expression':
      case 'component-member-expression':
        return this.#resource(expression.base, when, locals);
      case 'unary-expression':
      case 'parenthesized-expression':
        return this.#resource(expression.expression, when, locals);
      case 'ref': {
        const target = this.#target(expression.ident.originalName, when, locals);
        const declaration = target.kind === 'global' ? target.declarations[0] : undefined;
        const resource = declaration && resourceOf(declaration);
        return declaration && resource && { ...resource, name: declaration.name };
      }
      default:
        return undefined;
    }
  }

  #store(expression: ExpressionElem, when: When, locals: Locals): void {
    const resource = this.#resource(expression, when, locals);
    if (resource) add(this.#usage.writes, resource.name, when);
  }

  #refusePointer(argument: ExpressionElem, when: When, locals: Locals): void {
    if (argument.kind !== 'unary-expression' || argument.operator.value !== '&') return;
    const resource = this.#resource(argument, when, locals);
    if (resource)
      throw kernelError(
        this.#file.name,
        `a pointer to '${resource.name}' is passed on: what is done through it is not known`,
      );
  }
}

function isElement(value: unknown): value is AbstractElem {
  return typeof value === 'object' && value !== null && 'kind' in value && 'start' in value;
}
