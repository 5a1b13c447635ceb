/** Finds divisions of whole numbers in linked kernels that a driver would have to compute. */
import { evaluate, moduleConstants } from '../../src/engine/kernels/expand.ts';

// A literal, a name or field, a call, or something in parentheses; one level of parentheses inside.
const called = String.raw`[A-Za-z_]\w*(?:\.\w+)*(?:\((?:[^()]|\([^()]*\))*\))?`;
const operand = String.raw`${called}|\d[\w.]*|\((?:[^()]|\([^()]*\))*\)`;
const division = new RegExp(`([%/]) (${operand})`, 'g');

function isPowerOfTwo(value: number): boolean {
  return value > 0 && Number.isInteger(Math.log2(value));
}

/** Whether a divisor that is no constant is a whole number, by the declarations of the names in it. */
function isWhole(divisor: string, text: string): boolean {
  if (/\.\d|\d\.|^(?:f32|sqrt|max)\(/.test(divisor)) return false;
  if (/\d+u\b|\b[ui]32\(/.test(divisor)) return true;
  const [name = divisor] = /\w+$/.exec(divisor) ?? [];
  if (new RegExp(String.raw`\b${name}: [ui]32\b`).test(text)) return true;
  const declared = [...text.matchAll(new RegExp(String.raw`\b(?:let|var) ${name} = ([^;]+);`, 'g'))];
  return declared.some(([, value = '']) => value !== divisor && isWhole(value, text));
}

/**
 * @param text linked WGSL
 * @returns divisions and remainders by whole numbers other than constant powers of two, as they stand there
 */
export function integerDivisions(text: string): string[] {
  const constants = moduleConstants(text);
  const found: string[] = [];
  for (const [whole, operator, divisor = ''] of text.matchAll(division)) {
    const value = evaluate(divisor, constants);
    if (value === undefined ? operator === '%' || isWhole(divisor, text) : !isPowerOfTwo(value))
      found.push(whole);
  }
  return found;
}
