/** Kernel files, parsed: what each declares, imports and asks for. */
import {
  type AbstractElem,
  type ElemWithAttributes,
  type ExpressionElem,
  type GlobalDeclarationElem,
  type ImportStatement,
  RecordResolver,
  throwOnParseError,
  type WeslAST,
} from 'wesl';
import type { When } from '../../../../kernels/contract.ts';
import { and, conditionsOf, never, not, or } from './when.ts';

/** Something that a file declares at its top, with the conditions under which it does. */
export interface Declaration {
  readonly module: string;
  readonly name: string;
  readonly element: GlobalDeclarationElem;
  readonly when: When;
}

export interface KernelFile {
  readonly name: string;
  readonly declarations: readonly Declaration[];
  /** What a name of another file stands for here. */
  readonly imports: ReadonlyMap<string, { readonly module: string; readonly name: string }>;
  /** Names imported from `constants`, by the name that they have here. */
  readonly constants: ReadonlyMap<string, string>;
  /** Names in the `@if` of its directives. */
  readonly conditions: ReadonlySet<string>;
}

/** An error in a kernel file. */
export function kernelError(module: string, message: string): Error {
  return new Error(`kernels/${module}.wesl: ${message}`);
}

/**
 * @param texts WESL by module name
 * @throws Error naming the file, where one does not parse
 */
export function parseKernels(texts: Readonly<Record<string, string>>): Map<string, KernelFile> {
  const sources = Object.fromEntries(Object.entries(texts).map(([name, text]) => [`${name}.wesl`, text]));
  const resolver = new RecordResolver(sources, { keepComments: false });
  return new Map(
    Object.keys(texts).map((name) => {
      const parsed = resolver.resolveModule(`package::${name}`);
      if (!parsed) throw kernelError(name, 'its name is not a name of WESL');
      try {
        throwOnParseError(parsed);
      } catch (error) {
        throw kernelError(name, (error as Error).message);
      }
      return [name, kernelFile(name, parsed)];
    }),
  );
}

function kernelFile(name: string, { moduleElem, imports }: WeslAST): KernelFile {
  const conditions = new Set<string>();
  const declarations: Declaration[] = [];
  for (const [element, when] of conditional(moduleElem.decls)) {
    if (isDeclaration(element))
      declarations.push({ module: name, name: declaredName(element), element, when });
    else for (const condition of conditionsOf(when)) conditions.add(condition);
  }
  const imported = new Map<string, { module: string; name: string }>();
  const constants = new Map<string, string>();
  for (const { path, as } of imports.flatMap((statement) => flat(statement))) {
    const item = path.at(-1) as string;
    if (path.length === 2 && path[0] === 'constants') constants.set(as, item);
    else if (path.length === 3 && path[0] === 'package')
      imported.set(as, { module: path[1] as string, name: item });
    else
      throw kernelError(name, `import ${path.join('::')} is neither package::FILE::NAME nor constants::NAME`);
  }
  return { name, declarations, imports: imported, constants, conditions };
}

function flat(statement: ImportStatement, before: readonly string[] = []): { path: string[]; as: string }[] {
  const path = [...before, ...statement.segments.map((segment) => segment.name)];
  const last = statement.finalSegment;
  if (last.kind === 'import-collection') return last.subtrees.flatMap((subtree) => flat(subtree, path));
  return [{ path: [...path, last.name], as: last.as ?? last.name }];
}

function isDeclaration(element: AbstractElem): element is GlobalDeclarationElem {
  return ['fn', 'struct', 'alias', 'gvar', 'const', 'override', 'do'].includes(element.kind);
}

function declaredName({ name }: GlobalDeclarationElem): string {
  if (name.kind === 'name') return name.name;
  return (name.kind === 'typeDecl' ? name.decl : name).ident.originalName;
}

/** Siblings with the conditions that their own `@if`, `@elif` or `@else` sets. */
export function* conditional<T extends AbstractElem>(
  elements: readonly T[],
): Generator<[element: T, when: When]> {
  let otherwise = never;
  for (const element of elements) {
    const attribute = (element as ElemWithAttributes).attributes
      ?.map((own) => own.attribute)
      .find((own) => own.kind === '@if' || own.kind === '@elif' || own.kind === '@else');
    if (attribute === undefined) yield [element, true];
    else if (attribute.kind === '@else') {
      yield [element, otherwise];
      otherwise = never;
    } else if (attribute.kind === '@if' || attribute.kind === '@elif') {
      const own = condition(attribute.param.expression);
      const before = attribute.kind === '@if' ? true : otherwise;
      yield [element, and(before, own)];
      otherwise = and(before, not(own));
    }
  }
}

function condition(expression: ExpressionElem): When {
  switch (expression.kind) {
    case 'ref':
      return [[expression.ident.originalName]];
    case 'literal':
      return expression.value === 'true' ? true : never;
    case 'parenthesized-expression':
      return condition(expression.expression);
    case 'unary-expression':
      return not(condition(expression.expression));
    case 'binary-expression': {
      const left = condition(expression.left);
      const right = condition(expression.right);
      return expression.operator.value === '&&' ? and(left, right) : or(left, right);
    }
    default:
      throw new Error(`a condition cannot hold a ${expression.kind}`);
  }
}
