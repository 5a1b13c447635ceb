/**
 * The one expansion step over linked WGSL: loops over a variable named `unroll_*` are written out, and local
 * arrays whose every index is then a literal become single variables. SwiftShader runs such text 7-9 times
 * faster than the loops; others lose nothing (docs/kernels.md, "What the drivers want").
 */

/**
 * Value of an integer expression of literals, constants, + - * / % and parentheses; undefined if it holds
 * anything else.
 */
export function evaluate(expression: string, constants: ReadonlyMap<string, number>): number | undefined {
  const tokens = expression.match(/[A-Za-z_]\w*|\d+u?|[-+*/%()]|\S/g) ?? [];
  let position = 0;
  const primary = (): number => {
    const token = tokens[position++];
    if (token === undefined) return Number.NaN;
    if (token === '(') {
      const value = sum();
      return tokens[position++] === ')' ? value : Number.NaN;
    }
    if (/^\d+u?$/.test(token)) return Number.parseInt(token, 10);
    return constants.get(token) ?? Number.NaN;
  };
  const product = (): number => {
    let value = primary();
    for (
      let token = tokens[position];
      token === '*' || token === '/' || token === '%';
      token = tokens[position]
    ) {
      position++;
      const right = primary();
      value = token === '*' ? value * right : token === '/' ? Math.trunc(value / right) : value % right;
    }
    return value;
  };
  const sum = (): number => {
    let value = product();
    for (let token = tokens[position]; token === '+' || token === '-'; token = tokens[position]) {
      position++;
      const right = product();
      value = token === '+' ? value + right : value - right;
    }
    return value;
  };
  const value = sum();
  return position === tokens.length && Number.isInteger(value) ? value : undefined;
}

function closing(text: string, open: number, pair: readonly [string, string]): number {
  let depth = 0;
  for (let i = open; i < text.length; i++) {
    if (text[i] === pair[0]) depth++;
    else if (text[i] === pair[1] && --depth === 0) return i;
  }
  throw new Error(`expand: no closing '${pair[1]}'`);
}

/** Module-scope integer constants of linked WGSL. */
export function moduleConstants(text: string): Map<string, number> {
  const constants = new Map<string, number>();
  const declarations = [...text.matchAll(/^const (\w+)(?:\s*:\s*\w+)? = ([^;]+);/gm)];
  for (let pass = 0; pass < declarations.length; pass++) {
    for (const [, name, expression] of declarations) {
      const value = evaluate(expression as string, constants);
      if (value !== undefined) constants.set(name as string, value);
    }
  }
  return constants;
}

/** End of the block that holds a position. */
function scopeEnd(text: string, position: number): number {
  let depth = 0;
  for (let i = position; i < text.length; i++) {
    if (text[i] === '{') depth++;
    else if (text[i] === '}' && --depth < 0) return i;
  }
  return text.length;
}

function unroll(text: string, constants: ReadonlyMap<string, number>): string {
  const loop =
    /for \(var (unroll_\w+)(?:: u32)? = 0u?; unroll_\w+ < ([^;]+); unroll_\w+(?:\+\+| \+= 1u?)\) \{/g;
  for (let match = loop.exec(text); match; match = loop.exec(text)) {
    const [head, name, bound] = match as unknown as [string, string, string];
    const count = evaluate(bound, constants);
    if (count === undefined) throw new Error(`expand: the bound '${bound}' of loop ${name} is not constant`);
    const open = match.index + head.length - 1;
    const end = closing(text, open, ['{', '}']);
    const body = text.slice(open + 1, end);
    const variable = new RegExp(`\\b${name}\\b`, 'g');
    let copies = '';
    for (let i = 0; i < count; i++) copies += `{${body.replace(variable, `${i}u`)}}\n`;
    text = text.slice(0, match.index) + copies + text.slice(end + 1);
    loop.lastIndex = match.index;
  }
  return text;
}

function scalarise(text: string, constants: ReadonlyMap<string, number>): string {
  const declaration = /\bvar (\w+): array<([^;]+), ([^,;<>]+)>;/g;
  const found = [...text.matchAll(declaration)];
  for (const [whole, name, type, bound] of found as unknown as [string, string, string, string][]) {
    const count = evaluate(bound, constants);
    if (count === undefined) continue;
    const use = new RegExp(`\\b${name}\\b`, 'g');
    const start = text.indexOf(whole);
    const scope = scopeEnd(text, start);
    const body = text.slice(start + whole.length, scope);
    let result = '';
    let last = 0;
    let constant = true;
    for (let match = use.exec(body); match && constant; match = use.exec(body)) {
      const open = match.index + name.length;
      if (body[open] !== '[') {
        constant = false;
        break;
      }
      const end = closing(body, open, ['[', ']']);
      const index = evaluate(body.slice(open + 1, end), constants);
      if (index === undefined || index >= count) constant = false;
      result += `${body.slice(last, match.index)}${name}_${index}`;
      last = end + 1;
      use.lastIndex = last;
    }
    if (!constant) continue;
    const variables = Array.from({ length: count }, (_, i) => `var ${name}_${i}: ${type};`).join(' ');
    text = text.slice(0, start) + variables + result + body.slice(last) + text.slice(scope);
  }
  return text;
}

/** Linked WGSL with `unroll_*` loops written out and constant-indexed local arrays split. */
export function expand(text: string): string {
  if (!text.includes('unroll_')) return text;
  const constants = moduleConstants(text);
  return scalarise(unroll(text, constants), constants);
}
